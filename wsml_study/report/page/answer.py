"""A study's answer in two sentences: which method and rate, how much better than AN; and how significant that is."""

from __future__ import annotations

from statistics import fmean

import pandas as pd

from wsml_study.record.config_history import num_ended
from wsml_study.record.trial_history import ENDED
from wsml_study.report.answer_summary import answered_lines
from wsml_study.results.answered_runs import MAP
from wsml_study.results.confirmation import BASELINE
from wsml_study.results.divergence import divergence_notes
from wsml_study.results.factor_means import level_means
from wsml_study.results.method_grid import method_grid
from wsml_study.results.ranking import UPPER_BOUND
from wsml_study.results.statistics import Estimate, estimate
from wsml_study.results.study_results import StudyRecord
from wsml_study.results.tradeoff import front_sentence, missed_by_all
from wsml_study.study.identity import without_seeds
from wsml_study.study.spec import TrialConfig


def answer(record: StudyRecord) -> tuple[str, str]:
    """The finding, and its significance. The best value of a search is biased upwards, so it is never the answer."""
    if record.contenders.empty:
        none = missed_by_all(record.trials)
        if none is not None:
            return none, "Trials that miss a constraint are listed below, and are no answer."
        return "No trial has finished an epoch yet.", "There are no results before one has."
    if record.confirmation is not None and record.confirmation.configs:
        found = record.confirmation
        return found.finding, f"Significance: {found.significance}"
    front = front_sentence(record.trials, record.study.objective)
    if front is not None:
        return front, "Each is of one seed, and what is best of many trials is optimistic."
    return _only_seeds_differ(record) or _over_levels(record) or _not_confirmed(record)


def remarks(record: StudyRecord) -> tuple[str, ...]:
    """Notes that belong to the answer: unfinished study, unconfirmed leader, upper bound, trials that diverged."""
    said = []
    ended, wanted = int(record.trials["state"].isin(ENDED).sum()), record.history.num_trials or len(record.trials)
    what = "trials"
    if record.history.counts_configs:
        ended, what = num_ended(record.history), "configs"
    if record.levels is not None and not record.levels.have_ended:
        said.append(f"This study is not finished: {'; '.join(record.levels.lines()[: len(record.levels.states)])}.")
    elif ended < wanted:
        said.append(f"This study is not finished: {ended} of {wanted} {what} have ended.")
    if (leader := _leader_that_is_not_confirmed(record)) is not None:
        said.append(
            f"The search was extended since and leads with {leader['label']} (trial {leader['trial']}), which is not "
            "confirmed: `wsml-study confirm` adds it."
        )
    said += [line for line in answered_lines(record.folder, study_argument="STUDY") if not line.startswith(" ")]
    best = record.best_trials
    full = best[best["method"] == UPPER_BOUND]
    if len(full) and len(best) > 1:
        said.append(
            f"With all labels ({UPPER_BOUND}), an upper bound, the search reached "
            f"{record.study.objective.text(full.iloc[0]['value'])} {record.study.objective.label}."
        )
    said += divergence_notes(record.epochs, num_classes=record.classes["class"].nunique())
    return tuple(said)


def _leader_that_is_not_confirmed(record: StudyRecord) -> pd.Series | None:
    """The best trial of a search that was extended after its confirmation, if its config is not confirmed."""
    if record.contenders.empty or record.confirmation is None or not record.confirmation.configs:
        return None
    best = record.contenders.iloc[0]
    known = {config.identity for config in record.confirmation.configs}
    return None if without_seeds(TrialConfig.model_validate_json(best["config"])) in known else best


def _only_seeds_differ(record: StudyRecord) -> tuple[str, str] | None:
    """The answer if all trials differ only in their seeds, so that a best one has no meaning; None otherwise."""
    valued = record.trials.dropna(subset=["value"])
    configs = valued["config"].unique()
    identities = (without_seeds(TrialConfig.model_validate_json(config)) for config in configs)
    first = next(identities, None)
    if len(configs) < 2 or any(identity != first for identity in identities):  # the first that differs is enough
        return None
    found, objective = estimate([float(value) for value in valued["value"]]), record.study.objective
    return (
        f"These {len(valued)} trials are one config with other seeds: {objective.text(found.mean)} {objective.label} "
        f"on average (95 % interval {_ends(found)}).",
        "Their differences are the effect of the seed: none of them is better than another.",
    )


def _over_levels(record: StudyRecord) -> tuple[str, str] | None:
    """The answer of a study with factors: each method's mean over all levels; None for other studies."""
    means: dict[str, list[float]] = {}
    for one in level_means(record.study, record.trials):
        means.setdefault(one.method, []).append(one.value.mean)
    if not means:
        return None
    objective = record.study.objective
    grid = method_grid(record.study, record.trials)
    if grid is not None and len(grid.methods) > 1:
        return " ".join(grid.sentences()), f"{grid.how}."
    said = [f"{method} {objective.text(fmean(values))}" for method, values in means.items()]
    which = "of the best config of each method " if record.study.search else ""
    factors = " and ".join(record.study.factors or {})
    return (
        f"Mean {objective.label} {which}over all levels of {factors}: {', '.join(said)}.",
        "The curves below show each level, with 95 % intervals over seeds and draws where these are factors.",
    )


def _not_confirmed(record: StudyRecord) -> tuple[str, str]:
    best, baseline = record.contenders.iloc[0], record.baseline
    num_values = int(record.trials["value"].notna().sum())
    of = f"the best of {num_values} values, of one seed each, and the best value of a search is optimistic"
    ask = (
        f"`wsml-study confirm` repeats the best configs and {BASELINE} over fresh seeds and draws of the hidden "
        "labels, and tests the differences."
    )
    leads = f"The search leads with {best['label']} (trial {best['trial']}), which is not confirmed yet."
    if baseline is None:
        return leads, f"Significance: unknown; it is {of}. {ask}"
    if best["method"] == BASELINE:
        return leads, f"No other method came out ahead of it; that is {of}. {ask}"
    by = MAP if pd.notna(best.get(MAP)) and pd.notna(baseline.get(MAP)) else "value"
    lead = best[by] - baseline[by]
    return leads, f"Significance: unknown; its apparent lead over {BASELINE}, {lead:.2f} points, is {of}. {ask}"


def _ends(found: Estimate) -> str:
    return "of one seed" if found.low is None or found.high is None else f"{found.low:.2f} to {found.high:.2f}"
