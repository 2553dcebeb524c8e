"""The record of a method; imports no torch, so that a study can be described without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wsml_study.options import Option, one_of
from wsml_study.registry import LAST, Requirement

if TYPE_CHECKING:
    from wsml_study.methods.contract import Method


KIM = "Kim et al., CVPR 2022 (arXiv 2206.03740)"
STRONG, MASKED = "strong", "masked"
"""Further views of an image, as `Batch.views` names them."""


@dataclass(frozen=True, kw_only=True)
class MethodRecord:
    """One way to treat unobserved labels. p = sigmoid(logit), B images, C classes, U the unobserved entries of a batch.

    Attributes:
        name: as papers and study files have it.
        position: its place in lists.
        title: what it does, in one line.
        formula: the loss, one or more lines.
        reduction: of the losses of the entries: `mean` or `sum`.
        reduced_over: what is summed or averaged: `entries`, `classes` where the loss of a class is one of all images,
            or `views` where several means are added.
        source: paper and public code.
        factory: the subclass of `Method`, or `module:Class`; called with the observed labels, and the options and the
            schedule as keywords.
        options: what it takes besides a schedule.
        takes_schedule: whether it has a rejection rate.
        rate_by_dataset: the paper's growth of the rate per epoch, a fraction, where it takes a schedule.
        learns_from_truth: it sees every true label.
        needs_observed_negatives: it cannot learn from labels without observed negatives.
        takes_scores: it is created with `scores_NC` as well, in [0, 1], of which a study has `data.pseudo_labels`.
        takes_views: further views of each image whose logits its batches have: `strong`, or that and `masked`.
        corrects_for_good: its `corrected_labels` are kept for each trial.
        by_image: it looks up something by training image (`Batch.indices_B`), so that no image may be a mixture.
        published_map: mAP in percent by dataset, end to end and with LinearInit.
        published_source: where these are from.
        published_groups: mAP in percent of OpenImages V3's groups of classes G1 to G5, trained end to end.
        requires: packages that it needs beyond those that every installation has.
    """

    name: str
    position: int = LAST
    title: str
    formula: str
    reduction: str
    reduced_over: str = "entries"
    source: str
    factory: str | Callable[..., Method]
    options: tuple[Option, ...] = ()
    takes_schedule: bool = False
    rate_by_dataset: Mapping[str, float] = field(default_factory=dict)
    learns_from_truth: bool = False
    needs_observed_negatives: bool = False
    takes_scores: bool = False
    takes_views: tuple[str, ...] = ()
    corrects_for_good: bool = False
    by_image: bool = False
    published_map: Mapping[str, tuple[float, float | None]] = field(default_factory=dict)
    published_source: str = KIM
    published_groups: tuple[float, ...] = ()
    requires: tuple[Requirement, ...] = ()

    def option(self, key: str) -> Option | None:
        """The method's option of this key, or None if it does not take it."""
        return next((one for one in self.options if one.key == key), None)


SUM_OR_MEAN = Option(
    key="reduction",
    limits=one_of("sum", "mean"),
    symbol="reduction",
    meaning="sum or mean over the entries of a batch",
    default="sum",
)
"""Option of the losses that are published as a sum."""


def published(
    voc: tuple[float, float],
    coco: tuple[float, float],
    nus: tuple[float, float],
    cub: tuple[float, float],
    openimages: float | None = None,
) -> dict[str, tuple[float, float | None]]:
    """`published_map` of a method that Kim et al. ran on all their datasets."""
    table: dict[str, tuple[float, float | None]] = {"voc2012": voc, "coco2014": coco, "nuswide": nus, "cub": cub}
    return table | ({} if openimages is None else {"openimages_v3": (openimages, None)})
