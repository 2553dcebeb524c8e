from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from wsml_study.errors import StudyFileError
from wsml_study.study.key_rules import broken_rules
from wsml_study.study.method_section import MethodName, Schedule, ScheduleShape
from wsml_study.study.reading import parse_study
from wsml_study.study.search_section import Parameter
from wsml_study.study.search_space import CircularConditionsError, SearchSpace, longest_training, trial_content
from wsml_study.study.spec import Study, TrialConfig

MakeStudy = Callable[..., Study]

METHODS_AND_RATES: dict[str, Any] = {
    "method.schedule.rate_per_epoch": {
        "when": {"method.name": ["LL-R"]},
        "float": {"low": 0.1, "high": 0.3, "step": 0.1},
    },
    "method.name": {"choice": ["AN", "LL-R"]},
}


@pytest.fixture(autouse=True)
def quiet_optuna() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def suggestions(study: Study, *, num_trials: int) -> Iterator[dict[str, Any]]:
    space = SearchSpace.from_study(study)
    searched = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(num_trials):
        yield space.suggest(searched.ask())


def test_conditions_come_before_the_keys_that_they_decide(make_study: MakeStudy) -> None:
    space = SearchSpace.from_study(make_study(METHODS_AND_RATES))
    assert [key.path for key in space.keys] == ["method.name", "method.schedule.rate_per_epoch"]


def test_the_order_of_the_file_does_not_matter(make_study: MakeStudy) -> None:
    reversed_search = dict(reversed(METHODS_AND_RATES.items()))
    one, other = make_study(METHODS_AND_RATES), make_study(reversed_search)
    assert SearchSpace.from_study(one) == SearchSpace.from_study(other)


def test_a_key_is_suggested_only_where_its_condition_holds(make_study: MakeStudy) -> None:
    seen = list(suggestions(make_study(METHODS_AND_RATES), num_trials=40))
    assert {values["method.name"] for values in seen} == {"AN", "LL-R"}
    for values in seen:
        assert ("method.schedule.rate_per_epoch" in values) == (values["method.name"] == "LL-R")


def test_a_condition_on_a_key_that_a_trial_does_not_search_fails(make_study: MakeStudy) -> None:
    study = make_study(
        {
            "method.name": {"choice": ["AN", "LL-R"]},
            "method.variant": {"when": {"method.name": ["LL-R"]}, "choice": ["code", "paper"]},
            "training.seed": {"when": {"method.variant": ["paper"]}, "choice": [1, 2]},
        },
        method={"name": "LL-R", "variant": "paper", "schedule": {"rate_per_epoch": 0.1}},
    )
    searched = [set(values) for values in SearchSpace.from_study(study).grid()]
    assert searched == [
        {"method.name"},
        {"method.name", "method.variant"},
        {"method.name", "method.variant", "training.seed"},
        {"method.name", "method.variant", "training.seed"},
    ]


def test_what_a_method_or_shape_does_not_take_is_not_searched_even_without_a_condition(make_study: MakeStudy) -> None:
    study = make_study(
        {
            "method.name": {"choice": ["AN", "LL-R"]},
            "method.schedule.shape": {"choice": ["linear", "constant"]},
            "method.schedule.rate_per_epoch": {"choice": [0.1, 0.2]},
            "method.schedule.final_rate": {"choice": [0.3, 0.4]},
        }
    )
    assert [tuple(values.values()) for values in SearchSpace.from_study(study).grid()] == [
        ("AN",),
        ("LL-R", "linear", 0.1),
        ("LL-R", "linear", 0.2),
        ("LL-R", "constant", 0.3),
        ("LL-R", "constant", 0.4),
    ]


def test_a_key_of_the_base_schedule_is_searched_where_the_shape_is_not(make_study: MakeStudy) -> None:
    """Where LL-Ct leaves the shape to the base config, which is linear, its slope is still searched."""
    study = make_study(
        {
            "method.name": {"choice": ["LL-R", "LL-Ct"]},
            "method.schedule.shape": {"when": {"method.name": ["LL-R"]}, "choice": ["constant"]},
            "method.schedule.rate_per_epoch": {"choice": [0.1]},
        },
        method={"name": "LL-R", "schedule": {"rate_per_epoch": 0.002, "final_rate": 0.3}},
    )
    assert [tuple(values.values()) for values in SearchSpace.from_study(study).grid()] == [
        ("LL-R", "constant"),
        ("LL-Ct", 0.1),
    ]


def test_resolving_puts_values_into_the_base_config(make_study: MakeStudy) -> None:
    study = make_study({"training.epochs": {"choice": [1, 2]}, "training.learning_rate": {"choice": [1, 0.1]}})
    config = SearchSpace.from_study(study).resolve(study, {"training.epochs": 2, "training.learning_rate": 1})
    assert config.training.epochs == 2
    assert config.training.learning_rate == 1.0
    assert config.data == study.data


def test_resolving_drops_what_a_searched_method_does_not_take(make_study: MakeStudy) -> None:
    study = make_study(METHODS_AND_RATES)
    config = SearchSpace.from_study(study).resolve(study, {"method.name": "AN"})
    assert config.method.name is MethodName.AN
    assert config.method.schedule is None


def test_resolving_drops_what_a_searched_shape_does_not_take(make_study: MakeStudy) -> None:
    study = make_study(
        {"method.schedule.shape": {"choice": ["linear", "constant"]}},
        method={"name": "LL-R", "schedule": {"rate_per_epoch": 0.1, "final_rate": 0.3}},
    )
    config = SearchSpace.from_study(study).resolve(study, {"method.schedule.shape": "constant"})
    assert config.method.schedule == Schedule(shape=ScheduleShape.CONSTANT, final_rate=0.3)


def test_resolving_drops_what_a_searched_optimizer_does_not_take(make_study: MakeStudy) -> None:
    study = make_study({"training.optimizer": {"choice": ["adam", "sgd"]}}, training={"momentum": 0.9})
    space = SearchSpace.from_study(study)
    assert space.resolve(study, {"training.optimizer": "adam"}).training.momentum is None
    assert space.resolve(study, {"training.optimizer": "sgd"}).training.momentum == 0.9


def test_a_schedule_can_come_from_the_search_alone(make_study: MakeStudy) -> None:
    study = make_study(METHODS_AND_RATES, method={"name": "AN"})
    config = SearchSpace.from_study(study).resolve(
        study, {"method.name": "LL-R", "method.schedule.rate_per_epoch": 0.1}
    )
    assert config.method.schedule == Schedule(rate_per_epoch=0.1)


def test_an_irrelevant_key_is_an_error_where_nothing_searches_its_method(make_study: MakeStudy) -> None:
    with pytest.raises(StudyFileError, match="method AN takes no `schedule`"):
        make_study({"training.seed": {"choice": [1, 2]}}, method={"name": "AN", "schedule": {"rate_per_epoch": 0.1}})


def test_resolving_nothing_gives_the_base_config(make_study: MakeStudy) -> None:
    study = make_study()
    assert SearchSpace.from_study(study).resolve(study, {}) == TrialConfig(
        data=study.data, model=study.model, method=study.method, training=study.training, objective=study.objective
    )


def test_resolving_refuses_values_of_keys_that_are_not_searched(make_study: MakeStudy) -> None:
    study = make_study(METHODS_AND_RATES)
    with pytest.raises(ValueError, match=r"training\.epochs: not searched by study s"):
        SearchSpace.from_study(study).resolve(study, {"training.epochs": 3})


def test_resolving_refuses_a_config_that_contradicts_itself(make_study: MakeStudy) -> None:
    study = make_study(METHODS_AND_RATES, method={"name": "AN"})
    with pytest.raises(ValidationError, match="method LL-R needs `schedule`"):
        SearchSpace.from_study(study).resolve(study, {"method.name": "LL-R"})


def test_resolved_values_survive_json(make_study: MakeStudy) -> None:
    study = make_study(METHODS_AND_RATES)
    config = SearchSpace.from_study(study).resolve(study, {"method.name": "AN"})
    assert TrialConfig.model_validate_json(config.model_dump_json()) == config
    assert TrialConfig.model_validate(config.model_dump(mode="json")) == config


def test_a_grid_lists_every_combination_once_in_order(make_study: MakeStudy) -> None:
    study = make_study(METHODS_AND_RATES | {"training.epochs": {"int": {"low": 2, "high": 6, "step": 3}}})
    assert [tuple(values.items()) for values in SearchSpace.from_study(study).grid()] == [
        (("method.name", "AN"), ("training.epochs", 2)),
        (("method.name", "AN"), ("training.epochs", 5)),
        (("method.name", "LL-R"), ("training.epochs", 2), ("method.schedule.rate_per_epoch", 0.1)),
        (("method.name", "LL-R"), ("training.epochs", 2), ("method.schedule.rate_per_epoch", 0.2)),
        (("method.name", "LL-R"), ("training.epochs", 2), ("method.schedule.rate_per_epoch", 0.3)),
        (("method.name", "LL-R"), ("training.epochs", 5), ("method.schedule.rate_per_epoch", 0.1)),
        (("method.name", "LL-R"), ("training.epochs", 5), ("method.schedule.rate_per_epoch", 0.2)),
        (("method.name", "LL-R"), ("training.epochs", 5), ("method.schedule.rate_per_epoch", 0.3)),
    ]
    assert SearchSpace.from_study(study).size() == 8


def test_a_grid_of_nothing_is_the_base_config(make_study: MakeStudy) -> None:
    space = SearchSpace.from_study(make_study())
    assert list(space.grid()) == [{}]
    assert space.size() == 1


def test_a_continuous_range_has_no_grid(make_study: MakeStudy) -> None:
    space = SearchSpace.from_study(make_study({"training.learning_rate": {"float": {"low": 0.1, "high": 1}}}))
    assert space.size() is None
    with pytest.raises(ValueError, match=r"a grid needs a `step` in the range of training\.learning_rate"):
        space.grid()


def test_a_large_space_is_counted_without_listing_it(make_study: MakeStudy) -> None:
    numbers = {"int": {"low": 1, "high": 1_000_000_000}}
    space = SearchSpace.from_study(
        make_study(
            {
                "training.seed": numbers,
                "training.batch_size": numbers | {"when": {"training.seed": [7, 8]}},
                "training.epochs": numbers | {"when": {"training.batch_size": [9]}},
            }
        )
    )
    billion = 10**9
    assert space.size() == (billion - 2) + 2 * ((billion - 1) + billion)


NUMBERS = st.sampled_from([1, 2, 3])
SEARCHED = ["training.seed", "training.epochs", "training.batch_size", "data.observe.seed"]


@st.composite
def conditional_searches(draw: st.DrawFn) -> dict[str, Any]:
    """Keys with up to three values, each perhaps on the condition of earlier ones."""
    search: dict[str, Any] = {}
    for position, path in enumerate(SEARCHED):
        entry: dict[str, Any] = draw(
            st.one_of(
                st.lists(NUMBERS, min_size=1, max_size=3, unique=True).map(lambda values: {"choice": values}),
                st.just({"int": {"low": 1, "high": 3}}),
            )
        )
        earlier = draw(st.lists(st.sampled_from(SEARCHED[:position]), unique=True)) if position else []
        when = {other: draw(st.lists(NUMBERS, min_size=1, unique=True)) for other in earlier}
        search[path] = entry | ({"when": when} if when else {})
    return search


@settings(max_examples=300)
@given(conditional_searches())
def test_grid_size_and_suggestions_agree(search: dict[str, Any]) -> None:
    content = {"name": "s", "data": {"dataset": "digit_scenes"}, "method": {"name": "AN"}, "search": search}
    # Conditions that never hold are what the reader refuses; the space counts them right all the same.
    study = Study.model_validate(content)
    space = SearchSpace.from_study(study)
    grid = [tuple(values.items()) for values in space.grid()]
    assert len(grid) == len(set(grid)) == space.size()
    assert set(grid) == set(by_hand(study))
    for values in suggestions(study, num_trials=3):
        assert tuple(values.items()) in grid


def by_hand(study: Study) -> Iterator[tuple[tuple[str, Any], ...]]:
    """All combinations: of every product of values, what remains when keys whose conditions fail are left out."""
    space = SearchSpace.from_study(study)
    domains = [study.search[key.path].choice or range(1, 4) for key in space.keys]
    for product in itertools.product(*domains):
        values: dict[str, Any] = {}
        for key, value in zip(space.keys, product, strict=True):
            when = study.search[key.path].when or {}
            if all(values.get(other) in allowed for other, allowed in when.items()):
                values[key.path] = value
        yield tuple(values.items())


def test_steps_of_floats_do_not_drift(make_study: MakeStudy) -> None:
    study = make_study({"training.weight_decay": {"float": {"low": 0.1, "high": 0.75, "step": 0.1}}})
    values = [values["training.weight_decay"] for values in SearchSpace.from_study(study).grid()]
    assert values == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_suggestions_stay_within_the_domain(make_study: MakeStudy, sampler: str) -> None:
    space = SearchSpace.from_study(
        make_study(
            {
                "training.learning_rate": {"float": {"low": 1e-5, "high": 1e-2, "log": True}},
                "training.weight_decay": {"float": {"low": 0, "high": 0.25, "step": 0.1}},
                "training.batch_size": {"int": {"low": 2, "high": 9, "step": 4}},
                "training.epochs": {"int": {"low": 1, "high": 100, "log": True}},
                "training.precision": {"choice": ["fp32", "bf16"]},
            }
        )
    )
    samplers = {"random": optuna.samplers.RandomSampler(seed=1), "tpe": optuna.samplers.TPESampler(seed=1)}
    searched = optuna.create_study(sampler=samplers[sampler])
    for _ in range(30):
        trial = searched.ask()
        values = space.suggest(trial)
        assert all(key.contains(values[key.path]) for key in space.keys), values
        searched.tell(trial, 0.0)


def test_old_trials_can_be_replayed_into_optuna(make_study: MakeStudy) -> None:
    study = make_study(METHODS_AND_RATES)
    space = SearchSpace.from_study(study)
    searched = optuna.create_study()
    for value, values in enumerate(space.grid()):
        trial = optuna.trial.create_trial(value=value, params=values, distributions=space.distributions(values))
        searched.add_trial(trial)
    fresh = searched.ask()
    space.suggest(fresh)  # Optuna refuses a key whose distribution differs from that of the replayed trials.
    assert len(searched.get_trials(deepcopy=False)) == 5


def test_grid_values_can_be_enqueued_without_a_warning(make_study: MakeStudy, recwarn: pytest.WarningsRecorder) -> None:
    study = make_study({"training.weight_decay": {"float": {"low": 0.1, "high": 0.75, "step": 0.1}}})
    space = SearchSpace.from_study(study)
    searched = optuna.create_study()
    for values in space.grid():
        searched.enqueue_trial(values)
        assert space.suggest(searched.ask()) == values
    assert [str(warning.message) for warning in recwarn] == []


def test_spaces_survive_pickle(make_study: MakeStudy) -> None:
    space = SearchSpace.from_study(make_study(METHODS_AND_RATES))
    assert pickle.loads(pickle.dumps(space)) == space


def test_circular_conditions_name_the_circle(make_study: MakeStudy) -> None:
    search = {
        "training.seed": Parameter(choice=(1, 2), when={"training.epochs": (1,)}),
        "training.epochs": Parameter(choice=(1, 2), when={"training.seed": (1,)}),
    }
    with pytest.raises(CircularConditionsError) as raised:
        SearchSpace.from_study(make_study().model_copy(update={"search": search}))
    assert set(raised.value.circle) == {"training.seed", "training.epochs"}
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


@pytest.mark.parametrize(
    ("entry", "epochs"),
    [(None, 10), ({"choice": [3, 20, 4]}, 20), ({"int": {"low": 2, "high": 7}}, 7)],
    ids=["fixed", "choice", "range"],
)
def test_the_longest_training_is_known(make_study: MakeStudy, entry: dict[str, Any] | None, epochs: int) -> None:
    study = make_study({} if entry is None else {"training.epochs": entry})
    assert longest_training(study) == epochs


FULL_SEARCH: dict[str, Any] = {
    "method.name": {"choice": [name.value for name in MethodName]},
    "method.variant": {"choice": ["code", "paper"]},
    "method.schedule.shape": {"choice": [shape.value for shape in ScheduleShape]},
    "method.schedule.rate_per_epoch": {"float": {"low": 0.001, "high": 0.01}},
    "method.schedule.final_rate": {"float": {"low": 0.01, "high": 0.1}},
    "method.schedule.ramp_epochs": {"int": {"low": 1, "high": 9}},
    "method.schedule.rate_per_step": {"float": {"low": 0.001, "high": 0.01}},
    "method.schedule.epochs_per_step": {"int": {"low": 1, "high": 3}},
    "training.optimizer": {"choice": ["adam", "sgd"]},
    "training.momentum": {"choice": [0.8, 0.9]},
}


def test_every_trial_of_a_search_over_everything_is_a_valid_config() -> None:
    data = {"dataset": "digit_scenes", "pseudo_labels": "scores.csv"}
    content = {"name": "s", "data": data, "method": {"name": "full"}, "search": FULL_SEARCH}
    study = parse_study(content, "test")
    space = SearchSpace.from_study(study)
    names = set()
    for values in suggestions(study, num_trials=150):
        assert broken_rules(trial_content(study, values)) == []
        config = space.resolve(study, values)
        names.add(config.method.name)
        resolved = config.model_dump(mode="json")
        for path, value in values.items():
            section = resolved
            for name in path.split("."):
                section = section[name]
            assert section == value
    assert names == set(MethodName)
