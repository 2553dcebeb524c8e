"""A search that trains one epoch at a time of the config whose curve is expected to gain most on the best.

A Gaussian process over configs and epochs says what every curve will reach, as in freeze-thaw Bayesian optimization
(Swersky, Snoek and Adams, 2014, arXiv:1406.3896). Unlike there, the next epoch goes to the config with the largest
expected improvement of the final value per epoch that it still takes. Deterministic given what was told and the seed.

Shapes: N configs, D searched numbers, n observations, P hyperparameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import ndtr

HYPERPARAMETERS = {  # of the logarithm: mean of its prior, standard deviation; lower and upper bound of the value
    "apart": (0.3, 1.0, 0.05, 20.0),
    "common": (1.0, 0.7, 0.1, 10.0),
    "level": (0.3, 0.7, 0.1, 5.0),
    "fade": (0.4, 0.7, 0.1, 5.0),
    "walk": (0.6, 0.5, 0.3, 5.0),
    "own_level": (0.05, 0.5, 0.03, 1.0),
    "own_fade": (0.05, 0.5, 0.03, 3.0),
    "own_walk": (0.08, 0.5, 0.05, 1.0),
    "speed": (1.0, 0.7, 0.3, 20.0),
    "noise": (0.02, 0.5, 0.01, 0.3),
}
LENGTHSCALE = (0.7, 0.5, 0.2, 3.0)

RUNGS = (1, 4, 8, 16)
"""Epochs after which it is decided anew which config goes on."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the search goes.

    Attributes:
        first: configs that get an epoch before the model is asked.
        per_epoch: exponent of the epochs that a config still takes; 0 ignores what it costs.
        steps: random steps of a fit of the hyperparameters.
        share_of_spread: of the distance between the best and the median config, that is the scale of the warp.
        least_scale: points; the scale of the warp at least.
    """

    first: int = 6
    per_epoch: float = 2.0
    steps: int = 12
    share_of_spread: float = 0.5
    least_scale: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Asked:
    """An epoch to train.

    Attributes:
        config: index.
        epoch: from 1; the next one of this config.
    """

    config: int
    epoch: int


class CurveModel:
    """The Gaussian process.

    The value of config x after epoch t is the sum of a curve common to all, of smooth functions of x (a level, what
    fades from the first epoch on, and what grows until the last), of the same for each config on its own, and noise.
    """

    def __init__(self, units_ND: np.ndarray, method_N: np.ndarray, num_epochs: int) -> None:
        """Take all configs: their places in [0, 1] of each range, and the index of each one's method."""
        self._squares_DNN = (units_ND.T[:, :, None] - units_ND.T[:, None, :]) ** 2
        self._other_NN = method_N[:, None] != method_N[None]
        self._num_epochs = num_epochs
        described = np.array([LENGTHSCALE] * units_ND.shape[1] + list(HYPERPARAMETERS.values()))
        self._mean_P, self._sd_P = np.log(described[:, 0]), described[:, 1]
        self._low_P, self._high_P = np.log(described[:, 2]), np.log(described[:, 3])
        self._theta_P = self._mean_P.copy()
        self._space_NN = self._space(self._theta_P, self._squares_DNN, self._other_NN)

    @property
    def hyperparameters(self) -> dict[str, float]:
        """By name."""
        names = [f"length {number}" for number in range(len(self._squares_DNN))] + list(HYPERPARAMETERS)
        return dict(zip(names, np.exp(self._theta_P).round(3).tolist(), strict=True))

    def _space(self, theta_P: np.ndarray, squares: np.ndarray, other: np.ndarray) -> np.ndarray:
        num_ranges = len(squares)
        weights_D = np.exp(-2 * theta_P[:num_ranges])
        shared = 1 / (1 + math.exp(theta_P[num_ranges]))  # of what methods have in common
        similar = 1 / (1 + np.tensordot(weights_D, squares, 1) / 4) ** 2  # rational quadratic
        return np.where(other, shared * similar, similar)

    def _progress(self, epochs: np.ndarray) -> np.ndarray:
        """From 0 at the first epoch to 1 at the last."""
        return np.log(epochs) / math.log(self._num_epochs)

    def _kernel(
        self, theta_P: np.ndarray, space: np.ndarray, own: np.ndarray, s: np.ndarray, t: np.ndarray
    ) -> np.ndarray:
        """Covariances of observations at epochs s with those at epochs t."""
        common, level, fade, walk, own_level, own_fade, own_walk = np.exp(2 * theta_P[-9:-2])
        speed = math.exp(theta_P[-2])
        fading = (2 + speed) / (s[:, None] + t[None] + speed)
        growing = np.minimum(self._progress(s)[:, None], self._progress(t)[None])
        kernel = common * (0.3 + fading + growing) + space * (level + fade * fading + walk * growing)
        return kernel + own * (own_level + own_fade * fading + own_walk * growing)

    def fit(
        self, config_n: np.ndarray, epoch_n: np.ndarray, value_n: np.ndarray, chance: np.random.Generator, steps: int
    ) -> None:
        """Improve the posterior of the hyperparameters by random steps from where they are."""
        squares_Dnn = self._squares_DNN[:, config_n[:, None], config_n[None]]
        other_nn = self._other_NN[config_n[:, None], config_n[None]]
        own_nn = config_n[:, None] == config_n[None]

        def goodness(theta_P: np.ndarray) -> float:
            kernel_nn = self._kernel(theta_P, self._space(theta_P, squares_Dnn, other_nn), own_nn, epoch_n, epoch_n)
            factor_nn = self._factor(theta_P, kernel_nn)
            z_n = solve_triangular(factor_nn, value_n, lower=True, check_finite=False)
            prior = ((theta_P - self._mean_P) / self._sd_P) ** 2
            return float(-0.5 * z_n @ z_n - np.log(np.diag(factor_nn)).sum() - 0.5 * prior.sum())

        best = goodness(self._theta_P)
        for _ in range(steps):
            step_P = 0.5 * chance.normal(size=len(self._theta_P)) * (chance.random(len(self._theta_P)) < 0.35)
            for sign in (1, -1):
                theta_P = np.clip(self._theta_P + sign * step_P, self._low_P, self._high_P)
                if (found := goodness(theta_P)) > best:
                    self._theta_P, best = theta_P, found
                    break
        self._space_NN = self._space(self._theta_P, self._squares_DNN, self._other_NN)

    def _factor(self, theta_P: np.ndarray, kernel_nn: np.ndarray) -> np.ndarray:
        kernel_nn[np.diag_indices_from(kernel_nn)] += math.exp(2 * theta_P[-1]) + 1e-6
        return np.linalg.cholesky(kernel_nn)

    def finals(self, config_n: np.ndarray, epoch_n: np.ndarray, value_n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations (N,) of all configs' values after the last epoch."""
        theta_P, last_1 = self._theta_P, np.array([float(self._num_epochs)])
        everyone_N = np.arange(len(self._other_NN))
        own_nn, own_Nn = config_n[:, None] == config_n[None], everyone_N[:, None] == config_n[None]
        space_Nn = self._space_NN[:, config_n]
        factor_nn = self._factor(theta_P, self._kernel(theta_P, space_Nn[config_n], own_nn, epoch_n, epoch_n))
        cross_Nn = self._kernel(theta_P, space_Nn, own_Nn, last_1, epoch_n)
        half_nN = solve_triangular(factor_nn, cross_Nn.T, lower=True, check_finite=False)
        z_n = solve_triangular(factor_nn, value_n, lower=True, check_finite=False)
        prior = self._kernel(theta_P, np.ones((1, 1)), np.ones((1, 1)), last_1, last_1)[0, 0]
        return z_n @ half_nN, np.sqrt(np.maximum(prior - (half_nN**2).sum(0), 1e-8))


class FreezeThaw:
    """Asks for epochs and is told their values (the best of a config so far, points)."""

    def __init__(
        self, units_ND: np.ndarray, method_N: np.ndarray, *, num_epochs: int, seed: int, options: Options | None = None
    ) -> None:
        """Take all configs: their places in [0, 1] of each range, and the index of each one's method."""
        self._options = options or Options()
        self._num_epochs = num_epochs
        self._chance = np.random.default_rng(seed)
        self._model = CurveModel(units_ND, method_N, num_epochs)
        self._first = self._spread(method_N)
        self._num_configs = len(method_N)
        self._next_fit = 0
        self._last: int | None = None
        self.curves: dict[int, list[float]] = {}
        self.recommended: int | None = None
        self.expected_regret = math.inf

    def _spread(self, method_N: np.ndarray) -> list[int]:
        """Random configs, one of each method in turn."""
        turn: dict[int, int] = {}
        ranked = []
        for config in self._chance.permutation(len(method_N)):
            turn[method_N[config]] = turn.get(method_N[config], 0) + 1
            ranked.append((turn[method_N[config]], len(ranked), int(config)))
        return [config for *_, config in sorted(ranked)[: max(self._options.first, len(turn))]]

    def tell(self, config: int, value: float) -> None:
        """The value of the next epoch of a config."""
        self.curves.setdefault(config, []).append(value)

    def ask(self) -> Asked | None:
        """The epoch to train next; None if all configs have been trained to the end."""
        left_N = np.full(self._num_configs, self._num_epochs)
        for config, curve in self.curves.items():
            left_N[config] -= len(curve)
        last = self._last
        if last is not None and left_N[last] and self._num_epochs - left_N[last] not in RUNGS:
            config = last
        elif self._first:
            config = self._first.pop()
        elif not left_N.any():
            return None
        else:
            gain_N = np.where(left_N > 0, self._gains() / np.maximum(left_N, 1) ** self._options.per_epoch, -1)
            config = int(gain_N.argmax())
        self._last = config
        return Asked(config=config, epoch=self._num_epochs - int(left_N[config]) + 1)

    def _gains(self) -> np.ndarray:
        """Expected improvement (N,) of the final value over the best, in units of the warped scale."""
        config_n, epoch_n, value_n = self._observed()
        best = float(value_n.max())
        reached = np.array([curve[-1] for curve in self.curves.values()])
        spread = best - float(np.median(reached))
        scale = max(self._options.least_scale, self._options.share_of_spread * spread)
        warped_n = -np.log1p((best - value_n) / scale)
        offset = warped_n.mean()
        num_told = sum(map(len, self.curves.values()))
        if num_told >= self._next_fit:
            self._model.fit(config_n, epoch_n, warped_n - offset, self._chance, self._options.steps)
            self._next_fit = num_told + max(3, num_told // 4)
        mean_N, sd_N = self._model.finals(config_n, epoch_n, warped_n - offset)
        started = np.array(list(self.curves))
        self.recommended = int(started[mean_N[started].argmax()])
        target = max(float(mean_N[self.recommended]), -offset)
        u_N = (mean_N - target) / sd_N
        gain_N = (mean_N - target) * ndtr(u_N) + sd_N * np.exp(-0.5 * u_N**2) / math.sqrt(2 * math.pi)
        self.expected_regret = float(gain_N.max()) * scale
        return gain_N

    def _observed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Config, epoch and value of a few epochs of each curve: the first, the middle, and the last."""
        rows = [
            (config, epoch, curve[epoch - 1])
            for config, curve in self.curves.items()
            for epoch in sorted({1, max(1, round(math.sqrt(len(curve) * 1.5))), len(curve)})
        ]
        config_n, epoch_n, value_n = map(np.array, zip(*rows, strict=True))
        return config_n, epoch_n.astype(float), value_n
