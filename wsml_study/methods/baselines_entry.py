"""Records of AN, full, WAN, LSAN and IU: names, formulas, options, published numbers."""

from __future__ import annotations

from wsml_study.methods.method_record import MethodRecord, published
from wsml_study.options import AT_LEAST_0, Limits, Option

COLE = (
    'Cole et al., "Multi-Label Learning from Single Positive Labels", CVPR 2021; elijahcole/single-positive-multi-label'
)

RECORDS = (
    MethodRecord(
        name="AN",
        position=10,
        title="assume-negative: unobserved labels count as negative",
        formula="positive -ln p; all others -ln(1 - p)",
        reduction="mean",
        source=COLE,
        factory="wsml_study.methods.baselines:AssumeNegative",
        published_map=published((85.1, 86.9), (64.1, 68.7), (42.0, 47.6), (19.1, 20.9), 82.0),
        published_groups=(77.1, 78.7, 81.5, 84.1, 88.8),
    ),
    MethodRecord(
        name="full",
        position=20,
        title="full labels: sees every true label of the training images, as an upper bound",
        formula="positive -ln p; negative -ln(1 - p)",
        reduction="mean",
        source=COLE,
        factory="wsml_study.methods.baselines:AssumeNegative",
        learns_from_truth=True,
        published_map=published((90.2, 91.1), (78.0, 77.2), (54.5, 54.9), (32.9, 34.0)),
    ),
    MethodRecord(
        name="WAN",
        position=30,
        title="weak assume-negative: an assumed negative weighs less",
        formula="positive -ln p; unobserved -g ln(1 - p); observed negative -ln(1 - p)",
        reduction="mean",
        source=COLE,
        factory="wsml_study.methods.baselines:WeakAssumeNegative",
        options=(
            Option(
                key="negative_weight",
                limits=AT_LEAST_0,
                symbol="g",
                meaning="weight of an assumed negative",
                computed="1 / (C - 1)",
                search="{float: {low: 0.01, high: 1.0, log: true}}",
            ),
        ),
        published_map=published((86.5, 87.1), (64.8, 68.0), (46.3, 47.5), (20.3, 21.1), 77.0),
        published_groups=(71.8, 72.8, 76.3, 79.7, 84.7),
    ),
    MethodRecord(
        name="LSAN",
        position=40,
        title="assume-negative with label smoothing",
        formula="positive -(1-e) ln p - e ln(1-p); all others -(1-e) ln(1-p) - e ln p",
        reduction="mean",
        source=COLE,
        factory="wsml_study.methods.baselines:LabelSmoothing",
        options=(
            Option(
                key="smoothing",
                limits=Limits(most=0.5),
                symbol="e",
                meaning="how far a target is moved towards the other label",
                default=0.1,
                search="{float: {low: 0.01, high: 0.3}}",
            ),
        ),
        published_map=published((86.7, 86.5), (66.9, 69.2), (44.9, 50.5), (17.9, 16.6), 75.0),
        published_groups=(68.4, 69.3, 73.7, 77.9, 85.6),
    ),
    MethodRecord(
        name="IU",
        position=50,
        title="ignore-unobserved: learns from observed labels only, and so needs observed negatives",
        formula="positive -ln p; observed negative -ln(1 - p); unobserved 0",
        reduction="mean",
        source=COLE,
        factory="wsml_study.methods.baselines:IgnoreUnobserved",
        needs_observed_negatives=True,
        published_map={"openimages_v3": (75.9, None)},
        published_groups=(69.5, 70.3, 74.8, 79.2, 85.5),
    ),
)
