"""The commands that the page offers for a study in its state, and why others are not offered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wsml_study.live.found_studies import FoundStudy
from wsml_study.study.budget_section import UNBOUNDED_TRIALS
from wsml_study.study.confirm_section import AUTO, Confirm
from wsml_study.tuning.status import Status


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A button.

    Attributes:
        action: of the order.
        label: on the button.
        says: what it does, in a sentence, for the dialog.
        why_not: why it cannot be used now; empty where it can.
        fields: name of an option of the order -> its value to begin with.
    """

    action: str
    label: str
    says: str
    why_not: str = ""
    fields: tuple[tuple[str, Any], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        fields = [{"name": name, "value": value} for name, value in self.fields]
        return {
            "action": self.action,
            "label": self.label,
            "says": self.says,
            "why_not": self.why_not,
            "fields": fields,
        }


def offers(found: FoundStudy, status: Status, *, state: str, has_value: bool) -> list[Offer]:
    """The buttons of a study.

    Args:
        found: the study.
        status: of it.
        state: what it is doing, as of `activity_of`.
        has_value: a trial has a value.
    """
    no_value = "" if has_value else "No trial has a value yet."
    at_work = state in ("running", "confirming")
    busy = "The study is at work; stop it first." if at_work else ""
    return [
        Offer(
            action="stop",
            label="Stop",
            says="Ends the run after the current epochs. What they learned is kept; it can go on later.",
            why_not="" if at_work else "The study is not running.",
        ),
        Offer(
            action="run",
            label="Go on" if state == "interrupted" else "More trials",
            says="Runs the study on this machine, from where it stands. It goes on when this page is closed.",
            why_not=busy or _renamed(found, status),
            fields=_size(status),
        ),
        Offer(
            action="confirm",
            label="Confirm",
            says="Trains the best configs and the best baseline again, with fresh seeds, on this machine.",
            why_not=busy or _no_confirmation(status) or no_value,
            fields=_plan(status),
        ),
        Offer(
            action="export",
            label="Export",
            says="Writes the best configs as files that `train` takes, into the folder configs beside where the server "
            "was started.",
            why_not=no_value,
            fields=(("by", _export_by(status)),),
        ),
        Offer(
            action="report",
            label="Write report",
            says="Writes report.html into the study's folder: one file that works offline.",
            why_not="" if status.history.trials else "No trial has begun yet.",
        ),
    ]


def _size(status: Status) -> tuple[tuple[str, Any], ...]:
    if status.study.budget is not None:
        return (("budget", ",".join(f"{value:g}{UNITS[key]}" for key, value in status.study.budget.limits())),)
    if status.num_trials >= UNBOUNDED_TRIALS:
        return ()
    more = 0 if status.state == "interrupted" else max(1, status.num_trials // 2)
    return (("trials", status.num_trials + more),)


UNITS = {"hours": "h", "epochs": "epochs", "gpu_hours": "gpuh"}


def _plan(status: Status) -> tuple[tuple[str, Any], ...]:
    plan = status.study.confirm or Confirm()
    return (("top", plan.top), ("seeds", AUTO if plan.seeds == AUTO else plan.seeds))


def _export_by(status: Status) -> str:
    if status.study.objective.beside is not None:
        return "front"
    return "confirmed" if status.confirmation is not None and status.confirmation.trials else "value"


def _renamed(found: FoundStudy, status: Status) -> str:
    if found.place.folder.name == status.study.name:
        return ""
    return f"The folder has another name than its study, {status.study.name}; run it from its study file."


def _no_confirmation(status: Status) -> str:
    if status.study.factors:
        return "Every config has run at all levels of the study's factors already."
    if status.study.objective.beside is not None:
        return "The study has two objectives; export its front instead."
    return ""
