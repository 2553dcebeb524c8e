"""A study's answer in two sentences: what, and how sure."""

from __future__ import annotations

from wsml_study.results.record import BASELINE, StudyRecord


def answer(record: StudyRecord) -> tuple[str, str]:
    """Which method and rate, how much better than AN; and how sure."""
    if record.contenders.empty:
        return "No trial has ended an epoch yet.", "Come back when one has."
    return _what(record), _how_sure(record)


def _what(record: StudyRecord) -> str:
    best = record.contenders.iloc[0]
    reached = f"its best trial reached {best['value']:.2f} % validation mAP"
    baseline = record.baseline
    if baseline is None:
        return f"The search points to {best['label']}: {reached}, with no {BASELINE} trial to compare it with."
    if best["method"] != BASELINE:
        gain = best["value"] - baseline["value"]
        return f"The search points to {best['label']}: {reached}, {gain:.2f} points above the best {BASELINE} trial."
    others = record.contenders[record.contenders["method"] != BASELINE]
    if others.empty:
        return f"The search knows {BASELINE} alone: {reached}."
    behind = best["value"] - others.iloc[0]["value"]
    return f"No method beat {BASELINE} in this search: {reached}, {behind:.2f} points above {others.iloc[0]['label']}."


def _how_sure(record: StudyRecord) -> str:
    num_values = int(record.trials["value"].notna().sum())
    how_many = "the best of one value" if num_values == 1 else f"the best of {num_values} values, of one seed each"
    return (
        f"That is not sure yet: it is {how_many}, and the best of a search flatters itself. `wsml-study confirm` "
        f"repeats the best trials and {BASELINE} over fresh seeds and fresh draws of the hidden labels, and says what "
        "remains."
    )
