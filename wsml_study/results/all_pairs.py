"""All pairs of confirmed configs, for those who ask for them: what was not stated before the confirmation began."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wsml_study.record.formats import aligned
from wsml_study.record.wording import p_text
from wsml_study.results.against_baseline import FEWEST_SEEDS
from wsml_study.results.confirmed_runs import ConfirmedConfig
from wsml_study.results.crossed import crossed_estimate, crossed_p_value
from wsml_study.results.statistics import SIGNIFICANCE, Estimate, holm


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Difference of two configs in test mAP, over the seeds that both ran with.

    Attributes:
        better, worse: the config with the larger mean, and the other.
        points: paired differences better - worse, percentage points; the interval is over seeds and draws.
        p_value: of the two-sided paired t-test.
        corrected: p value corrected by Holm for all pairs of the confirmation.
    """

    better: ConfirmedConfig
    worse: ConfirmedConfig
    points: Estimate
    p_value: float
    corrected: float

    @property
    def is_significant(self) -> bool:
        """Whether the corrected p value is below SIGNIFICANCE."""
        return self.corrected < SIGNIFICANCE


def all_pairs(configs: Sequence[ConfirmedConfig]) -> tuple[Difference, ...]:
    """Differences of all pairs of configs that share two seeds at least."""
    return tuple(_differences(configs))


def pair_lines(pairs: Sequence[Difference], *, in_rounds: bool) -> list[str]:
    """A table of pairs, and how many of them differ.

    Args:
        pairs: of a confirmation.
        in_rounds: whether its seeds were added in rounds, which these p values do not take into account.
    """
    if not pairs:
        return ["Fewer than two configs share two seeds, so that there is no pair to compare."]
    columns = {
        "pair": [f"{one.better.called} - {one.worse.called}" for one in pairs],
        "points": [f"{one.points.mean:.2f} ({one.points.ends})" for one in pairs],
        "p": [p_text(one.corrected) for one in pairs],
    }
    count = sum(one.is_significant for one in pairs)
    note = f"paired t-tests on test mAP, Holm-corrected for {len(pairs)} pairs; 95 % intervals over seeds and draws"
    note += "; seeds were added in rounds, by other tests, so that p is somewhat too small" if in_rounds else ""
    return [*aligned(columns), note, f"{count} of {len(pairs)} pairs differ significantly.", ""]


def _differences(configs: Sequence[ConfirmedConfig]) -> Iterator[Difference]:
    pairs = []
    for one, other in itertools.combinations(configs, 2):
        shared = sorted(one.test_map.keys() & other.test_map.keys())
        if len(shared) >= FEWEST_SEEDS:
            pairs.append((one, other, {seeds: one.test_map[seeds] - other.test_map[seeds] for seeds in shared}))
    p_values = [crossed_p_value(one.test_map, other.test_map) for one, other, _ in pairs]
    for (one, other, points), p_value, corrected in zip(pairs, p_values, holm(p_values), strict=True):
        sign = 1 if sum(points.values()) >= 0 else -1
        yield Difference(
            better=one if sign > 0 else other,
            worse=other if sign > 0 else one,
            points=crossed_estimate({seeds: sign * point for seeds, point in points.items()}),
            p_value=p_value,
            corrected=corrected,
        )
