"""The epoch metrics that trials can be compared by."""

from __future__ import annotations

from wsml_study.options import COUNT, COUNT_OR_0, Option
from wsml_study.study.metric_record import MetricRecord

MODULE = "wsml_study.training.epoch_metrics"

K = Option(key="k", limits=COUNT, default=3, meaning="how many of an image's top-ranked labels count")

RECORDS = (
    MetricRecord(
        name="map",
        position=10,
        title="mean average precision over the classes",
        label="mAP",
        compute=f"{MODULE}:mean_ap",
        percent=True,
        over_classes=True,
        options=(
            Option(
                key="min_positives",
                limits=COUNT_OR_0,
                default=0,
                meaning="the older form of `classes: {min_positives: n}`",
            ),
        ),
    ),
    MetricRecord(
        name="micro_ap",
        position=20,
        title="average precision of all annotated entries in one ranking",
        label="micro AP",
        compute=f"{MODULE}:micro_ap",
        percent=True,
    ),
    MetricRecord(
        name="of1",
        position=30,
        title="overall F1 of labels with p > 0.5",
        label="OF1",
        compute=f"{MODULE}:of1",
        percent=True,
    ),
    MetricRecord(
        name="cf1",
        position=40,
        title="F1 of labels with p > 0.5 from the classes' mean precision and mean recall",
        label="CF1",
        compute=f"{MODULE}:cf1",
        percent=True,
        over_classes=True,
    ),
    MetricRecord(
        name="ranking_loss",
        position=50,
        title="share of an image's pairs of a positive and a negative label that are in the wrong order",
        label="ranking loss",
        compute=f"{MODULE}:mean_ranking_loss",
        greater_is_better=False,
    ),
    MetricRecord(
        name="coverage",
        position=60,
        title="how many labels from the top of an image's ranking hold all its positives",
        label="coverage",
        compute=f"{MODULE}:mean_coverage",
        greater_is_better=False,
    ),
    MetricRecord(
        name="one_error",
        position=70,
        title="share of images whose top-ranked label is negative",
        label="one-error",
        compute=f"{MODULE}:mean_one_error",
        greater_is_better=False,
    ),
    MetricRecord(
        name="precision_at_k",
        position=80,
        title="share of positives among an image's k top-ranked labels",
        label="precision at k",
        compute=f"{MODULE}:mean_precision_at_k",
        percent=True,
        options=(K,),
    ),
    MetricRecord(
        name="recall_at_k",
        position=90,
        title="share of an image's positives among its k top-ranked labels",
        label="recall at k",
        compute=f"{MODULE}:mean_recall_at_k",
        percent=True,
        options=(K,),
    ),
)
