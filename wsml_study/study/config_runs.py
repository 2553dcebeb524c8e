"""The runs that judge a config: what each of them changes in it. Without `seeds` a config is one run."""

from __future__ import annotations

from collections.abc import Mapping

from wsml_study.description import Scalar
from wsml_study.study.search_space import put
from wsml_study.study.spec import Draft, TrialConfig

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
    if study.seeds is None:
        return ({},)
    return tuple(
        {TRAINING_SEED: study.training.seed + number}
        | ({OBSERVE_SEED: study.data.observe.seed + number} if study.seeds.draws else {})
        for number in range(study.seeds.training)
    )


def config_of_run(config: TrialConfig, run: Mapping[str, Scalar]) -> TrialConfig:
    """The config as one of its runs has it."""
    content = config.model_dump(mode="json")
    for key, value in run.items():
        put(content, key, value)
    return TrialConfig.model_validate(content)
