"""Methods beside methods at each level of a factorial design: means with intervals, and which can be told from AN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from wsml_study.record.trial_history import TrialState
from wsml_study.record.wording import describe
from wsml_study.results.confirmation import BASELINE
from wsml_study.results.crossed import DEPENDENT, Seeds, are_crossed, crossed_estimate, crossed_p_value
from wsml_study.results.factor_means import METHOD, REPEATS, seeds_of
from wsml_study.results.ranking import UPPER_BOUND
from wsml_study.results.statistics import SIGNIFICANCE, Estimate, holm
from wsml_study.study.spec import Study


@dataclass(frozen=True, kw_only=True)
class GridCell:
    """A method at a level.

    Attributes:
        value: mean over the repeats.
        gain: the mean of the differences from the baseline, run by run, above 0 where the method is better; None for
            the baseline, the upper bound, and what shares fewer than two runs with the baseline.
        p_value: of the difference, corrected by Holm for all comparisons at this level; None without one.
    """

    value: Estimate
    gain: Estimate | None = None
    p_value: float | None = None

    @property
    def is_apart(self) -> bool:
        """Whether the method can be told from the baseline."""
        return self.p_value is not None and self.p_value < SIGNIFICANCE


@dataclass(frozen=True, kw_only=True)
class MethodGrid:
    """All methods at all levels.

    Attributes:
        quantity: what the numbers are, such as `test mAP`.
        number_format: of the numbers.
        repeats: what they are means over, such as `5 seeds and 5 draws`.
        is_crossed: whether every draw was run with every seed.
        by_level: name of the level -> method -> cell; the methods that are best on average first.
    """

    quantity: str
    number_format: str
    repeats: str
    is_crossed: bool
    by_level: Mapping[str, Mapping[str, GridCell]]

    @property
    def methods(self) -> list[str]:
        """All methods, in their order."""
        return list(dict.fromkeys(method for cells in self.by_level.values() for method in cells))

    def sentences(self) -> list[str]:
        """What can be told apart, a sentence for each level."""
        return [self._sentence(level, cells) for level, cells in self.by_level.items()]

    def _sentence(self, level: str, cells: Mapping[str, GridCell]) -> str:
        compared = {method: cell for method, cell in cells.items() if cell.gain is not None}
        if not compared:
            return f"{level}: too few runs to compare methods with {BASELINE}."
        apart = {method: cell.gain.mean for method, cell in compared.items() if cell.is_apart and cell.gain is not None}
        better = self._listed({method: gain for method, gain in apart.items() if gain > 0})
        worse = self._listed({method: gain for method, gain in apart.items() if gain < 0})
        num_alike = sum(not cell.is_apart for cell in compared.values())
        parts = [f"better than {BASELINE} {better}"] if better else [f"none is found better than {BASELINE}"]
        parts += [f"worse {worse}"] if worse else []
        rest = f"; {num_alike} of {len(compared)} cannot be told from it" if num_alike else ""
        return f"{level}: {', '.join(parts)}{rest}."

    def _listed(self, gains: Mapping[str, float]) -> str:
        """Methods with their differences, the largest first."""
        in_order = sorted(gains, key=lambda method: -abs(gains[method]))
        said = [f"{method} ({gains[method]:+{self.number_format}})" for method in in_order]
        if not said:
            return ""
        verb = "is" if len(said) == 1 else "are"
        return f"{verb} {said[0] if len(said) == 1 else ', '.join(said[:-1]) + ' and ' + said[-1]}"

    @property
    def how(self) -> str:
        """How methods were compared."""
        count = max(sum(cell.gain is not None for cell in cells.values()) for cells in self.by_level.values())
        how = f"t-tests in which {DEPENDENT}" if self.is_crossed else "t-tests"
        return (
            f"{self.quantity}, mean over {self.repeats}; differences from {BASELINE} run by run, by {how}, "
            f"Holm-corrected for {count} comparisons at each level"
        )


def method_grid(study: Study, trials: pd.DataFrame) -> MethodGrid | None:
    """The methods of a study whose factors are methods, repeats and perhaps levels; None for any other study.

    Args:
        study: with its factors.
        trials: its table of trials; test mAP is taken where every complete trial was tested, else the objective.
    """
    factors = study.factors or {}
    complete = trials[(trials["state"] == TrialState.COMPLETE) & trials["value"].notna()]
    if study.search or METHOD not in factors or not any(key in factors for key in REPEATS) or complete.empty:
        return None
    column = "test_map" if complete["test_map"].notna().all() else "value"
    values: dict[str, dict[str, dict[Seeds, float]]] = {}
    # In the order of the factors' levels, as the runs of a config are numbered.
    for _, trial in complete.sort_values("run").iterrows():
        level = _level(factors, trial)
        values.setdefault(level, {}).setdefault(str(trial["method"]), {})[seeds_of(trial)] = float(trial[column])
    sign = 1 if column == "test_map" else study.objective.sign
    means = {level: {method: crossed_estimate(runs) for method, runs in some.items()} for level, some in values.items()}
    order = _order(means, sign)
    return MethodGrid(
        quantity="test mAP" if column == "test_map" else study.objective.label,
        number_format=".2f" if column == "test_map" else study.objective.number_format,
        repeats=" and ".join(f"{len(factors[key])} {what}" for key, what in REPEATS.items() if key in factors),
        is_crossed=any(are_crossed(runs) for some in values.values() for runs in some.values()),
        by_level={level: _cells(means[level], values[level], order, sign) for level in values},
    )


def grid_lines(study: Study, trials: pd.DataFrame) -> list[str]:
    """A sentence for each level, under what was compared; nothing for a study that is no grid of methods."""
    grid = method_grid(study, trials)
    return [] if grid is None or len(grid.methods) < 2 else [f"{grid.how}:", *grid.sentences(), ""]


def _level(factors: Mapping[str, Sequence[object]], trial: pd.Series) -> str:
    levels = {key: trial[key] for key in factors if key not in (METHOD, *REPEATS) and pd.notna(trial[key])}
    return describe(levels) if levels else "all"


def _order(means: Mapping[str, Mapping[str, Estimate]], sign: int) -> list[str]:
    """Methods, those that are best on average over the levels first."""
    by_method: dict[str, list[float]] = {}
    for cells in means.values():
        for method, value in cells.items():
            by_method.setdefault(method, []).append(sign * value.mean)
    return sorted(by_method, key=lambda method: -sum(by_method[method]) / len(by_method[method]))


def _cells(
    means: Mapping[str, Estimate], values: Mapping[str, Mapping[Seeds, float]], order: Sequence[str], sign: int
) -> dict[str, GridCell]:
    methods = [method for method in order if method in means]
    baseline = values.get(BASELINE, {})
    shared = {method: values[method].keys() & baseline.keys() for method in methods}
    compared = [one for one in methods if one not in (BASELINE, UPPER_BOUND) and len(shared[one]) > 1]
    p_values = holm([crossed_p_value(values[method], baseline) for method in compared])
    gains = {
        method: crossed_estimate({run: sign * (values[method][run] - baseline[run]) for run in shared[method]})
        for method in compared
    }
    corrected = dict(zip(compared, p_values, strict=True))
    return {
        method: GridCell(value=means[method], gain=gains.get(method), p_value=corrected.get(method))
        for method in methods
    }
