"""The last sections of a report: trials, failures, environment, and commands to reproduce the study."""

from __future__ import annotations

import time

import pandas as pd

from wsml_study.record.trial_history import TrialState
from wsml_study.record.wording import duration
from wsml_study.report.figures.figure import Table
from wsml_study.report.page.contents import PageSection, Part
from wsml_study.results.answered_runs import MAP, estimate_text
from wsml_study.results.study_results import StudyRecord
from wsml_study.results.timeline import CUT_SHORT
from wsml_study.study.writing import dump_config

MOST_TRIALS = 100
MOST_FAILURES = 50
NONE = "–"
COMMAND = "command"
"""Key of the command line in the recorded environment."""


def trials_section(record: StudyRecord) -> PageSection:
    """The best trials with their values, and the failures."""
    shown = record.trials.head(MOST_TRIALS)
    text = f"The best {len(shown)} of {len(record.trials)}; all are in trials.parquet."
    took: dict[int, float] = {}
    for attempt in record.attempts:
        took[attempt.trial] = took.get(attempt.trial, 0.0) + attempt.ended - attempt.started
    objective = record.study.objective
    keys = record.key_names if "method.name" in record.key_names else {"method": "method"} | record.key_names
    columns = {
        "rank": shown["rank"].map(str),
        "trial": shown["trial"].map(str),
        **{name: shown[key].map(_shown) for key, name in keys.items()},
        objective.axis: shown["value"].map(
            lambda value: NONE if pd.isna(value) else f"{value:{objective.number_format}}"
        ),
        **({"estimated mAP (%)": list(shown.apply(estimate_text, axis=1))} if MAP in shown else {}),
        "best epoch": shown["best_epoch"].map(_shown),
        "epochs": shown["last_epoch"].map(str),
        **({"from": shown["origin"].fillna("sampler")} if record.trials["origin"].notna().any() else {}),
        "state": shown["state"],
        "took": [duration(took[trial]) if trial in took else NONE for trial in shown["trial"]],
    }
    table = Table(head=tuple(columns), body=tuple(zip(*columns.values(), strict=True)))
    return PageSection(
        name="trials",
        title="The trials",
        text=text if len(shown) < len(record.trials) else "",
        parts=(Part(table=table), *_failures(record)),
    )


def _failures(record: StudyRecord) -> tuple[Part, ...]:
    failed = record.trials[record.trials["state"] == TrialState.FAILED].sort_values("trial")
    broken = [attempt for attempt in record.attempts if attempt.outcome == CUT_SHORT]
    text = f"{len(failed)} of {len(record.trials)} trials failed" if len(failed) else "No trial failed"
    text += f"; {len(broken)} attempts were cut short by a crash or the end of a run, and retried." if broken else "."
    table = Table(
        head=("trial", "config", "attempts", "after epoch", "why"),
        body=tuple(
            (str(row["trial"]), row["label"], str(row["attempts"]), str(row["last_epoch"]), row["error"] or NONE)
            for _, row in failed.head(MOST_FAILURES).iterrows()
        ),
    )
    return (Part(title="Failures", text=text, table=table if len(failed) else None, name="failures"),)


def reproduction_section(record: StudyRecord, *, address: str) -> PageSection:
    """Environment, commands and the study file.

    Args:
        record: of the study.
        address: the study's folder as the reader would type it.
    """
    environment = record.environment
    facts = {
        "git revision": environment.get("git_revision"),
        "data fingerprint": record.history.runs[-1].get("data_fingerprint") if record.history.runs else None,
        "Python": environment.get("python"),
        "platform": environment.get("platform"),
        "CPU": environment.get("cpu") and f"{environment['cpu']}, {environment.get('num_cpus')} of them",
        "GPUs": ", ".join(environment.get("gpus", [])) or ("none" if environment else None),
        "packages": ", ".join(f"{name} {version}" for name, version in environment.get("packages", {}).items()),
        "runs": _runs(record),
    }
    pairs = tuple((name, str(value)) for name, value in facts.items() if value)
    text = "" if environment else "This study was run by a version that did not record its environment."
    return PageSection(
        name="reproduce",
        title="Reproduction",
        parts=(
            Part(title="Environment", text=text, table=Table(head=("what", "value"), body=pairs), name="pairs"),
            Part(title="Commands", commands=_commands(record, address)),
            Part(title="The study file", commands=tuple(dump_config(record.study).splitlines())),
        ),
    )


def _commands(record: StudyRecord, address: str) -> tuple[str, ...]:
    """The command that ran the study, and the next ones."""
    confirmed = record.confirmation is not None and len(record.confirmation.configs) > 0
    commands = [record.environment[COMMAND]] if COMMAND in record.environment else []
    if not record.contenders.empty:
        trial = record.contenders.iloc[0]["trial"]
        commands += [
            f"wsml-study confirm {address}",
            f"wsml-study reproduce {address} {trial}",
            f"wsml-study export {address} {'--by confirmed' if confirmed else '--per method'} -o configs/",
        ]
    return tuple(commands)


def _runs(record: StudyRecord) -> str:
    times = [run["time"] for run in record.history.runs if "time" in run]
    if not times:
        return ""
    first, last = (time.strftime("%Y-%m-%d %H:%M", time.localtime(at)) for at in (times[0], times[-1]))
    return f"one, on {first}" if len(times) == 1 else f"{len(times)}, from {first} to {last}"


def _shown(value: object) -> str:
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return NONE
    return f"{value:.4g}" if isinstance(value, float) else str(value)
