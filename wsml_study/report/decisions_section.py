"""Thresholds and calibration of a model as text: lines for a terminal, and a section of the model card."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wsml_study.record.decision_rules import NO_THRESHOLD, ClassRule, DecisionRules, Interval
from wsml_study.record.formats import aligned

START, END = "<!-- decisions -->", "<!-- /decisions -->"
BEFORE = "## Limits\n"
MOST_SHOWN = 20
EXPLAINED = (
    "Precision and recall are cross-fitted: each image was decided by thresholds chosen without it. Intervals are 95 % "
    "(Clopper and Pearson)."
)
KINDS = {
    "none": "as trained, which no calibration improved",
    "pooled": "one sigmoid for all classes",
    "platt": "a sigmoid per class (Platt), and one for all classes with few labels",
    "isotonic": "isotonic regression per class, and one sigmoid for all classes with few labels",
}


def decision_lines(rules: DecisionRules) -> list[str]:
    """What was chosen, as text for a terminal."""
    lines = [f"thresholds for {rules.target}, chosen by {rules.origin.data}: {rules.origin.num_images:,} images", ""]
    lines += aligned(_columns(rules.classes))
    return [*lines, "", EXPLAINED, *_without(rules), *_calibration(rules), *(f"warning: {w}" for w in rules.warnings)]


def with_decisions(card: str, rules: DecisionRules) -> str:
    """A model card with a section of these rules: in place of an earlier one, before the limits, or at the end."""
    columns = _columns(rules.classes)
    rows = [tuple(columns), ("---",) * len(columns), *zip(*columns.values(), strict=True)]
    remarks = [EXPLAINED, "\n".join(_without(rules)), *_calibration(rules)]
    remarks += [f"**Warning:** {one}." for one in rules.warnings]
    section = "\n".join(
        [
            START,
            "## Decisions",
            "",
            f"Thresholds for {rules.target}, chosen by {rules.origin.data} ({rules.origin.num_images:,} images) on "
            f"{rules.origin.date} with `{rules.origin.command}`; `wsml-study predict --decide` uses them.",
            "",
            *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows),
            "",
            *(line for remark in remarks if remark for line in (remark, "")),
            END,
            "",
        ]
    )
    earlier = re.compile(f"{re.escape(START)}.*?{re.escape(END)}\n", flags=re.DOTALL)
    if earlier.search(card):
        return earlier.sub(lambda _: section, card, count=1)
    if BEFORE in card:
        return card.replace(BEFORE, f"{section}\n{BEFORE}", 1)
    return f"{card.rstrip()}\n\n{section}"


def interval_text(found: Interval | None) -> str:
    """A share with its interval.

    >>> interval_text(Interval(value=0.9, low=0.8, high=0.95))
    '0.90 [0.80, 0.95]'
    """
    return "-" if found is None else f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def threshold_text(threshold: float | None) -> str:
    """A threshold, or that there is none."""
    return NO_THRESHOLD if threshold is None else f"{threshold:.4g}"


def _columns(classes: tuple[ClassRule, ...]) -> dict[str, list[str]]:
    columns = {
        "class": [rule.name for rule in classes],
        "threshold": [threshold_text(rule.threshold) for rule in classes],
        "precision": [interval_text(rule.precision) for rule in classes],
        "recall": [interval_text(rule.recall) for rule in classes],
        "F1": ["-" if rule.f1 is None else f"{rule.f1:.2f}" for rule in classes],
        "positives": [f"{rule.positives:,}" for rule in classes],
        "negatives": [f"{rule.negatives:,}" for rule in classes],
    }
    if any(rule.unknown for rule in classes):
        columns["unknown"] = [f"{rule.unknown:,}" for rule in classes]
    return columns


def _without(rules: DecisionRules) -> Iterator[str]:
    if not rules.without:
        return
    yield (
        f"{len(rules.without):,} of {len(rules.classes):,} classes have no threshold. There is no substitute for one: "
        f'`predict --decide` writes "{NO_THRESHOLD}" beside their probabilities. More labelled images give them one:'
    )
    yield from (f"- {rule.name}: {rule.why_none}" for rule in rules.without[:MOST_SHOWN])
    if len(rules.without) > MOST_SHOWN:
        yield f"- and {len(rules.without) - MOST_SHOWN:,} more"


def _calibration(rules: DecisionRules) -> Iterator[str]:
    found = rules.calibration
    yield (
        f"Calibration of the probabilities: {KINDS[found.kind]}. Log loss {found.log_loss_before:.4f} before, "
        f"{found.log_loss:.4f} after (cross-fitted); calibration error {found.ece_before:.4f} before, {found.ece:.4f} "
        f"after."
    )
