"""Confirmation: statistics of the best configs of a search, over fresh seeds and draws of the hidden labels.

The best value of a search is optimistic: it is the maximum over many trials, each with one seed. A confirmation runs a
few configs again, all with the same fresh seeds. They are ranked by the objective on validation images, so that test
images are not used for selection; test mAP is reported and compared.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from wsml_study.errors import ResultsError
from wsml_study.record.events import read_log
from wsml_study.record.formats import aligned
from wsml_study.record.history import ENDED, TrialHistory, TrialState
from wsml_study.record.storage import CONFIRMATION, EVENTS
from wsml_study.record.tables import read_table
from wsml_study.record.wording import describe, p_text
from wsml_study.results.ranking import contenders, ranked_trials
from wsml_study.results.statistics import SIGNIFICANCE, Estimate, estimate, holm, paired_p_value
from wsml_study.study.identity import without_seeds
from wsml_study.study.spec import TrialConfig

BASELINE = "AN"
FEWEST_SEEDS = 2
MOST_PAIRS = 8

Seeds = tuple[int, int]
"""Seed of training, seed of the draw of observed labels."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A complete trial of a confirmation: a config with one pair of seeds."""

    confirms: int
    config: TrialConfig
    value: float
    test_map: float

    @classmethod
    def of(cls, trial: TrialHistory) -> Run:
        """The result of a complete trial of a confirmation."""
        config = TrialConfig.model_validate(trial.config)
        value = trial.value(config.objective)
        assert trial.confirms is not None
        assert trial.test is not None
        assert value is not None
        return cls(confirms=trial.confirms, config=config, value=value, test_map=trial.test["test_map"])

    @property
    def seeds(self) -> Seeds:
        """Seeds, which differ between the runs of a config."""
        return self.config.training.seed, self.config.data.observe.seed


@dataclass(frozen=True, kw_only=True)
class ConfirmedConfig:
    """Results of a config over all its seeds.

    Attributes:
        trial: the trial of the search that has the config.
        identity: equal for trials that differ only in their seeds.
        method: name of the method.
        has_schedule: whether the method has a schedule of the rejection rate.
        described: short text of the suggested values.
        test_map: seeds -> test mAP, percent.
        validation: objective, percent.
        test: test mAP, percent.
    """

    trial: int
    identity: str
    method: str
    has_schedule: bool
    described: str
    test_map: dict[Seeds, float]
    validation: Estimate
    test: Estimate

    @property
    def called(self) -> str:
        """Method and trial, for sentences."""
        return f"{self.method} (trial {self.trial})"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Difference of two configs in test mAP, over the seeds that both ran with.

    Attributes:
        better, worse: the config with the larger mean, and the other.
        points: paired differences better - worse, percentage points.
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

    def is_of(self, *configs: ConfirmedConfig) -> bool:
        """Whether it is the difference of these two configs."""
        return {self.better.trial, self.worse.trial} == {config.trial for config in configs}


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """Results of a confirmation so far.

    Attributes:
        configs: with at least two complete runs, best mean objective first.
        differences: one per pair of configs.
        num_trials, num_ended, num_failed: number of runs.
    """

    configs: tuple[ConfirmedConfig, ...]
    differences: tuple[Difference, ...]
    num_trials: int
    num_ended: int
    num_failed: int

    @property
    def baseline(self) -> ConfirmedConfig | None:
        """The best AN config, or else the best one without a schedule; None if all configs have the same method."""
        others = [config for config in self.configs if not config.has_schedule]
        preferred = [config for config in others if config.method == BASELINE] or others
        return preferred[0] if preferred and len({config.method for config in self.configs}) > 1 else None

    def between(self, one: ConfirmedConfig, other: ConfirmedConfig) -> Difference | None:
        """The difference of two configs; None if they share fewer than two seeds."""
        return next((difference for difference in self.differences if difference.is_of(one, other)), None)

    def lines(self) -> list[str]:
        """The table of configs, the conclusion, and the pairs without a significant difference."""
        if not self.configs:
            return [f"Confirmation: {self.num_ended} of {self.num_trials} runs ended, too few for statistics."]
        return [*self._table(), *self._answer(), *self._not_significant(), *self._incomplete()]

    def _table(self) -> list[str]:
        baseline = self.baseline
        columns = {
            "trial": [str(config.trial) for config in self.configs],
            "confirmed config": [config.described for config in self.configs],
            "seeds": [str(config.test.count) for config in self.configs],
            "val mAP": [_interval(config.validation) for config in self.configs],
            "test mAP": [_interval(config.test) for config in self.configs],
        }
        if baseline is not None:
            columns[f"above {baseline.called}"] = [self._above(config, baseline) for config in self.configs]
        pairs = len(self.differences)
        test = f"; p of paired t-tests on test mAP, Holm-corrected for {pairs} pairs" if pairs else ""
        return [*aligned(columns), f"means over fresh seeds and draws of the hidden labels, 95 % intervals{test}", ""]

    def _above(self, config: ConfirmedConfig, baseline: ConfirmedConfig) -> str:
        difference = self.between(config, baseline)
        if difference is None:
            return "-"
        sign = 1 if difference.better.trial == config.trial else -1
        return f"{sign * difference.points.mean:+.2f}, p {p_text(difference.corrected)}"

    def _answer(self) -> list[str]:
        best, baseline = self.configs[0], self.baseline
        mean = f"{best.test.mean:.2f} % test mAP ({_ends(best.test)}, {best.test.count} seeds)"
        line = f"Confirmed: {best.described} (trial {best.trial}): {mean}"
        difference = None if baseline is None else self.between(best, baseline)
        if difference is None or baseline is None:
            return [f"{line}."]
        if not difference.is_significant:
            return [f"{line}; no significant difference to {baseline.called}, p {p_text(difference.corrected)}."]
        where = "above" if difference.better.trial == best.trial else "below"
        points = f"{difference.points.mean:.2f} points ({_ends(difference.points)}) {where} {baseline.called}"
        return [f"{line}, {points}, p {p_text(difference.corrected)}."]

    def _not_significant(self) -> list[str]:
        unsure = [difference for difference in self.differences if not difference.is_significant]
        if not self.differences:
            return []
        if len(unsure) == len(self.differences) > 1:
            return [f"No two of these {len(self.configs)} configs differ significantly."]
        if not unsure:
            return []
        pairs = [f"{one.better.trial} and {one.worse.trial} (p {p_text(one.corrected)})" for one in unsure[:MOST_PAIRS]]
        more = f" and {len(unsure) - MOST_PAIRS} more pairs" if len(unsure) > MOST_PAIRS else ""
        return [f"Trials that do not differ significantly: {', '.join(pairs)}{more}."]

    def _incomplete(self) -> list[str]:
        lines = []
        if self.num_failed:
            lines.append(f"{self.num_failed} of {self.num_trials} runs failed and are left out.")
        if self.num_ended < self.num_trials:
            lines.append(
                f"{self.num_ended} of {self.num_trials} runs ended; `wsml-study confirm STUDY` runs the others."
            )
        return lines


def read_confirmation(folder: Path) -> Confirmation | None:
    """The results of a study's confirmation; None if it has not begun.

    Raises:
        ResultsError: the folder holds no study's tables, or damaged ones.
    """
    events = folder / CONFIRMATION / EVENTS
    if not events.exists():
        return None
    history = read_log(events)[1]
    values_of = {row["trial"]: json.loads(row["values"]) for row in read_table(folder, "trials").to_pylist()}
    by_config: dict[str, list[Run]] = {}
    for trial in history.with_state(TrialState.COMPLETE):
        run = Run.of(trial)
        by_config.setdefault(without_seeds(run.config), []).append(run)
    configs = [
        _confirmed(identity, runs, values_of) for identity, runs in by_config.items() if len(runs) >= FEWEST_SEEDS
    ]
    sign = next((run.config.objective.sign for runs in by_config.values() for run in runs), 1)
    configs.sort(key=lambda config: (-sign * config.validation.mean, config.trial))
    return Confirmation(
        configs=tuple(configs),
        differences=tuple(_differences(configs)),
        num_trials=history.num_trials or len(history.trials),
        num_ended=len(history.with_state(*ENDED)),
        num_failed=len(history.with_state(TrialState.FAILED)),
    )


def confirmed_ranking(folder: Path) -> pd.DataFrame:
    """As `ranked_trials`, but only of confirmed configs, with the best confirmed mean of the objective first.

    Additional columns: confirmed_value and confirmed_test_map, means over the seeds in percent, and num_seeds.

    Raises:
        ResultsError: nothing is confirmed yet.
    """
    confirmation = read_confirmation(folder)
    if confirmation is None or not confirmation.configs:
        raise ResultsError(f"{folder}: no config is confirmed yet; `wsml-study confirm STUDY` runs the best ones again")
    means = pd.DataFrame(
        {
            "trial": [config.trial for config in confirmation.configs],
            "confirmed_value": [config.validation.mean for config in confirmation.configs],
            "confirmed_test_map": [config.test.mean for config in confirmation.configs],
            "num_seeds": [config.test.count for config in confirmation.configs],
        }
    )
    ranked = means.merge(ranked_trials(folder).drop(columns="rank"), on="trial", how="left")
    ranked.insert(0, "rank", range(1, len(ranked) + 1))
    return ranked


def worth_confirming(ranked: pd.DataFrame, *, top: int) -> list[int]:
    """Trials whose configs a confirmation runs again; the baseline comes last.

    Args:
        ranked: trials of the search, as `ranked_trials` gives them.
        top: number of trials besides the baseline: the best of each of the best methods, then the next best trials.
            Configs that differ only in their seeds count once, by their best trial.

    Returns:
        Numbers of trials. The baseline is the best AN trial, or else the best of a method without a schedule; there is
        none if all trials have the same method.
    """
    some = contenders(ranked.dropna(subset=["value"]))
    configs = [TrialConfig.model_validate_json(config) for config in some["config"]]
    some = some.assign(
        identity=[without_seeds(config) for config in configs],
        has_schedule=[config.method.schedule is not None for config in configs],
    ).drop_duplicates("identity")
    baseline = _baseline(some)
    others = some[~some["trial"].isin(baseline)]
    best_of_methods = others[~others["method"].isin(some.loc[some["trial"].isin(baseline), "method"])]
    best_of_methods = best_of_methods.drop_duplicates("method")
    rest = others[~others["trial"].isin(best_of_methods["trial"])]
    chosen = [*best_of_methods["trial"], *rest["trial"]][:top]
    return [int(trial) for trial in (*chosen, *baseline)]


def _baseline(trials: pd.DataFrame) -> list[int]:
    if trials["method"].nunique() < 2:
        return []
    without_schedule = trials[~trials["has_schedule"]]
    preferred = without_schedule[without_schedule["method"] == BASELINE]
    return [int(trial) for trial in (preferred if len(preferred) else without_schedule)["trial"].head(1)]


def _confirmed(identity: str, runs: Sequence[Run], values_of: dict[int, dict[str, Any]]) -> ConfirmedConfig:
    trial, method = runs[0].confirms, runs[0].config.method
    return ConfirmedConfig(
        trial=trial,
        identity=identity,
        method=method.name.value,
        has_schedule=method.schedule is not None,
        described=describe(values_of[trial]),
        test_map={run.seeds: run.test_map for run in runs},
        validation=estimate([run.value for run in runs]),
        test=estimate([run.test_map for run in runs]),
    )


def _differences(configs: Sequence[ConfirmedConfig]) -> Iterable[Difference]:
    pairs = []
    for one, other in itertools.combinations(configs, 2):
        shared = sorted(one.test_map.keys() & other.test_map.keys())
        if len(shared) >= FEWEST_SEEDS:
            pairs.append((one, other, [one.test_map[s] for s in shared], [other.test_map[s] for s in shared]))
    p_values = [paired_p_value(first, second) for _, _, first, second in pairs]
    for (one, other, first, second), p_value, corrected in zip(pairs, p_values, holm(p_values), strict=True):
        sign = 1 if sum(first) >= sum(second) else -1
        yield Difference(
            better=one if sign > 0 else other,
            worse=other if sign > 0 else one,
            points=estimate([sign * (a - b) for a, b in zip(first, second, strict=True)]),
            p_value=p_value,
            corrected=corrected,
        )


def _interval(found: Estimate) -> str:
    return f"{found.mean:.2f} ({_ends(found)})"


def _ends(found: Estimate) -> str:
    return f"{found.low:.2f} to {found.high:.2f}"
