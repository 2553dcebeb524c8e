"""TPE for several proposals from the same trials: its model is made once, and draws from it are made together."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator
from optuna.study import Study
from optuna.trial import FrozenTrial

_Densities = tuple[_ParzenEstimator, _ParzenEstimator]
"""Of the good trials and of all others."""

DRAWN_TOGETHER = 16
"""Proposals whose candidates are drawn and compared in one go: most of what few candidates cost is not arithmetic."""


class SharedTpe(TPESampler):
    """As its parent, but trials that end or begin after its first proposal are not seen by the others.

    For one objective.
    """

    def __init__(self, **arguments: Any) -> None:
        """Arguments as those of the parent."""
        super().__init__(**arguments)
        self._densities: dict[tuple[str, ...], _Densities] = {}
        self._made: list[_ParzenEstimator] = []  # of the newest model
        self._drawn: defaultdict[tuple[str, ...], deque[dict[str, Any]]] = defaultdict(deque)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As the parent's, which looks through the trials again for whether there are enough of them."""
        if (param_name,) not in self._densities:
            return super().sample_independent(study, trial, param_name, param_distribution)
        return self._sample(study, trial, {param_name: param_distribution})[param_name]

    def _sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As `sample_independent`."""
        if tuple(search_space) not in self._densities:
            values: dict[str, Any] = super()._sample_relative(study, trial, search_space)
            return values
        return self._sample(study, trial, search_space)

    def _sample(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        keys = tuple(search_space)
        if keys not in self._densities:
            self._made = []
            values: dict[str, Any] = super()._sample(study, trial, search_space)
            good, others = self._made
            self._densities[keys] = good, others
            return values
        drawn = self._drawn[keys]
        if not drawn:
            drawn.extend(self._draw(*self._densities[keys]))
        best = drawn.popleft()
        return {key: distribution.to_external_repr(best[key]) for key, distribution in search_space.items()}

    def _draw(self, good: _ParzenEstimator, others: _ParzenEstimator) -> Iterator[dict[str, Any]]:
        """The best of the candidates of each of `DRAWN_TOGETHER` proposals."""
        num = self._n_ei_candidates
        candidates = good.sample(self._rng.rng, DRAWN_TOGETHER * num)
        gains = self._compute_acquisition_func(candidates, good, others)
        for start in range(0, DRAWN_TOGETHER * num, num):
            own = slice(start, start + num)
            yield self._compare({key: values[own] for key, values in candidates.items()}, gains[own])

    def _build_parzen_estimator(self, *arguments: Any, **settings: Any) -> _ParzenEstimator:
        made = super()._build_parzen_estimator(*arguments, **settings)
        self._made.append(made)
        return made
