"""What a confirmation will be able to find, by the deviation that an earlier confirmation of the study has shown."""

from __future__ import annotations

from pathlib import Path

from wsml_study.study.confirm_section import Confirm
from wsml_study.study.spec import Study

CONFIRMATION_LOG = "confirm/events.jsonl"


def expected_power(study: Study, plan: Confirm) -> list[str]:
    """A line on the smallest difference that the plan's seeds would find; none while no deviation is known.

    Args:
        study: whose folder is looked into, if it is on this machine.
        plan: of its confirmation.

    Raises:
        ResultsError: the folder is damaged.
    """
    folder = Path(study.storage) / study.name
    if not (folder / CONFIRMATION_LOG).exists():
        return []
    # Late: `check` of a study without results starts without pandas.
    from wsml_study.results.confirmation import read_confirmation, rule_of_plan
    from wsml_study.results.power import smallest_difference

    found = read_confirmation(folder)
    if found is None or not found.comparisons:
        return []
    deviation = max(one.deviation for one in found.comparisons)
    level = rule_of_plan(plan).rounds.last_level(plan.alpha / len(found.comparisons))
    least = smallest_difference(deviation, plan.most_seeds, level)
    return [
        f"      {plan.most_seeds} seeds find a difference of {least:.2f} points of test mAP in 8 of 10 cases: paired "
        f"differences have deviated by up to {deviation:.2f} so far"
    ]
