"""Record of PU-MLC: name, formula, options."""

from __future__ import annotations

from wsml_study.methods.class_prior_entry import SUM_OR_MEAN_OF_CLASSES
from wsml_study.methods.method_record import MethodRecord
from wsml_study.options import AT_LEAST_0, Limits, Option

RECORDS = (
    MethodRecord(
        name="PU-MLC",
        position=190,
        title="positive-unlabelled learning: positives against all images of the batch; without the source's mixup",
        formula="of class j: (mean over images f)^gamma ln(mean over images f) - mean over positives ln f,\n"
        "f = sigmoid(z / T), T = min(alpha * deviation of z in the batch, 1); T and the power stopped",
        reduction="sum",
        reduced_over="classes",
        source='Yuan et al., "Positive Label Is All You Need for Multi-Label Classification", ICME 2024; '
        "TAKELAMAG/PU-MLC",
        factory="wsml_study.methods.variational:PositiveUnlabelled",
        options=(
            Option(
                key="pu_rebalance",
                limits=AT_LEAST_0,
                symbol="gamma",
                meaning="how much less the images count for a rare class: 0 not at all",
                default=0.55,
                by_dataset={"voc2012": 0.85, "coco2014": 0.55},
                search="{float: {low: 0.0, high: 2.0}}",
            ),
            Option(
                key="pu_temperature",
                limits=Limits(without_least=True),
                symbol="alpha",
                meaning="temperature in deviations of a class's logits, up to 1",
                default=1.0,
                by_dataset={"voc2012": 2.0, "coco2014": 1.0},
                search="{float: {low: 0.2, high: 4.0, log: true}}",
            ),
            SUM_OR_MEAN_OF_CLASSES,
        ),
    ),
)
