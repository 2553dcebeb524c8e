"""TPE for several proposals from the same trials: its model, which costs more than the draws from it, is made once."""

from __future__ import annotations

from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator
from optuna.study import Study
from optuna.trial import FrozenTrial

_Densities = tuple[_ParzenEstimator, _ParzenEstimator]
"""Of the good trials and of all others."""


class SharedTpe(TPESampler):
    """As its parent, but trials that end or begin after its first proposal are not seen by the others.

    For one objective.
    """

    def __init__(self, **arguments: Any) -> None:
        """Arguments as those of the parent."""
        super().__init__(**arguments)
        self._densities: dict[tuple[str, ...], _Densities] = {}
        self._made: list[_ParzenEstimator] = []  # of the newest model

    def _sample(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        keys = tuple(search_space)
        if keys not in self._densities:
            self._made = []
            values: dict[str, Any] = super()._sample(study, trial, search_space)
            good, others = self._made
            self._densities[keys] = good, others
            return values
        good, others = self._densities[keys]
        candidates = good.sample(self._rng.rng, self._n_ei_candidates)
        best = self._compare(candidates, self._compute_acquisition_func(candidates, good, others))
        return {key: distribution.to_external_repr(best[key]) for key, distribution in search_space.items()}

    def _build_parzen_estimator(self, *arguments: Any, **settings: Any) -> _ParzenEstimator:
        made = super()._build_parzen_estimator(*arguments, **settings)
        self._made.append(made)
        return made
