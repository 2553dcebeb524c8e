"""Describes in words which training images and which of their labels a study trains on."""

from __future__ import annotations

from wsml_study.study.data_section import Data, Observe

BY = {"area": "the area of their boxes", "centre": "how near their boxes are to the centre"}


def observation(observe: Observe) -> str:
    """Which training labels are observed, in words."""
    drawn = f"drawn with seed {observe.seed}"
    if observe.share is not None:
        return f"seen of the training labels: {observe.share:.1%}, {drawn}"
    if observe.share_per_class is not None:
        return f"seen of the training labels: {observe.share_per_class:.1%} of those of each class, {drawn}"
    if (observe.positives, observe.negatives) == ("all", "all"):
        return "seen of the training labels: all that there are"
    bias = "" if observe.bias is None else f", odds of a class's frequency to the power {observe.bias:g}"
    if observe.salient is not None:
        bias = f", positives by {BY[observe.salient]}"
    if observe.semantic is not None:
        bias = f", positives by the weights of their classes in {observe.semantic}"
    return (
        f"seen of the training labels: {observe.positives} positive and {observe.negatives} negative per image, "
        f"{drawn}{bias}"
    )


def train_share(data: Data) -> str:
    """The share of the images that is trained on, in words; `data.train_share` is given."""
    source = "training images that are not held out" if data.holds_out else "training images"
    return f"trained on {100 * (data.train_share or 1):.4g} % of the {source}, drawn with seed {data.validation.seed}"
