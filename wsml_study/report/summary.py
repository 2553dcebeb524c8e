"""A study's results as lines of text."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from wsml_study.record.config_history import num_ended
from wsml_study.record.events import read_history
from wsml_study.record.formats import aligned, number, percent
from wsml_study.record.storage import CONFIRMATION, EVENTS
from wsml_study.record.tables import PAUSED, read_table, searched_keys
from wsml_study.record.trial_history import TrialState
from wsml_study.record.wording import INTERRUPTED, describe, short_names, short_path
from wsml_study.report.answer_summary import answered_lines
from wsml_study.report.group_table import groups_of_trials
from wsml_study.results.all_pairs import pair_lines
from wsml_study.results.answered_runs import MAP, estimate_text
from wsml_study.results.class_counts import class_note_of
from wsml_study.results.confirmation import Confirmation, confirmed_ranking, read_confirmation
from wsml_study.results.divergence import divergence_notes
from wsml_study.results.factor_means import factor_lines
from wsml_study.results.level_results import read_levels
from wsml_study.results.method_grid import grid_lines
from wsml_study.results.ranking import (
    UPPER_BOUND,
    answers,
    by_config,
    contenders,
    has_factors,
    ranked_trials,
    the_front,
)
from wsml_study.results.repeats import repeat_notes
from wsml_study.results.statistics import estimate
from wsml_study.results.tradeoff import front_sentence, missed_by_all
from wsml_study.study.confirm_section import AUTO
from wsml_study.study.identity import without_seeds
from wsml_study.study.objective_section import Objective
from wsml_study.study.reading import read_study
from wsml_study.study.spec import TrialConfig

MOST_ROWS, MOST_FAILED = 40, 3
"""Rows of the ranking after a run, and how many of the failed trials behind them."""

SHOWN_AS_METHOD = {"method.name"}
"""Searched keys that the column `method` shows already."""


def trials_table(trials: pd.DataFrame, *, running: bool = True) -> list[str]:
    """Ranked trials, or configs where these have several runs, as aligned columns; arguments as `trial_columns`."""
    return aligned(trial_columns(trials, running=running))


def first_rows(trials: pd.DataFrame, study_argument: str) -> list[str]:
    """The best of the ranked trials of a study that does not run, and some that failed, so that a reason is seen."""
    columns = trial_columns(trials, running=False)
    states = columns["state"]
    failed = [place for place, state in enumerate(states) if state.startswith("failed") and place >= MOST_ROWS]
    shown = [*range(min(len(states), MOST_ROWS)), *failed[:MOST_FAILED]]
    lines = aligned({name: [values[place] for place in shown] for name, values in columns.items()})
    rest = len(states) - len(shown)
    return lines if rest == 0 else [*lines, f"and {rest:,} more: wsml-study results {study_argument}"]


def trial_columns(trials: pd.DataFrame, *, running: bool = True) -> dict[str, list[str]]:
    """Ranked trials, or configs where these have several runs, as columns of text for people.

    Args:
        trials: ranked.
        running: whether their study runs now; otherwise unfinished trials are called interrupted.
    """
    objective = objective_of(trials)
    trials = by_config(trials)
    searched = short_names(key for key in searched_keys(trials.columns) if key not in SHOWN_AS_METHOD)
    columns = {
        "rank": trials["rank"].astype(str),
        "trial": trials["trial"].astype(str),
        **({"config": trials["config_number"].map(number)} if trials["config_number"].nunique() > 1 else {}),
        "method": trials["method"],
        **{name: trials[key].map(number) for key, name in searched.items()},
        objective.short_label: trials["value"].map(
            lambda value: "-" if pd.isna(value) else f"{value:{objective.number_format}}"
        ),
        **({"estimated mAP": list(trials.apply(estimate_text, axis=1))} if MAP in trials else {}),
        **_measure_columns(trials, objective),
        **({"seeds": trials["runs"].astype(str)} if "runs" in trials else {}),
        **({"test mAP": trials["test_map"].map(percent)} if trials["test_map"].notna().any() else {}),
        "best epoch": trials["best_epoch"].map(number),
        "epochs": trials["last_epoch"].astype(str),
        **({"from": trials["origin"].fillna("sampler")} if trials["origin"].notna().any() else {}),
        "state": _states(trials["state"], running=running)
        + trials["error"].map(lambda error: f": {error}" if isinstance(error, str) else ""),
    }
    return {name: list(values) for name, values in columns.items()}


def _states(states: pd.Series, *, running: bool) -> pd.Series:
    return states if running else states.replace(TrialState.RUNNING.value, INTERRUPTED)


def _measure_columns(trials: pd.DataFrame, objective: Objective) -> dict[str, pd.Series]:
    """The second objective and the front, and the constraints that are missed, of a study that has them."""
    columns: dict[str, pd.Series] = {}
    if (second := objective.second) is not None:
        columns[second.axis] = trials["beside"].map(
            lambda value: "-" if pd.isna(value) else f"{value:{second.number_format}}"
        )
        columns["front"] = trials["front"].map({True: "yes", False: ""})
    if trials["missed"].notna().any():
        columns["misses"] = trials["missed"].fillna("")
    return columns


def objective_of(trials: pd.DataFrame) -> Objective:
    """The objective of trials, which all have the same."""
    return TrialConfig.model_validate_json(trials["config"].iloc[0]).objective if len(trials) else Objective()


def study_summary(folder: Path, *, place: str, num_trials: int, study_argument: str) -> list[str]:
    """The summary printed after a run: the ranking, the answer, where the tables are, the next commands."""
    ranked, levels = ranked_trials(folder), read_levels(folder)
    counts = ranked["state"].value_counts()
    ended, what = int(sum(counts.get(state, 0) for state in ("complete", "stopped", "failed"))), "trials ended"
    if ranked["config_number"].notna().any() and not has_factors(ranked):
        ended, what = num_ended(read_history(folder)), f"configs ended, in {len(ranked)} runs"
    limits, num_paused = limit_lines(folder), int(counts.get(PAUSED, 0))
    num_trials -= num_paused  # the search has ended without them
    lines = [
        f"{folder.name}: {ended} of {num_trials} {what} ({counts.get('complete', 0)} complete, "
        f"{counts.get('stopped', 0)} stopped early, {counts.get('failed', 0)} failed)"
        + (f", {num_paused} paused" if num_paused else ""),
        *limits,
        "",
        *first_rows(ranked, study_argument),
        *class_note_of(folder, objective_of(ranked)),
        "",
        *groups_of_trials(folder, ranked),
        *([] if levels is None else [*levels.lines(), ""]),
        *answer(folder, study_argument=study_argument),
        f"Tables: {short_path(place)}/trials.parquet, epochs.parquet, classes.parquet",
    ]
    if ended < num_trials or (levels is not None and not levels.have_ended):
        return [*lines, "Not finished; nothing is lost. The same command resumes the study."]
    if counts.get("failed", 0) == len(ranked) > 0:
        return [*lines, "Every trial failed; correct the cause named above, then `wsml-study run STUDY --restart`."]
    of_search = not has_factors(ranked) and ranked["test_map"].isna().all()
    if answers(ranked)["value"].notna().any() and of_search:  # with a test mAP, trials are results
        lines += ["Next:", *_next_commands(folder, ranked, study_argument)]
    return lines


def limit_lines(folder: Path) -> list[str]:
    """Why a search with `budget` or `stop_when` has ended, and what it spent; empty for other studies."""
    log = folder / EVENTS
    # Reading the whole log of a large study takes seconds, and most have no limits.
    if not log.exists() or not any(
        key in log.read_bytes() for key in (b'"limits": {"budget"', b'"limits": {"stop_when"')
    ):
        return []
    return read_history(folder).limit_lines()


def answer(folder: Path, *, study_argument: str, pairs: bool = False) -> list[str]:
    """The findings of a study so far. The best value of a search is optimistic, so it is never reported as a result.

    Args:
        folder: of the study's results.
        study_argument: the study as the user types it in commands.
        pairs: also compare all pairs of confirmed configs.
    """
    ranked = by_config(ranked_trials(folder))
    if not ranked["value"].notna().any():
        ended = (ranked["last_epoch"] > 0).any()
        return ["No image is held out, so no trial has a value." if ended else "No trial has finished an epoch yet."]
    if has_factors(ranked):
        paper = _on_paper(study_argument) if ranked["test_map"].notna().any() else []
        grid = grid_lines(read_study(folder / "study.yaml"), ranked)
        return [*factor_lines(folder), *grid, *paper, *_diverged(folder), *repeat_notes(ranked)]
    if ranked["confirms"].notna().any():
        return []  # these are runs of a confirmation, whose study has the answer
    if (none := missed_by_all(ranked)) is not None:
        return [none, *_diverged(folder)]
    notes = [*_upper_bound(ranked), *_diverged(folder), *repeat_notes(ranked)]
    by_answers = answered_lines(folder, study_argument=study_argument)
    confirmation = read_confirmation(folder)
    if confirmation is not None:
        every = ["", *pair_lines(confirmation.pairs(), in_rounds=confirmation.plan.seeds == AUTO)] if pairs else []
        classes = class_note_of(folder / CONFIRMATION, objective_of(ranked), splits=["test"])
        overtaken = _overtaken(ranked, confirmation, study_argument)
        return [*by_answers, *confirmation.lines(), *every, *classes, *overtaken, *notes]
    if (front := front_sentence(ranked, objective_of(ranked))) is not None:
        return [*by_answers, front, "Of one seed each: what is best of many trials is optimistic.", *notes]
    return [*by_answers, *_not_confirmed(ranked, study_argument), *notes]


def _not_confirmed(ranked: pd.DataFrame, study_argument: str) -> list[str]:
    some = contenders(ranked.dropna(subset=["value"]))
    if some["config"].nunique() > 1 and _differ_only_in_seeds(some["config"].tolist()):
        mean, objective = estimate(some["value"].tolist()), objective_of(some)
        said = f"{objective.text(mean.mean)} {objective.label}"
        return [
            f"These {len(some)} trials are one config with other seeds: {said} on average "
            f"({mean.low:.2f} to {mean.high:.2f}); their differences are the effect of the seed."
        ]
    if ranked["test_map"].notna().any():
        return _on_paper(study_argument)
    best = some.iloc[0]
    return [
        f"The search leads with {describe(json.loads(best['values']))} (trial {best['trial']}). Not confirmed yet, and "
        f"the best value of a search is optimistic:",
        f"  wsml-study confirm {study_argument}",
    ]


def _on_paper(study_argument: str) -> list[str]:
    return [
        "The trials were evaluated on the test images. Methods over their seeds, beside the published figures:",
        f"  wsml-study results {study_argument} --paper",
    ]


def _overtaken(ranked: pd.DataFrame, confirmation: Confirmation, study_argument: str) -> list[str]:
    """A note if the search was extended after its confirmation and now leads with another config."""
    best = contenders(ranked.dropna(subset=["value"])).iloc[0]
    if not confirmation.configs or _identity(best["config"]) in {config.identity for config in confirmation.configs}:
        return []
    leader = f"{describe(json.loads(best['values']))} (trial {best['trial']})"
    return [f"The search leads with {leader}, which is not confirmed:", f"  wsml-study confirm {study_argument}"]


def _diverged(folder: Path) -> list[str]:
    num_classes = len(read_table(folder, "classes")["class"].unique())
    return divergence_notes(read_table(folder, "epochs").to_pandas(), num_classes=num_classes)


def _upper_bound(ranked: pd.DataFrame) -> list[str]:
    """The best value with all labels, if the search has trials of `full` beside others."""
    some = ranked.dropna(subset=["value"])
    full = some[some["method"] == UPPER_BOUND]
    if full.empty or len(full) == len(some):
        return []
    return [f"With all labels ({UPPER_BOUND}), an upper bound, the search reached {full['value'].max():.2f} %."]


def _next_commands(folder: Path, ranked: pd.DataFrame, study_argument: str) -> list[str]:
    confirmation = read_confirmation(folder)
    if confirmation is not None and confirmation.configs:
        best, by = confirmed_ranking(folder).iloc[0], "--by confirmed"
    elif "front" in ranked:
        best, by = the_front(ranked).iloc[0], "--front"
    else:
        best, by = contenders(by_config(ranked)).iloc[0], "--per method"
    config = f"configs/{folder.name}-{best['method']}-trial{best['trial']}.yaml"
    return [f"  wsml-study export {study_argument} {by} -o configs/", f"  wsml-study train {config} --seeds 3"]


def _differ_only_in_seeds(configs: list[str]) -> bool:
    one = _identity(configs[0])
    return all(_identity(config) == one for config in configs[1:])  # the first that differs is enough


def _identity(config: str) -> str:
    return without_seeds(TrialConfig.model_validate_json(config))
