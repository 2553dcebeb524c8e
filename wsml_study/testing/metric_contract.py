"""What every epoch metric promises.

Shapes: M validation images, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from wsml_study.methods.contract import NEGATIVE, PADDING, POSITIVE, UNOBSERVED
from wsml_study.options import Value
from wsml_study.registry import implementation
from wsml_study.study.metric_record import METRICS
from wsml_study.testing.promises import expect, keep_promise

NUM_IMAGES, NUM_CLASSES, NUM_DRAWS = 40, 6, 20


@dataclass(frozen=True, kw_only=True)
class MetricCase:
    """A metric with options.

    Attributes:
        name: of its record.
        options: values of its options; absent ones take their defaults.
    """

    name: str
    options: Mapping[str, Value] = field(default_factory=dict)

    def __call__(self, scores_MC: Tensor, labels_MC: Tensor) -> float:
        """The metric's value."""
        record = METRICS[self.name]
        compute = implementation(record.compute) if isinstance(record.compute, str) else record.compute
        options = {one.key: one.default for one in record.options} | dict(self.options)
        return float(compute(scores_MC, labels_MC, **options))

    def goodness(self, scores_MC: Tensor, labels_MC: Tensor) -> float:
        """Its value, turned so that a larger one is better."""
        value = self(scores_MC, labels_MC)
        return value if METRICS[self.name].greater_is_better else -value


def check_metric(name: str, **options: Value) -> None:
    """Check that a registered epoch metric keeps its contract.

    Args:
        name: of its record, without `best_val_` or `last_val_`.
        options: values of the metric's options.

    Raises:
        AssertionError: a promise is broken; the message says which.
        KeyError: there is no such metric.
    """
    case = MetricCase(name=name, options=options)
    _ = METRICS[name]
    for promise in METRIC_CONTRACT:
        keep_promise(promise, case, f"metric {name}")


def random_labels(*, annotated: float = 1.0) -> Tensor:
    """int8 (M, C) with a positive and a negative for every image and class; a share of the others is not annotated."""
    generator = torch.Generator().manual_seed(3)
    shape = (NUM_IMAGES, NUM_CLASSES)
    labels_MC = torch.where(torch.rand(shape, generator=generator) < 0.3, POSITIVE, NEGATIVE)
    hidden_MC = torch.rand(shape, generator=generator) >= annotated
    labels_MC = labels_MC.masked_fill(hidden_MC, UNOBSERVED)
    image_M = torch.arange(NUM_IMAGES)
    labels_MC[image_M, image_M % NUM_CLASSES] = POSITIVE
    labels_MC[image_M, (image_M + 1) % NUM_CLASSES] = NEGATIVE
    return labels_MC.to(torch.int8)


def random_scores(seed: int) -> Tensor:
    """Logits (M, C) that say nothing."""
    return torch.randn((NUM_IMAGES, NUM_CLASSES), generator=torch.Generator().manual_seed(seed))


def annotated_images_have_a_finite_value(case: MetricCase) -> None:
    """Also where some labels are not annotated."""
    for annotated in (1.0, 0.5):
        for seed in range(NUM_DRAWS):
            value = case(random_scores(seed), random_labels(annotated=annotated))
            expect(math.isfinite(value), f"the value is {value} with {annotated:.0%} of the labels annotated")


def nothing_annotated_has_no_value(case: MetricCase) -> None:
    """NaN, which is recorded as no value, instead of a number that would be compared."""
    for state in (UNOBSERVED, PADDING):
        value = case(random_scores(0), torch.full((NUM_IMAGES, NUM_CLASSES), state, dtype=torch.int8))
        expect(math.isnan(value), f"expected NaN where nothing is annotated, got {value}")


def perfect_scores_are_at_least_as_good_as_random_ones(case: MetricCase) -> None:
    """In the direction of the record."""
    labels_MC = random_labels()
    best = case.goodness(_perfect(labels_MC), labels_MC)
    for seed in range(NUM_DRAWS):
        other = case.goodness(random_scores(seed), labels_MC)
        expect(best >= other, f"random scores are better than perfect ones: {abs(other)} against {abs(best)}")


def perfect_scores_are_better_than_reversed_ones(case: MetricCase) -> None:
    """In the direction of the record."""
    labels_MC = random_labels()
    best, worst = (case.goodness(scores_MC, labels_MC) for scores_MC in (_perfect(labels_MC), -_perfect(labels_MC)))
    expect(best > worst, f"scores of the wrong sign are as good as perfect ones: {abs(worst)} against {abs(best)}")


def the_order_of_images_does_not_matter(case: MetricCase) -> None:
    """Ranks gather their shares in another order."""
    scores_MC, labels_MC = random_scores(0), random_labels(annotated=0.5)
    one, other = case(scores_MC, labels_MC), case(scores_MC.flip(0), labels_MC.flip(0))
    expect(math.isclose(one, other, rel_tol=1e-6), f"in reverse order it is {other} instead of {one}")


def scores_and_labels_are_only_read(case: MetricCase) -> None:
    """Other metrics come after it."""
    scores_MC, labels_MC = random_scores(0), random_labels(annotated=0.5)
    copies = scores_MC.clone(), labels_MC.clone()
    case(scores_MC, labels_MC)
    expect(torch.equal(scores_MC, copies[0]), "the scores have changed")
    expect(torch.equal(labels_MC, copies[1]), "the labels have changed")


def it_is_the_same_on_a_gpu(case: MetricCase) -> None:
    """Where this machine has one: scores and labels come on the device of the trial."""
    if not torch.cuda.is_available():
        return
    scores_MC, labels_MC = random_scores(0), random_labels(annotated=0.5)
    on_cpu, on_gpu = case(scores_MC, labels_MC), case(scores_MC.cuda(), labels_MC.cuda())
    expect(math.isclose(on_cpu, on_gpu, rel_tol=1e-6), f"on a GPU it is {on_gpu} instead of {on_cpu}")


METRIC_CONTRACT: tuple[Callable[[MetricCase], None], ...] = (
    annotated_images_have_a_finite_value,
    nothing_annotated_has_no_value,
    perfect_scores_are_at_least_as_good_as_random_ones,
    perfect_scores_are_better_than_reversed_ones,
    the_order_of_images_does_not_matter,
    scores_and_labels_are_only_read,
    it_is_the_same_on_a_gpu,
)
"""All promises of an epoch metric."""


def _perfect(labels_MC: Tensor) -> Tensor:
    return 4.0 * labels_MC.float()
