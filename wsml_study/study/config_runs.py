"""The runs that judge a config: what each of them changes in it. Without `seeds` and `factors` a config is one run."""

from __future__ import annotations

from collections.abc import Mapping

from wsml_study.description import Scalar
from wsml_study.study.factors import combinations
from wsml_study.study.search_space import SearchSpace, put
from wsml_study.study.spec import Draft, Study, TrialConfig

TRAINING_SEED, OBSERVE_SEED = "training.seed", "data.observe.seed"


def runs_of(study: Draft) -> tuple[Mapping[str, Scalar], ...]:
    """For each run of a config, in their order: dotted key -> the value that it has in this run.

    The same runs judge every config, so that their values can be compared run by run.

    >>> from wsml_study.study.spec import Study
    >>> base = {"name": "s", "data": {"dataset": "digit_scenes"}, "method": {"name": "AN"}, "training": {"seed": 5}}
    >>> runs_of(Study.model_validate(base | {"seeds": 2}))
    ({'training.seed': 5}, {'training.seed': 6})
    >>> runs_of(Study.model_validate(base))
    ({},)
    """
    if study.factors:
        return tuple(combinations(study))
    if study.seeds is None:
        return ({},)
    return tuple(
        {TRAINING_SEED: study.training.seed + number}
        | ({OBSERVE_SEED: study.data.observe.seed + number} if study.seeds.draws else {})
        for number in range(study.seeds.training)
    )


class ConfigRuns:
    """The runs of a study's configs, each with its values and its whole config."""

    def __init__(self, study: Study) -> None:
        """Take the runs of a study."""
        self._study, self._space, self._runs = study, SearchSpace.from_study(study), runs_of(study)
        self._at_levels: dict[tuple[object, ...], tuple[dict[str, Scalar], TrialConfig]] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def values(self, proposed: Mapping[str, Scalar], number: int) -> dict[str, Scalar]:
        """The values of a run; arguments as of `run`."""
        if self._study.factors:
            return self._space.applicable({**proposed, **self._runs[number]})
        return dict(proposed) if number == 0 else {**proposed, **self._runs[number]}

    def run(self, proposed: Mapping[str, Scalar], number: int) -> tuple[dict[str, Scalar], TrialConfig]:
        """Values and config of a run.

        Args:
            proposed: values of the config's searched keys; those that a level of `factors` does not take are left out.
            number: of the run, from 0.
        """
        run = self._runs[number]
        if self._study.factors:
            # The runs of a design are looked at again and again, by all that may be trained together.
            known = (number, *sorted(proposed.items()))
            if known not in self._at_levels:
                values = self.values(proposed, number)
                self._at_levels[known] = values, self._space.resolve(self._study, values)
            values, config = self._at_levels[known]
            return dict(values), config
        config = self._space.resolve(self._study, dict(proposed))
        if number == 0:
            return self.values(proposed, number), config
        content = config.model_dump(mode="json")
        for key, value in run.items():
            put(content, key, value)
        return self.values(proposed, number), TrialConfig.model_validate(content)
