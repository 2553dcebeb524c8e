"""Trials that diverged without a number that is not finite: their training loss is beyond any sensible value."""

from __future__ import annotations

import pandas as pd

LARGEST_LOSS_PER_CLASS = 100.0
"""Nats. An untrained network's loss is log 2 per class; a mean of 100 means wrong logits of 100 everywhere."""

MOST_NAMED = 50
"""Trials that a note names by number."""


def diverged_trials(epochs: pd.DataFrame, *, num_classes: int) -> dict[int, float]:
    """Trials whose newest training loss is larger than 100 nats per class, as numbers -> loss.

    The limit holds for methods that sum over the classes as well as for those that average.

    Args:
        epochs: the table of epochs.
        num_classes: of the study's dataset.
    """
    newest = epochs.sort_values("epoch").drop_duplicates("trial", keep="last").sort_values("trial")
    too_large = newest[newest["train_loss"] > LARGEST_LOSS_PER_CLASS * max(num_classes, 1)]
    return {int(trial): float(loss) for trial, loss in zip(too_large["trial"], too_large["train_loss"], strict=True)}


def divergence_notes(epochs: pd.DataFrame, *, num_classes: int) -> list[str]:
    """A sentence about the trials that diverged; none if no trial did."""
    diverged = diverged_trials(epochs, num_classes=num_classes)
    if not diverged:
        return []
    largest = f"{max(diverged.values()):.1e}"
    named = list(diverged)[:MOST_NAMED]
    numbers = ", ".join(map(str, named))
    if len(named) < len(diverged):
        numbers += f" and {len(diverged) - len(named):,} more"
    subject, verb = (
        (f"Trial {numbers}", "its value says") if len(diverged) == 1 else (f"Trials {numbers}", "their values say")
    )
    return [
        f"{subject} diverged, though no number was infinite: training loss up to {largest}; {verb} nothing about the "
        "method. Lower the learning rate."
    ]
