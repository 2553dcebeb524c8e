"""Epochs that searches need until they have found a config within .2 mAP of the best, replayed from measured curves.

    python benchmarks/search_engines.py run --engines freeze_thaw tpe_asha priorband smac --results engines.parquet
    python benchmarks/search_engines.py table --results engines.parquet

Needs Optuna, `neural-pipeline-search` and `smac` beside numpy, scipy, pandas and pyarrow; wsml-study is not imported.
The curves are those of `measure_curves.py`; the value of a config after an epoch is its best epoch so far, mean over
the training seeds, for what an engine sees and for what counts as best. A proposal that was not measured is taken to
the nearest measured config of its method. An epoch that was trained counts once: repeats and continuations cost
nothing, whichever the engine. The incumbent is the config with the best value that the engine has seen so far.

Shapes: S training seeds, N configs, E epochs, D searched numbers.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import logging
import math
import random
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from freeze_thaw import FreezeThaw

CURVES = Path(__file__).parent / "curves"
METHOD = "method.name"
CLOSE = (0.2, 0.5, 1.0)
"""Points of mAP below the best that count as found; a run goes on until the first of them is reached."""

MOST_TRAININGS = 40
"""A run ends after as many epochs as so many configs take."""

MOST_PROPOSALS = 600

EXPECTED_REGRET, PATIENCE = 0.005, 20
"""Our search stops when no config is expected to gain more points than this, epoch after epoch so often in a row."""

OURS = "freeze_thaw"

Values = dict[str, Any]


class EndedError(Exception):
    """The run has used all its epochs."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """A searched number.

    Attributes:
        low, high: bounds, both included.
        log: on a logarithmic scale.
        integer: whole numbers only.
    """

    low: float
    high: float
    log: bool
    integer: bool

    def unit(self, value: float) -> float:
        """The place of a value in [0, 1]."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True, kw_only=True, eq=False)
class Curves:
    """The configs of one benchmark.

    Attributes:
        name: of the file.
        methods: that are searched.
        ranges: key -> what is searched.
        configs: searched values, N of them.
        objective_SNE: validation mAP of each seed, config and epoch, percent.
    """

    name: str
    methods: list[str]
    ranges: dict[str, Range]
    configs: list[Values]
    objective_SNE: np.ndarray

    @functools.cached_property
    def best(self) -> np.ndarray:
        """The best epoch so far, (S, N, E)."""
        return np.maximum.accumulate(self.objective_SNE, axis=2)

    @functools.cached_property
    def value(self) -> np.ndarray:
        """What engines see: the best epoch so far, mean over the seeds, (N, E)."""
        return self.best.mean(0)

    @functools.cached_property
    def regret(self) -> np.ndarray:
        """Points below the best config, (N,)."""
        return self.value[:, -1].max() - self.value[:, -1]

    @property
    def num_epochs(self) -> int:
        """Of a training."""
        return self.objective_SNE.shape[2]

    @functools.cached_property
    def units(self) -> np.ndarray:
        """Configs as places in [0, 1] of each range, (N, D); a key that the method does not have is at -.3."""
        return np.array(
            [
                [one.unit(values[key]) if key in values else -0.3 for key, one in self.ranges.items()]
                for values in self.configs
            ]
        )

    @functools.cached_property
    def method_index(self) -> np.ndarray:
        """Index of the method of each config, (N,)."""
        return np.array([self.methods.index(values[METHOD]) for values in self.configs])

    def keys_of(self, method: str) -> list[str]:
        """The keys that a method is searched over."""
        return next(list(values)[1:] for values in self.configs if values[METHOD] == method)

    def nearest(self, values: Values) -> int:
        """The measured config of the same method that is nearest; keys that the method does not have are ignored."""
        keys = self.keys_of(values[METHOD])
        place_D = np.array([one.unit(values[key]) if key in keys else -0.3 for key, one in self.ranges.items()])
        distance_N = ((self.units - place_D) ** 2).sum(1)
        distance_N[self.method_index != self.methods.index(values[METHOD])] = np.inf
        return int(distance_N.argmin())


def read_curves(name: str) -> Curves:
    """A benchmark from its file."""
    table = pq.read_table(CURVES / f"{name}.parquet")
    ranges = json.loads(table.schema.metadata[b"ranges"])
    frame = table.to_pandas()
    num_seeds = frame["seed"].nunique()
    objective = np.stack(frame["objective"].to_list()).astype(float)
    methods = ranges.pop(METHOD)["choice"]
    return Curves(
        name=name,
        methods=methods,
        ranges={key: range_of(one) for key, one in ranges.items()},
        configs=[json.loads(values) for values in frame["values"][: len(frame) // num_seeds]],
        objective_SNE=objective.reshape(num_seeds, len(frame) // num_seeds, -1),
    )


def range_of(searched: dict[str, Any]) -> Range:
    """A range as the file describes it."""
    ((kind, limits),) = searched.items()
    return Range(low=limits["low"], high=limits["high"], log=limits.get("log", False), integer=kind == "int")


class Replay:
    """A run of an engine on one benchmark: hands out values of epochs, and counts them."""

    def __init__(self, curves: Curves, *, until_found: bool) -> None:
        """Start a run.

        Args:
            curves: the benchmark.
            until_found: end as soon as the incumbent is close.
        """
        self.curves, self._until_found = curves, until_found
        self._best_NE = curves.value
        self._trained: dict[int, int] = {}
        self.epochs = 0
        self.incumbent, self._incumbent_value = -1, -math.inf
        self.found_after: dict[float, int] = {}
        self.stopped_after: int | None = None
        self.stopped_regret: float | None = None
        self._small_in_a_row = 0
        self.most = min(MOST_TRAININGS * curves.num_epochs, self._best_NE.size)

    def train(self, config: int, epoch: int) -> float:
        """The best value of a config up to an epoch, from 1.

        Raises:
            EndedError: no epoch is left.
        """
        for one in range(self._trained.get(config, 0) + 1, epoch + 1):
            self._trained[config] = one
            self.epochs += 1
            self._look(config, float(self._best_NE[config, one - 1]))
        return float(self._best_NE[config, epoch - 1])

    def _look(self, config: int, value: float) -> None:
        if value > self._incumbent_value:
            self.incumbent, self._incumbent_value = config, value
        regret = float(self.curves.regret[self.incumbent])
        for close in CLOSE:
            if regret <= close:
                self.found_after.setdefault(close, self.epochs)
        if self._until_found and CLOSE[0] in self.found_after:
            raise EndedError
        if self.epochs >= self.most:
            raise EndedError

    def note_expected_regret(self, regret: float) -> None:
        """Note when the engine would have stopped by itself, and what its incumbent lacks then."""
        self._small_in_a_row = self._small_in_a_row + 1 if regret <= EXPECTED_REGRET else 0
        if self.stopped_after is None and self._small_in_a_row >= PATIENCE:
            self.stopped_after, self.stopped_regret = self.epochs, float(self.curves.regret[self.incumbent])

    def stop_now(self) -> bool:
        """Whether nothing more is to be measured."""
        return CLOSE[0] in self.found_after and self.stopped_after is not None


def tpe_asha(replay: Replay, seed: int) -> None:
    """Optuna's TPE with its asynchronous successive halving, both at their defaults, from the first epoch on."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1),
    )
    for _ in range(MOST_PROPOSALS):
        trial = study.ask()
        config = replay.curves.nearest(optuna_values(trial, replay.curves))
        pruned = False
        for epoch in range(1, replay.curves.num_epochs + 1):
            trial.report(value := replay.train(config, epoch), epoch)
            if pruned := trial.should_prune():
                break
        if pruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, value)


def optuna_values(trial: Any, curves: Curves) -> Values:
    """Values that Optuna suggests; a method is asked for its own keys only."""
    values: Values = {METHOD: trial.suggest_categorical(METHOD, curves.methods)}
    for key in curves.keys_of(values[METHOD]):
        one = curves.ranges[key]
        if one.integer:
            values[key] = trial.suggest_int(key, int(one.low), int(one.high))
        else:
            values[key] = trial.suggest_float(key, one.low, one.high, log=one.log)
    return values


PRIOR = {
    METHOD: "LL-R",
    "method.schedule.rate_per_epoch": 0.002,
    "method.schedule.warmup_epochs": 1,
    "training.learning_rate": 1e-3,
    "training.weight_decay": 1e-4,
}
"""What PriorBand is given as a first guess: the published rate, and common values of the rest."""


def priorband(replay: Replay, seed: int) -> None:
    """NePS' PriorBand with Hyperband's brackets, eta 3, and a prior of medium confidence."""
    import neps
    import torch

    curves = replay.curves
    np.random.seed(seed)
    torch.manual_seed(seed)
    random.seed(seed)
    space: dict[str, Any] = {METHOD: neps.HPOCategorical(curves.methods, prior=PRIOR[METHOD])}
    for key, one in curves.ranges.items():
        kind = neps.HPOInteger if one.integer else neps.HPOFloat
        low, high = (int(one.low), int(one.high)) if one.integer else (one.low, one.high)
        space[key] = kind(low, high, log=one.log, prior=PRIOR[key], prior_confidence="medium")
    space["epochs"] = neps.HPOInteger(1, curves.num_epochs, is_fidelity=True)
    engine = neps.AskAndTell(neps.algorithms.priorband(neps.SearchSpace(space), eta=3, base="hyperband"))
    for _ in range(MOST_PROPOSALS):
        trial = engine.ask()
        config = curves.nearest(trial.config)
        value = replay.train(config, int(trial.config["epochs"]))
        engine.tell(trial.metadata.id, -value)


def smac(replay: Replay, seed: int) -> None:
    """SMAC3's multi-fidelity facade (Hyperband with a random forest), at its defaults."""
    from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer
    from smac import MultiFidelityFacade, Scenario
    from smac.runhistory.dataclasses import TrialValue

    logging.disable(logging.CRITICAL)
    curves = replay.curves
    space = ConfigurationSpace(seed=seed)
    space.add(Categorical(METHOD, curves.methods))
    for key, one in curves.ranges.items():
        if one.integer:
            space.add(Integer(key, (int(one.low), int(one.high))))
        else:
            space.add(Float(key, (one.low, one.high), log=one.log))
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(
            space,
            output_directory=Path(folder),
            deterministic=True,
            n_trials=MOST_PROPOSALS,
            min_budget=1,
            max_budget=curves.num_epochs,
            seed=seed,
        )
        engine = MultiFidelityFacade(
            scenario,
            lambda config, seed, budget: 0.0,
            overwrite=True,
            initial_design=MultiFidelityFacade.get_initial_design(scenario, n_configs=10),
        )
        for _ in range(MOST_PROPOSALS):
            info = engine.ask()
            value = replay.train(curves.nearest(dict(info.config)), max(1, round(info.budget)))
            engine.tell(info, TrialValue(cost=-value), save=False)


def random_order(replay: Replay, seed: int) -> None:
    """Configs in random order, each trained to the end."""
    for config in np.random.default_rng(seed).permutation(len(replay.curves.configs)):
        replay.train(int(config), replay.curves.num_epochs)


def freeze_thaw(replay: Replay, seed: int) -> None:
    """Ours: one epoch at a time of the config that is most likely to become the best."""
    curves = replay.curves
    engine = FreezeThaw(curves.units, curves.method_index, num_epochs=curves.num_epochs, seed=seed)
    while (asked := engine.ask()) is not None:
        replay.note_expected_regret(engine.expected_regret)
        engine.tell(asked.config, replay.train(asked.config, asked.epoch))
        if replay.stop_now():
            break


ENGINES: dict[str, Callable[[Replay, int], None]] = {
    "freeze_thaw": freeze_thaw,
    "tpe_asha": tpe_asha,
    "priorband": priorband,
    "smac": smac,
    "random": random_order,
}


def run(curves: Curves, engine: str, seed: int) -> dict[str, Any]:
    """A row of the results."""
    replay, started = Replay(curves, until_found=engine != OURS), time.process_time()
    with contextlib.suppress(EndedError):
        ENGINES[engine](replay, seed)
    return {
        "benchmark": curves.name,
        "engine": engine,
        "seed": seed,
        **{f"within_{close}": replay.found_after.get(close) for close in CLOSE},
        "epochs": replay.epochs,
        "most": replay.most,
        "stopped_after": replay.stopped_after,
        "stopped_regret": replay.stopped_regret,
        "seconds": time.process_time() - started,
    }


def main() -> None:
    """Run engines, or print the table of what was run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--benchmarks", nargs="+", default=sorted(file.stem for file in CURVES.glob("*.parquet")))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--results", type=Path, nargs="+", required=True)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.what == "table":
        rows = pd.concat([pd.read_parquet(file) for file in arguments.results], ignore_index=True)
        for close in CLOSE:
            table(rows, close)
        stopping(rows)
        return
    for name in arguments.benchmarks:
        curves = read_curves(name)
        for engine in arguments.engines:
            run_missing(curves, engine, arguments.seeds, arguments.results[0])


def run_missing(curves: Curves, engine: str, num_seeds: int, file: Path) -> None:
    """Run the seeds that the results do not have yet, and add them."""
    known = pd.read_parquet(file) if file.exists() else pd.DataFrame(columns=["benchmark", "engine", "seed"])
    done = set(known.loc[(known["benchmark"] == curves.name) & (known["engine"] == engine), "seed"])
    for seed in range(num_seeds):
        if seed not in done:
            known = pd.concat([known, pd.DataFrame([run(curves, engine, seed)])], ignore_index=True)
            known.to_parquet(file)
    of_engine = known[(known["benchmark"] == curves.name) & (known["engine"] == engine)]
    means = [math.exp(np.log(epochs_needed(of_engine, close)).mean()) for close in CLOSE]
    print(
        f"{curves.name} {engine}: found in {of_engine[f'within_{CLOSE[0]}'].notna().sum()} of {len(of_engine)} runs, "
        f"{[round(one) for one in means]} epochs, {of_engine['seconds'].mean():.1f} CPU seconds a run",
        flush=True,
    )


def table(rows: pd.DataFrame, close: float) -> None:
    """Print each engine's epochs by benchmark, and how those of ours compare, with bootstrap intervals."""
    print(f"\nepochs until within {close} points of the best, geometric mean (runs that got there / runs)")
    rows = rows.assign(needed=np.log(epochs_needed(rows, close)))
    means = rows.pivot_table(index="benchmark", columns="engine", values="needed")
    found = rows.assign(found=rows[f"within_{close}"].notna()).pivot_table(
        index="benchmark", columns="engine", values="found", aggfunc=["sum", "count"]
    )
    for name in means.index:
        cells = [
            f"{engine} {math.exp(means.loc[name, engine]):.0f} "
            f"({found.loc[name, ('sum', engine)]:.0f}/{found.loc[name, ('count', engine)]:.0f})"
            for engine in means.columns
            if not math.isnan(means.loc[name, engine])
        ]
        print(f"{name}: {', '.join(cells)}")
    for engine in means.columns.drop(OURS, errors="ignore"):
        least = rows.assign(needed=np.log(epochs_needed(rows, close, otherwise="epochs")))
        print(f"{OURS} / {engine}: {ratio(rows, engine)}; by epochs trained {ratio(least, engine)}")


def stopping(rows: pd.DataFrame) -> None:
    """Print how often our search stops by itself, and what it lacks then."""
    ours = rows[rows["engine"] == OURS]
    stopped = ours[ours["stopped_after"].notna()]
    print(
        f"stopped by itself in {len(stopped)} of {len(ours)} runs, of these with a regret of at most .3 in "
        f"{(stopped['stopped_regret'] <= 0.3).sum()}"
    )


def ratio(rows: pd.DataFrame, engine: str) -> str:
    """Geometric mean over benchmarks of the ratio of epochs, with an interval over benchmarks and runs."""
    both = [
        [group.loc[group["engine"] == one, "needed"].to_numpy() for one in (OURS, engine)]
        for _, group in rows.groupby("benchmark")
    ]
    both = [pair for pair in both if len(pair[0]) and len(pair[1])]
    chance = np.random.default_rng(0)

    def mean(pairs: list[list[np.ndarray]], *, redraw: bool) -> float:
        drawn = [[chance.choice(one, len(one)) if redraw else one for one in pair] for pair in pairs]
        return math.exp(np.mean([ours.mean() - other.mean() for ours, other in drawn]))

    draws = [mean([both[i] for i in chance.integers(len(both), size=len(both))], redraw=True) for _ in range(2000)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return f"{mean(both, redraw=False):.2f} [{low:.2f}, {high:.2f}] over {len(both)} benchmarks"


def epochs_needed(rows: pd.DataFrame, close: float, *, otherwise: str = "most") -> np.ndarray:
    """Epochs until found.

    Args:
        rows: of the results.
        close: points below the best.
        otherwise: what counts where nothing was found: `most`, all epochs that the run might have trained, or
            `epochs`, those that it has trained until its proposals were used up, a lower bound.
    """
    return rows[f"within_{close}"].astype(float).fillna(rows[otherwise]).to_numpy(float)


if __name__ == "__main__":
    main()
