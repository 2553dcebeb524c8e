"""Comparison of confirmed configs with the baseline: difference, interval, verdict, and what would settle it.

Shapes: S seeds, R resamples of the test images, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wsml_study.record.wording import p_text
from wsml_study.results.confirmed_runs import ConfirmedConfig, Run, resampled_map
from wsml_study.results.crossed import Seeds
from wsml_study.results.power import MOST_SEEDS, seeds_to_be_equivalent, seeds_to_find, smallest_difference
from wsml_study.results.resampled_intervals import interval_over_images, intervals_over_images
from wsml_study.results.sequential import Floats
from wsml_study.results.statistics import Estimate, estimate
from wsml_study.results.verdicts import Judged, Rule, Verdict, judge

FEWEST_SEEDS = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class AgainstBaseline:
    """A confirmed config beside the baseline, over the seeds that both ran with.

    Attributes:
        config, baseline: the two configs.
        classes: their names.
        points: difference in test mAP, config - baseline, in percentage points.
        deviation: standard deviation of the paired differences over the seeds, in points.
        judged: verdict and p values.
        margin: of equivalence, in points; None without.
        smallest: the difference that the confirmation, with all seeds that it may run, would find in 8 of 10 cases.
        seeds_to_settle: the number of seeds that would settle it in 8 of 10 cases if the difference is as observed;
            None if it is settled, or takes more than 1,000.
    """

    config: ConfirmedConfig
    baseline: ConfirmedConfig
    classes: tuple[str, ...]
    points: Estimate
    deviation: float
    judged: Judged
    margin: float | None
    smallest: float
    seeds_to_settle: int | None

    @property
    def verdict(self) -> Verdict:
        """The outcome."""
        return self.judged.verdict

    @property
    def is_settled(self) -> bool:
        """Whether there is a finding: a difference, or equivalence."""
        return self.verdict not in (Verdict.OPEN, Verdict.FUTILE)

    @property
    def by_class(self) -> pd.DataFrame:
        """Class, gain over the baseline in AP (percentage points), and its interval: columns class, gain, low, high.

        The intervals are of one class each, not corrected for the number of classes. Classes without AP are left out.
        """
        pairs = list(_pairs(self.config, self.baseline))
        gains_SC = np.array([_gains(one.test_ap, other.test_ap) for one, other in pairs])
        counted = np.flatnonzero(~np.isnan(gains_SC).any(axis=0))
        if self.config.over_images and self.baseline.over_images:
            resampled_SRC = np.stack([_resampled_gains(one, other)[:, counted] for one, other in pairs])
            found = intervals_over_images(gains_SC[:, counted], resampled_SRC)
        else:
            found = [estimate(gains_SC[:, c].tolist()) for c in counted]
        rows = [(self.classes[c], one.mean, one.low, one.high) for c, one in zip(counted, found, strict=True)]
        return pd.DataFrame(rows, columns=["class", "gain", "low", "high"])

    def line(self) -> str:
        """The outcome as a sentence."""
        gain = f"{self.points.mean:+.2f} points ({self.points.ends})"
        one, other, p = self.config.called, self.baseline.called, p_text(self.judged.corrected)
        match self.verdict:
            case Verdict.ABOVE | Verdict.BELOW:
                return f"{one} is {self.verdict} {other}: {gain}, p {p}.{self.caution}"
            case Verdict.EQUIVALENT:
                assert self.judged.equivalence is not None
                same, points = (
                    p_text(self.judged.equivalence),
                    f"{self.margin:g} point{'' if self.margin == 1 else 's'}",
                )
                return f"{one} is equivalent to {other} within {points}: {gain}, p {same}."
            case Verdict.FUTILE:
                tried = f"given up after {self.points.count} seeds, since more had little chance to show a difference"
                return f"{one} and {other}: {gain}, p {p}; {tried}."
            case Verdict.OPEN:
                return f"{one} and {other}: {gain}, p {p}; not settled. {self._what_it_takes()}"

    @property
    def caution(self) -> str:
        """A sentence where p, over seeds, finds a difference that other test images might not show; else empty.

        The interval is also over test images; it may hold 0 where the seeds leave no doubt.
        """
        low, high = self.points.low, self.points.high
        if self.verdict not in (Verdict.ABOVE, Verdict.BELOW) or low is None or high is None or not low <= 0 <= high:
            return ""
        return f" That holds for these test images; with others of their kind it may be {self.points.ends}."

    def _what_it_takes(self) -> str:
        if self.deviation == 0:
            return "No seed showed a difference."
        if self.seeds_to_settle is None:
            return f"A difference this small would take more than {MOST_SEEDS:,} seeds."
        more = max(1, self.seeds_to_settle - self.points.count)
        return f"If it is as observed, about {more} more seed{'s' if more > 1 else ''} would settle it."


def against_baseline(
    configs: Sequence[ConfirmedConfig],
    baseline: ConfirmedConfig,
    rule: Rule,
    *,
    seeds: Sequence[Seeds],
    ended: AbstractSet[tuple[str, Seeds]],
    classes: tuple[str, ...],
) -> list[AgainstBaseline]:
    """Compare every config with the baseline, those that share fewer than two seeds with it left out.

    Args:
        configs: of the confirmation; the baseline is not compared with itself.
        baseline: what they are compared with.
        rule: how they are judged.
        seeds: of the confirmation, in the order in which they were run.
        ended: identity and seeds of all runs that have ended, those that failed included.
        classes: names of the classes.
    """
    others = [one for one in configs if one is not baseline and len(list(_pairs(one, baseline))) >= FEWEST_SEEDS]
    paths = [_by_round(one, baseline, rule, seeds, ended) for one in others]
    level = rule.alpha / max(1, len(others))
    return [
        _compared(one, baseline, judged, rule, level=level, classes=classes)
        for one, judged in zip(others, judge(paths, rule), strict=True)
    ]


def _by_round(
    config: ConfirmedConfig,
    baseline: ConfirmedConfig,
    rule: Rule,
    seeds: Sequence[Seeds],
    ended: AbstractSet[tuple[str, Seeds]],
) -> list[Floats]:
    """Paired differences after each round that has ended for both; with a fixed number of seeds, all there are."""
    if not rule.in_rounds:
        return [_points(config, baseline)]
    rounds = []
    for count in rule.rounds.looks:
        some = seeds[:count]
        whole = all((one.identity, each) in ended for one in (config, baseline) for each in some)
        if len(some) < count or not whole:
            break
        rounds.append(_points(config, baseline, set(some)))
    return rounds


def _compared(
    config: ConfirmedConfig,
    baseline: ConfirmedConfig,
    judged: Judged,
    rule: Rule,
    *,
    level: float,
    classes: tuple[str, ...],
) -> AgainstBaseline:
    points = _points(config, baseline)
    mean, deviation, count = float(points.mean()), float(points.std(ddof=1)), len(points)
    possible, last_level = (rule.rounds.looks[-1], rule.rounds.last_level(level)) if rule.in_rounds else (count, level)
    takes = None
    if judged.verdict in (Verdict.OPEN, Verdict.FUTILE):
        ways = [seeds_to_find(mean, deviation, level)]
        if rule.margin is not None:
            ways.append(seeds_to_be_equivalent(abs(mean), deviation, level, rule.margin))
        takes = min((way for way in ways if way is not None), default=None)
    return AgainstBaseline(
        config=config,
        baseline=baseline,
        classes=classes,
        points=_estimate(config, baseline, points),
        deviation=deviation,
        judged=judged,
        margin=rule.margin,
        smallest=smallest_difference(deviation, possible, last_level),
        seeds_to_settle=takes,
    )


def _estimate(config: ConfirmedConfig, baseline: ConfirmedConfig, points: Floats) -> Estimate:
    if not (config.over_images and baseline.over_images):
        return estimate(points.tolist())
    resampled_SR = np.stack([resampled_map(one) - resampled_map(other) for one, other in _pairs(config, baseline)])
    return interval_over_images(points, resampled_SR)


def _points(config: ConfirmedConfig, baseline: ConfirmedConfig, among: set[Seeds] | None = None) -> Floats:
    pairs = _pairs(config, baseline, among)
    return np.array([one.test_map - other.test_map for one, other in pairs])


def _pairs(
    config: ConfirmedConfig, baseline: ConfirmedConfig, among: set[Seeds] | None = None
) -> list[tuple[Run, Run]]:
    shared = sorted(config.runs.keys() & baseline.runs.keys())
    return [(config.runs[one], baseline.runs[one]) for one in shared if among is None or one in among]


def _gains(ap: Sequence[float | None], other: Sequence[float | None]) -> list[float]:
    return [np.nan if a is None or b is None else a - b for a, b in zip(ap, other, strict=True)]


def _resampled_gains(one: Run, other: Run) -> Floats:
    assert one.resampled_RC is not None
    assert other.resampled_RC is not None
    gains_RC: Floats = one.resampled_RC.astype(np.float64) - other.resampled_RC
    return gains_RC
