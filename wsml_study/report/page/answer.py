"""A study's answer in two sentences: which method and rate, how much better than AN; and how significant that is."""

from __future__ import annotations

import pandas as pd

from wsml_study.record.config_history import num_ended
from wsml_study.record.history import ENDED
from wsml_study.record.wording import p_text, spaced
from wsml_study.results.confirmation import BASELINE, Confirmation
from wsml_study.results.divergence import divergence_notes
from wsml_study.results.ranking import UPPER_BOUND
from wsml_study.results.statistics import Estimate, estimate
from wsml_study.results.study_results import StudyRecord
from wsml_study.study.identity import without_seeds
from wsml_study.study.spec import TrialConfig


def answer(record: StudyRecord) -> tuple[str, str]:
    """The finding, and its significance. The best value of a search is biased upwards, so it is never the answer."""
    if record.contenders.empty:
        return "No trial has finished an epoch yet.", "There are no results before one has."
    if record.confirmation is not None and record.confirmation.configs:
        return _confirmed(record.confirmation)
    return _only_seeds_differ(record) or _not_confirmed(record)


def remarks(record: StudyRecord) -> tuple[str, ...]:
    """Notes that belong to the answer: unfinished study, unconfirmed leader, upper bound, trials that diverged."""
    said = []
    ended, wanted = int(record.trials["state"].isin(ENDED).sum()), record.history.num_trials or len(record.trials)
    what = "trials"
    if record.history.runs_per_config > 1:
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


def _confirmed(confirmation: Confirmation) -> tuple[str, str]:
    best, baseline = confirmation.configs[0], confirmation.baseline
    mean = f"{spaced(best.described)} reaches {best.test.mean:.2f} % test mAP (95 % interval {_ends(best.test)})"
    over = f"over {best.test.count} fresh seeds and draws of the hidden labels"
    if best is baseline:
        return (
            f"{mean}, and no other method is confirmed above it.",
            f"These are means {over}.{_equally_good(confirmation)}",
        )
    difference = None if baseline is None else confirmation.between(best, baseline)
    if difference is None or baseline is None:
        return f"{mean}.", f"That is the mean {over}; there is no baseline to compare it with."
    test = f"p {p_text(difference.corrected)} in a paired t-test {over}"
    test += f", by Holm for {len(confirmation.differences)} pairs" if len(confirmation.differences) > 1 else ""
    if not difference.is_significant:
        first = f"{mean}; it does not differ significantly from {baseline.called}."
        return (
            first,
            f"Significance: {test}; `wsml-study confirm --seeds N` runs more seeds.{_equally_good(confirmation)}",
        )
    where = "above" if difference.better is best else "below"
    points = f"{difference.points.mean:.2f} points ({_ends(difference.points)}) {where} {baseline.called}"
    return f"{mean}, {points}.", f"Significance: {test}.{_equally_good(confirmation)}"


def _equally_good(confirmation: Confirmation) -> str:
    """The configs that do not differ significantly from the best, which are equally good answers."""
    best, baseline = confirmation.configs[0], confirmation.baseline
    others = [
        difference.worse if difference.better is best else difference.better
        for difference in confirmation.differences
        if not difference.is_significant and best in (difference.better, difference.worse)
    ]
    if len(others) == len(confirmation.configs) - 1 > 1:
        return " It does not differ significantly from any of the others."
    named = [other.called for other in others if other is not baseline]
    return f" It does not differ significantly from {' or '.join(named)} either." if named else ""


def _only_seeds_differ(record: StudyRecord) -> tuple[str, str] | None:
    """The answer if all trials differ only in their seeds, so that a best one has no meaning; None otherwise."""
    valued = record.trials.dropna(subset=["value"])
    configs = {without_seeds(TrialConfig.model_validate_json(config)) for config in valued["config"]}
    if valued["config"].nunique() < 2 or len(configs) > 1:
        return None
    found, objective = estimate([float(value) for value in valued["value"]]), record.study.objective
    return (
        f"These {len(valued)} trials are one config with other seeds: {objective.text(found.mean)} {objective.label} "
        f"on average (95 % interval {_ends(found)}).",
        "Their differences are the effect of the seed: none of them is better than another.",
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
    lead = best["value"] - baseline["value"]
    return leads, f"Significance: unknown; its apparent lead over {BASELINE}, {lead:.2f} points, is {of}. {ask}"


def _ends(found: Estimate) -> str:
    return "of one seed" if found.low is None or found.high is None else f"{found.low:.2f} to {found.high:.2f}"
