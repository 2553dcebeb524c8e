"""Record of MIME: name, formula, options, published numbers."""

from __future__ import annotations

from wsml_study.methods.method_record import MethodRecord
from wsml_study.options import COUNT_OR_0, FRACTION, Option

RECORDS = (
    MethodRecord(
        name="MIME",
        position=220,
        title="mutual label enhancement: after each epoch unobserved labels of large p become positives for good",
        formula="positive, or unobserved with p > theta after any epoch from w on: -ln p;\nall others -ln(1 - p)",
        reduction="mean",
        source='Liu et al., "Revisiting Pseudo-Label for Single-Positive Multi-Label Learning", ICML 2023; '
        "palm-biaoliu/mime, without the sampled features of its network",
        factory="wsml_study.methods.label_enhancement:LabelEnhancement",
        by_image=True,
        corrects_for_good=True,
        options=(
            Option(
                key="positive_threshold",
                limits=FRACTION,
                symbol="theta",
                meaning="unobserved labels with a larger p become positives",
                default=0.95,
                search="{float: {low: 0.7, high: 0.98}}",
            ),
            Option(
                key="warmup_epochs",
                limits=COUNT_OR_0,
                symbol="w",
                meaning="the first epoch after which labels become positives",
                default=2,
                by_dataset={"cub": 5},
                search="{int: {low: 1, high: 5}}",
            ),
        ),
        published_map={
            "voc2012": (89.20, None),
            "coco2014": (72.92, None),
            "nuswide": (48.74, None),
            "cub": (21.89, None),
        },
        published_source="Liu et al., ICML 2023, whose network also samples features of class queries",
    ),
)
