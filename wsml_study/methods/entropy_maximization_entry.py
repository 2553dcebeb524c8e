"""Records of EM and EM+APL: names, formulas, options."""

from __future__ import annotations

from wsml_study.methods.method_record import MethodRecord
from wsml_study.options import AT_LEAST_0, COUNT_OR_0, FLAG, FRACTION, Option

ZHOU = (
    'Zhou et al., "Acknowledging the Unknown for Multi-label Learning with Single Positive Labels", ECCV 2022; '
    "Correr-Zhou/SPML-AckTheUnknown"
)

ENTROPY_WEIGHT = Option(
    key="entropy_weight",
    limits=AT_LEAST_0,
    symbol="alpha",
    meaning="weight of the entropy of unobserved labels",
    default=0.1,
    by_dataset={"voc2012": 0.2, "coco2014": 0.1, "nuswide": 0.1, "cub": 0.01},
    search="{float: {low: 0.01, high: 0.4, log: true}}",
)

RECORDS = (
    MethodRecord(
        name="EM",
        position=140,
        title="entropy maximization: keeps predictions about unobserved labels uncertain",
        formula="positive -ln p; observed negative -ln(1 - p); unobserved alpha (p ln p + (1-p) ln(1-p))",
        reduction="mean",
        source=ZHOU,
        factory="wsml_study.methods.entropy_maximization:EntropyMaximization",
        options=(ENTROPY_WEIGHT,),
        published_map={
            "voc2012": (89.09, None),
            "coco2014": (70.70, None),
            "nuswide": (47.15, None),
            "cub": (20.85, None),
        },
        published_source="Zhou et al., ECCV 2022 (arXiv 2203.16219)",
    ),
    MethodRecord(
        name="EM+APL",
        position=150,
        title="entropy maximization with pseudo-labels: the least likely become soft negatives",
        formula="as EM; with a soft label s (p when it was given) beta (-s ln p - (1-s) ln(1-p));\n"
        "after each epoch from w on floor(share U_c / (T - w)) entries of least p of each class get one",
        reduction="mean",
        source=ZHOU,
        factory="wsml_study.methods.entropy_maximization:AsymmetricPseudoLabels",
        by_image=True,
        options=(
            ENTROPY_WEIGHT,
            Option(
                key="pseudo_label_weight",
                limits=AT_LEAST_0,
                symbol="beta",
                meaning="weight of soft labels",
                default=0.2,
                by_dataset={"voc2012": 0.02, "coco2014": 0.9, "nuswide": 0.2, "cub": 0.4},
                search="{float: {low: 0.01, high: 1.0, log: true}}",
            ),
            Option(
                key="pseudo_label_share",
                limits=FRACTION,
                symbol="theta",
                meaning="share of the unobserved labels that are soft negatives at the end",
                default=0.9,
                search="{float: {low: 0.5, high: 0.99}}",
            ),
            Option(
                key="warmup_epochs",
                limits=COUNT_OR_0,
                symbol="w",
                meaning="the first epoch after which labels become soft negatives",
                default=5,
                by_dataset={"voc2012": 5, "coco2014": 5, "nuswide": 4, "cub": 3},
                search="{int: {low: 2, high: 8}}",
            ),
            Option(
                key="pseudo_label_mirroring",
                limits=FLAG,
                meaning="take the p of half of the images from the mirrored image when labels become soft negatives, "
                "drawn anew each time, as the published code does; training has to mirror images",
                default=False,
            ),
        ),
        published_map={
            "voc2012": (89.19, None),
            "coco2014": (70.87, None),
            "nuswide": (47.59, None),
            "cub": (21.84, None),
        },
        published_source="Zhou et al., ECCV 2022 (arXiv 2203.16219)",
    ),
)
