"""Expected regret: by how much the best config that can be reached is expected to beat the best one found so far.

A Gaussian process is fitted to the values of the trials, and functions are drawn from it: in each of them the regret is
its maximum over many configs of the search space, less its value at the best config found. The mean over functions is
the expected minimum simple regret, by which Ishibashi et al. (AISTATS 2023) end a search; Wilson (NeurIPS 2024) draws
functions for it as well. The bound of Makarova et al. (AutoML 2022), which is the difference of two confidence bounds,
is several times larger and is not reached within a search of some dozen noisy trials.

Everything is computed from the history and a fixed seed, so that a resumed search decides as it would have done.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from wsml_study.record.history import StudyHistory
from wsml_study.record.trial_history import TrialHistory, TrialState
from wsml_study.study.search_section import FloatRange, IntRange
from wsml_study.study.search_space import SearchedKey, SearchSpace
from wsml_study.study.spec import Study

Array = NDArray[np.float64]

UPPER_BOUND = "full"
"""The method that sees all labels: no config that could be chosen."""

NOT_SETTINGS = ("training.seed", "data.observe.seed")
"""Searched keys that only repeat a config: their effect is noise."""

NUM_CANDIDATES, NUM_FUNCTIONS, NUM_FITS = 256, 256, 8
JITTER = 1e-6
IN_A_ROW = 2
"""The regret has to be small after this many trials in a row, the largest of these values counts."""

MOST_TRIALS = 200
"""Trials that the process is fitted to, at most: the best half, and the newest of the others."""

LEAST_NOISE = 1e-4
"""Variance of the noise, at least, where the values have variance 1."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """A config with its value.

    Attributes:
        values: searched values by dotted path.
        value: objective, larger is better.
        variance: of the error that a trial's early end adds.
    """

    values: dict[str, Any]
    value: float
    variance: float = 0.0


class ExpectedRegret:
    """Computes the expected regret of a study's best config after each trial."""

    def __init__(self, study: Study) -> None:
        """Take the search space of a study."""
        self._study = study
        keys = [key for key in SearchSpace.from_study(study).keys if key.path not in NOT_SETTINGS]
        self._keys = tuple(keys)
        self._space = SearchSpace(keys=self._keys)
        self._known: dict[tuple[tuple[int, int], ...], float | None] = {}

    @property
    def fewest_trials(self) -> int:
        """Trials with a value before which nothing is concluded: five, and two for each searched key."""
        return 5 + 2 * len(self._keys)

    def __call__(self, history: StudyHistory) -> float | None:
        """The expected regret in units of the objective, the largest after the newest trials; None if too few ended."""
        ended = [trial for trial in history.trials.values() if trial.state in (TrialState.COMPLETE, TrialState.STOPPED)]
        ended.sort(key=lambda trial: (trial.ended or 0.0, trial.number))
        newest = [self._after(ended[: len(ended) - ago]) for ago in range(IN_A_ROW)]
        known = [regret for regret in newest if regret is not None]
        return max(known) if len(known) == IN_A_ROW else None

    def _after(self, trials: Sequence[TrialHistory]) -> float | None:
        reached = tuple((trial.number, trial.last_epoch) for trial in trials)
        if reached not in self._known:
            observed = self._observations(trials)
            enough = len(observed) >= self.fewest_trials
            self._known[reached] = expected_regret(self._space, observed) if enough else None
        return self._known[reached]

    def _observations(self, trials: Sequence[TrialHistory]) -> list[Observation]:
        """Values of complete trials; those of stopped ones with what further epochs add on average."""
        objective = self._study.objective
        contenders = [one for one in trials if one.config["method"]["name"] != UPPER_BOUND] or trials
        complete = [one for one in contenders if one.state is TrialState.COMPLETE]
        curves = [
            {epoch: objective.sign * value for epoch, value in one.values_by_epoch(objective).items()}
            for one in complete
        ]
        found = [
            Observation(values=one.values, value=curve[one.last_epoch])
            for one, curve in zip(complete, curves, strict=True)
            if one.last_epoch in curve
        ]
        for one in contenders:
            value = one.value(objective)
            if one.state is TrialState.STOPPED and value is not None:
                gains = [max(curve.values()) - curve[one.last_epoch] for curve in curves if one.last_epoch in curve]
                if gains:
                    gained, variance = float(np.median(gains)), float(np.var(gains))
                    value = objective.sign * value + gained
                    found.append(Observation(values=one.values, value=value, variance=variance))
        return found


def expected_regret(space: SearchSpace, observed: Sequence[Observation], *, seed: int = 0) -> float:
    """The expected regret of the best of these configs in the space, in units of their values.

    Args:
        space: of the configs.
        observed: two or more configs with values.
        seed: of the candidates and of the functions that are drawn.
    """
    observed = _at_most(observed)
    values_N = np.array([one.value for one in observed])
    scale = float(values_N.std()) or 1.0
    y_N = (values_N - values_N.mean()) / scale
    variance_N = np.array([one.variance for one in observed]) / scale**2
    generator = np.random.default_rng(seed)
    coordinates = Coordinates(space)
    x_ND = coordinates.of([one.values for one in observed])
    candidates_MD = coordinates.of(_candidates(space, observed, generator))
    # The matrices are small, and threads would wait for the CPUs that the trials use: 0.2 s in place of 3 s.
    with threadpool_limits(1):
        fits = _fits(coordinates, x_ND, y_N, variance_N, generator)
        regrets = [_regret(coordinates, fit, x_ND, y_N, variance_N, candidates_MD, generator) for fit in fits]
    return float(np.mean(regrets)) * scale


class Coordinates:
    """Configs as points: a coordinate per key in [0, 1], an index for a listed value, NaN where the key is absent."""

    def __init__(self, space: SearchSpace) -> None:
        self.keys = space.keys
        self.is_listed_D = np.array([isinstance(key.domain, tuple) for key in space.keys], dtype=bool)

    def of(self, configs: Sequence[dict[str, Any]]) -> Array:
        """Points (N, D) of configs."""
        rows = [[_coordinate(key, values.get(key.path)) for key in self.keys] for values in configs]
        return np.array(rows, dtype=float).reshape(len(configs), len(self.keys))

    def distances(self, x_ND: Array, z_MD: Array) -> Array:
        """Squared distances (D, N, M) in each coordinate: 1 between listed values, and where only one has the key."""
        x_DN1, z_D1M = x_ND.T[:, :, None], z_MD.T[:, None, :]
        absent_x, absent_z = np.isnan(x_DN1), np.isnan(z_D1M)
        difference_DNM = np.nan_to_num(x_DN1) - np.nan_to_num(z_D1M)
        listed_D11 = self.is_listed_D[:, None, None]
        squared_DNM = np.where(listed_D11, (difference_DNM != 0).astype(float), difference_DNM**2)
        return np.where(absent_x | absent_z, (absent_x != absent_z).astype(float), squared_DNM)


def _coordinate(key: SearchedKey, value: Any) -> float:
    if value is None:
        return math.nan
    match key.domain:
        case FloatRange() | IntRange() as domain:
            low, high, at = float(domain.low), float(domain.high), float(value)
            if domain.log:
                low, high, at = math.log(low), math.log(high), math.log(at)
            return (at - low) / (high - low)
        case choices:
            return float(
                next(index for index, choice in enumerate(choices) if choice == value and type(choice) is type(value))
            )


def _at_most(observed: Sequence[Observation]) -> Sequence[Observation]:
    if len(observed) <= MOST_TRIALS:
        return observed
    best = sorted(range(len(observed)), key=lambda index: -observed[index].value)[: MOST_TRIALS // 2]
    others = [index for index in range(len(observed)) if index not in set(best)]
    return [observed[index] for index in sorted([*best, *others[-(MOST_TRIALS - len(best)) :]])]


def _candidates(
    space: SearchSpace, observed: Sequence[Observation], generator: np.random.Generator
) -> list[dict[str, Any]]:
    """Random configs, and others around the best of those observed; none with `full`, which cannot be chosen."""
    best = sorted(observed, key=lambda one: -one.value)[:8]
    drawn: list[dict[str, Any]] = []
    while len(drawn) < NUM_CANDIDATES:
        near = best[len(drawn) // 2 % len(best)].values if len(drawn) % 2 else None
        values: dict[str, Any] = {}
        for key in space.keys:
            if key.applies(values):
                values[key.path] = _drawn(key, generator, None if near is None else near.get(key.path))
        drawn.append(values)
    chosen = [values for values in drawn if values.get("method.name") != UPPER_BOUND]
    return chosen or drawn


def _drawn(key: SearchedKey, generator: np.random.Generator, near: Any) -> Any:
    """A value of a key: at random, or one that is near to another."""
    if isinstance(key.domain, tuple):
        keeps = near is not None and generator.random() < 0.9
        return near if keeps else key.domain[int(generator.integers(len(key.domain)))]
    at = generator.random() if near is None else _coordinate(key, near) + generator.normal(0, 0.1)
    at = min(1.0, max(0.0, at))
    low, high = float(key.domain.low), float(key.domain.high)
    value = math.exp(math.log(low) + at * math.log(high / low)) if key.domain.log else low + at * (high - low)
    value = min(high, max(low, value))
    return round(value) if isinstance(key.domain, IntRange) else value


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Hyperparameters of the process: squared length scales, variances of the function and of the noise."""

    scales_D: Array
    variance: float
    noise: float


def _fits(
    coordinates: Coordinates, x_ND: Array, y_N: Array, variance_N: Array, generator: np.random.Generator
) -> list[Fit]:
    """Hyperparameters drawn from their posterior distribution (Metropolis, from its mode).

    With few trials the most likely ones are too sure of themselves: a function that seems smooth may not be.
    """
    distances_DNN = coordinates.distances(x_ND, x_ND)
    dimensions = x_ND.shape[1]
    start = np.concatenate([np.full(dimensions, _scale_mean(dimensions)), [0.0, -3.0]])

    def lost(theta: Array) -> float:
        return -_log_posterior(theta, distances_DNN, y_N, variance_N)

    mode = minimize(lost, start, method="L-BFGS-B", options={"maxiter": 50}).x
    now, energy, kept = mode, lost(mode), []
    step = 0.6 / math.sqrt(len(mode))
    for number in range(NUM_FITS * 20):
        proposed = now + generator.normal(0, step, len(now))
        other = lost(proposed)
        if math.log(generator.random()) < energy - other:
            now, energy = proposed, other
        if number % 20 == 19:
            kept.append(_fit(now))
    return kept


def _fit(theta: Array) -> Fit:
    return Fit(
        scales_D=np.exp(2 * theta[:-2]), variance=float(np.exp(theta[-2])), noise=LEAST_NOISE + float(np.exp(theta[-1]))
    )


def _scale_mean(dimensions: int) -> float:
    """Mean of the logarithm of a length scale: longer with more dimensions (Hvarfner et al., ICML 2024)."""
    return -0.7 + 0.5 * math.log(max(1, dimensions))


def _log_posterior(theta: Array, distances_DNN: Array, y_N: Array, variance_N: Array) -> float:
    fit = _fit(theta)
    covariance_NN = _kernel(fit, distances_DNN) + np.diag(fit.noise + variance_N)
    try:
        factor = cho_factor(covariance_NN, lower=True)
    except np.linalg.LinAlgError:
        return -1e25
    likelihood = -0.5 * y_N @ cho_solve(factor, y_N) - np.log(np.diag(factor[0])).sum()
    scales, variance, noise = theta[:-2], theta[-2], theta[-1]
    prior = (
        -0.5 * np.sum((scales - _scale_mean(len(scales))) ** 2) / 0.8**2
        - 0.5 * variance**2 / 0.7**2
        - 0.5 * (noise + 3.0) ** 2 / 1.5**2
    )
    return float(likelihood + prior)


def _kernel(fit: Fit, distances_DNM: Array) -> Array:
    """Matern's kernel with nu = 5/2."""
    r = np.sqrt(5.0 * np.tensordot(1 / fit.scales_D, distances_DNM, axes=1))
    kernel: Array = fit.variance * (1 + r + r**2 / 3) * np.exp(-r)
    return kernel


def _regret(
    coordinates: Coordinates,
    fit: Fit,
    x_ND: Array,
    y_N: Array,
    variance_N: Array,
    candidates_MD: Array,
    generator: np.random.Generator,
) -> float:
    """Mean of the maximum over all configs less the value of the best observed one, over functions that are drawn."""
    all_PD = np.concatenate([x_ND, candidates_MD])
    covariance_NN = _kernel(fit, coordinates.distances(x_ND, x_ND)) + np.diag(fit.noise + variance_N)
    to_all_NP = _kernel(fit, coordinates.distances(x_ND, all_PD))
    factor = cho_factor(covariance_NN, lower=True)
    mean_P = to_all_NP.T @ cho_solve(factor, y_N)
    covariance_PP = _kernel(fit, coordinates.distances(all_PD, all_PD)) - to_all_NP.T @ cho_solve(factor, to_all_NP)
    # Configs that are nearly equal make the covariance singular without a little variance of their own.
    root_PP = np.linalg.cholesky(covariance_PP + JITTER * fit.variance * np.eye(len(all_PD)))
    functions_FP = mean_P + generator.normal(size=(NUM_FUNCTIONS, len(all_PD))) @ root_PP.T
    best = int(np.argmax(mean_P[: len(x_ND)]))
    return float(np.mean(functions_FP.max(axis=1) - functions_FP[:, best]))
