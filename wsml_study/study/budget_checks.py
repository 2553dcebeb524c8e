"""Checks of `budget` and `stop_when`: searches that they cannot end, and limits that cannot be counted."""

from __future__ import annotations

from collections.abc import Iterator

from wsml_study.study.problems import Problem
from wsml_study.study.spec import Draft


def check_budget(draft: Draft) -> Iterator[Problem]:
    """All problems of `budget` and `stop_when`."""
    for section in ("budget", "stop_when"):
        if getattr(draft, section) is not None and (message := _not_with(draft, section)) is not None:
            yield Problem(label=section, message=message, path=(section,), at_key=True)
    if draft.budget is not None and draft.budget.gpu_hours is not None and draft.resources.gpus_per_worker == 0:
        message = "trials use no GPU (resources.gpus_per_worker is 0), so this would never be spent; use `hours`"
        yield Problem(label="budget.gpu_hours", message=message, path=("budget", "gpu_hours"), at_key=True)


def _not_with(draft: Draft, section: str) -> str | None:
    """Why a study cannot have the section."""
    if not draft.search:
        return "a study without `search` is one trial, which ends by itself; remove it, or search something"
    if draft.fidelity is not None:
        return "cannot go with `fidelity`, whose levels have fixed numbers of trials; remove one of the two"
    if draft.early_stopping.record.is_population:
        return (
            f"cannot go with early_stopping {draft.early_stopping.name}: a population is trained together, and a part "
            "of its training is not a result"
        )
    if section == "stop_when" and draft.trials == 1:
        return "needs `trials` or `budget` as well, which end the search if this is never reached"
    return None
