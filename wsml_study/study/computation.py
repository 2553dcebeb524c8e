"""What a trial computes, as a fingerprint: two configs with the same one give the same results to the last bit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache

from wsml_study.methods.distrusted_counts import LARGE_LOSS, course
from wsml_study.methods.schedules import schedule
from wsml_study.study.identity import fingerprint
from wsml_study.study.method_section import Schedule
from wsml_study.study.spec import TrialConfig


def computation(config: TrialConfig, *, num_images: int, num_classes: int, num_ranks: int = 1) -> str:
    """Sixteen hexadecimal digits that are equal for two configs only if their trials must compute the same.

    A large-loss method depends on its schedule only through the number of labels that each batch distrusts. So LL-Cp at
    a rate of .001 or of .002 per epoch is one and the same training with batches of 16 images of 20 classes: 1 label.

    Args:
        config: of the trial.
        num_images: to train on.
        num_classes: of the dataset.
        num_ranks: that share a batch.
    """
    method = config.method
    if method.name.value not in LARGE_LOSS or method.schedule is None:
        return fingerprint(config)
    counts = course_of(config, method.schedule, num_images=num_images, num_classes=num_classes, num_ranks=num_ranks)
    without_schedule = config.model_construct(
        **{**dict(config), "method": method.model_copy(update={"schedule": None})}
    )
    text = f"{fingerprint(without_schedule)} {','.join(map(str, counts))}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def course_of(
    config: TrialConfig,
    rates: Schedule,
    *,
    num_images: int,
    num_classes: int,
    num_ranks: int,
    most_epochs: int | None = None,
) -> Iterator[int | Fraction]:
    """What a trial of a large-loss method takes from a schedule, as `course`; other arguments as `computation`.

    Args:
        config: of the trial.
        rates: the schedule, which need not be the config's own.
        most_epochs: to look at; None for all.
    """
    training = config.training
    num_epochs = max(training.num_linear_epochs, training.epochs)
    return course(
        config.method.name.value,
        variant_of(config),
        schedule(**rates.model_dump(mode="json")),
        num_epochs=num_epochs if most_epochs is None else min(num_epochs, most_epochs),
        batches=_batches_of_epoch(num_images, training.batch_size, num_ranks),
        num_classes=num_classes,
    )


def variant_of(config: TrialConfig) -> str:
    """The variant of a large-loss method's config."""
    return str(config.method.given_options["variant"] or "code")


@cache
def _batches_of_epoch(num_images: int, batch_size: int, num_ranks: int) -> Sequence[Sequence[int]]:
    """Images of each batch of an epoch; also with the last two joined, where a network may not train on the last."""
    full, left = divmod(num_images, batch_size)
    batches = (batch_size,) * full + ((left,) if left else ())
    if not 0 < left <= num_ranks or full == 0:
        return (batches,)
    return batches, (*batches[:-2], batch_size + left)
