"""A quasi-random sequence as a sampler: Optuna's QMCSampler with a fixed search space and the proposal's own number."""

from __future__ import annotations

from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import QMCSampler
from optuna.trial import FrozenTrial


class PointSequence(QMCSampler):
    """Takes the n-th point of the sequence for the n-th proposal, so that a resumed study goes on in it.

    Optuna's own counts in its storage, which a resumed study does not have, and takes the space from the first trial,
    which lacks keys that do not apply to it. Here every searched key has a dimension; a trial to which a key does not
    apply leaves that coordinate out.
    """

    def __init__(self, *, space: dict[str, BaseDistribution], number: int, **settings: Any) -> None:
        """`space` has all searched keys; `settings` are those of QMCSampler."""
        super().__init__(warn_asynchronous_seeding=False, warn_independent_sampling=False, **settings)
        self._space, self._number = space, number

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All searched keys with more than one value."""
        return {key: distribution for key, distribution in self._space.items() if not distribution.single()}

    def _find_sample_id(self, study: Study, search_space: dict[str, BaseDistribution]) -> int:
        return self._number
