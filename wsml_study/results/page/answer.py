"""A study's answer in two sentences: which method and rate, how much better than AN; and how sure."""

from __future__ import annotations

from wsml_study.results.confirmation import BASELINE, Confirmation
from wsml_study.results.record import StudyRecord
from wsml_study.results.statistics import Estimate, estimate
from wsml_study.results.wording import p_text
from wsml_study.study.identity import without_seeds
from wsml_study.study.spec import TrialConfig


def answer(record: StudyRecord) -> tuple[str, str]:
    """What was found, and how sure it is. The best value of a search is never the answer."""
    if record.contenders.empty:
        return "No trial has ended an epoch yet.", "There is nothing to say before one has."
    if record.confirmation is not None and record.confirmation.configs:
        return _confirmed(record.confirmation)
    return _seeds_alone(record) or _not_confirmed(record)


def _confirmed(confirmation: Confirmation) -> tuple[str, str]:
    best, baseline = confirmation.configs[0], confirmation.baseline
    mean = f"{best.described} reaches {best.test.mean:.2f} % test mAP (95 % interval {_ends(best.test)})"
    over = f"over {best.test.count} fresh seeds and draws of the hidden labels"
    if best is baseline:
        return f"{mean}, and no other method is confirmed above it.", f"These are means {over}.{_alike(confirmation)}"
    difference = None if baseline is None else confirmation.between(best, baseline)
    if difference is None or baseline is None:
        return f"{mean}.", f"That is the mean {over}; there is no baseline to compare it with."
    test = f"p {p_text(difference.corrected)} in a paired t-test {over}"
    test += f", by Holm for {len(confirmation.differences)} pairs" if len(confirmation.differences) > 1 else ""
    if not difference.is_sure:
        first = f"{mean}; it cannot be told from {baseline.called}."
        return first, f"How sure: {test}; `wsml-study confirm --seeds N` runs more seeds.{_alike(confirmation)}"
    where = "above" if difference.better is best else "below"
    points = f"{difference.points.mean:.2f} points ({_ends(difference.points)}) {where} {baseline.called}"
    return f"{mean}, {points}.", f"How sure: {test}.{_alike(confirmation)}"


def _alike(confirmation: Confirmation) -> str:
    """Which others the best cannot be told from: they are answers as good."""
    best, baseline = confirmation.configs[0], confirmation.baseline
    others = [
        difference.worse if difference.better is best else difference.better
        for difference in confirmation.differences
        if not difference.is_sure and best in (difference.better, difference.worse)
    ]
    if len(others) == len(confirmation.configs) - 1 > 1:
        return " It cannot be told from any of the others."
    named = [other.called for other in others if other is not baseline]
    return f" It cannot be told from {' and '.join(named)} either." if named else ""


def _seeds_alone(record: StudyRecord) -> tuple[str, str] | None:
    """Trials that differ in their seeds alone have no best one."""
    valued = record.trials.dropna(subset=["value"])
    configs = {without_seeds(TrialConfig.model_validate_json(config)) for config in valued["config"]}
    if len(valued) < 2 or len(configs) > 1:
        return None
    found = estimate([float(value) for value in valued["value"]])
    return (
        f"These {len(valued)} trials are one config with other seeds: {found.mean:.2f} % validation mAP on average "
        f"(95 % interval {_ends(found)}).",
        "What they differ by is what seeds do: none of them is better than another.",
    )


def _not_confirmed(record: StudyRecord) -> tuple[str, str]:
    best, baseline = record.contenders.iloc[0], record.baseline
    num_values = int(record.trials["value"].notna().sum())
    of = f"the best of {num_values} values, of one seed each, and the best of a search flatters itself"
    ask = (
        f"`wsml-study confirm` repeats the best configs and {BASELINE} over fresh seeds and draws of the hidden "
        "labels, and says what remains."
    )
    leads = f"The search leads with {best['label']} (trial {best['trial']}), which is not confirmed yet."
    if baseline is None:
        return leads, f"How sure: not at all; it is {of}. {ask}"
    if best["method"] == BASELINE:
        return leads, f"No other method came out ahead of it; that is {of}. {ask}"
    lead = best["value"] - baseline["value"]
    return leads, f"How sure: not at all; its apparent lead over {BASELINE}, {lead:.2f} points, is {of}. {ask}"


def _ends(found: Estimate) -> str:
    return "of one seed" if found.low is None or found.high is None else f"{found.low:.2f} to {found.high:.2f}"
