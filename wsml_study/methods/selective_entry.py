"""Record of CSL: name, formula, options."""

from __future__ import annotations

from wsml_study.methods.asymmetric_entry import focus
from wsml_study.methods.method_record import SUM_OR_MEAN, MethodRecord
from wsml_study.options import COUNT_OR_0, FRACTION, Limits, Option

RECORDS = (
    MethodRecord(
        name="CSL",
        position=170,
        title="class-aware selective loss: unobserved labels that are likely positive are ignored",
        formula="positive -(1-p)^g+ ln p; observed negative -pm^g- ln(1-pm); unobserved -pm^gu ln(1-pm),\n"
        "pm = max(p - margin, 0), powers stopped; unobserved 0 where the class prior exceeds a threshold,\n"
        "and for the likely_per_image * B of largest p",
        reduction="sum",
        source='Ben-Baruch et al., "Multi-label Classification with Partial Annotations using Class-aware Selective '
        'Loss", CVPR 2022; Alibaba-MIIL/PartialLabelingCSL',
        factory="wsml_study.methods.selective:ClassAwareSelective",
        options=(
            focus("g+", "positives", 0.0, "gamma_positive", 2.0),
            focus("g-", "observed negatives", 1.0, "gamma_negative", 4.0),
            focus("gu", "unobserved labels", 2.0, "gamma_unobserved", 6.0),
            Option(
                key="probability_margin",
                limits=Limits(most=1, without_most=True),
                symbol="clip",
                meaning="negatives with p up to this cost nothing",
                default=0.0,
                search="{float: {low: 0.0, high: 0.2}}",
            ),
            Option(
                key="likely_per_image",
                limits=COUNT_OR_0,
                symbol="K",
                meaning="unobserved labels per image of a batch that are ignored",
                default=5,
                search="{int: {low: 0, high: 10}}",
            ),
            Option(
                key="prior_threshold",
                limits=FRACTION,
                symbol="eta",
                meaning="classes with a larger mean p are ignored where unobserved",
                default=0.5,
                by_dataset={"coco2014": 0.5, "openimages_v3": 0.05},  # README's commands; train.py's own default
                search="{float: {low: 0.01, high: 0.9, log: true}}",
            ),
            SUM_OR_MEAN,
        ),
    ),
)
