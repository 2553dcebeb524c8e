from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from wsml_study.study.identity import canonical, differences, fingerprint
from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study

MakeStudy = Callable[..., Study]

SEARCH: dict[str, Any] = {
    "method.name": {"choice": ["AN", "LL-R"]},
    "training.seed": {"choice": [1, 2], "when": {"method.name": ["LL-R"], "training.optimizer": ["adam"]}},
}


def test_the_fingerprint_never_changes_for_the_same_study(make_study: MakeStudy) -> None:
    """Folders of results carry it: a change of this number makes every study look like a different one."""
    assert fingerprint(make_study(SEARCH)) == "c8cddb5c5b5fbaef"


def test_spelling_out_a_default_changes_nothing(make_study: MakeStudy) -> None:
    assert canonical(make_study(training={"epochs": 10})) == canonical(make_study())


def test_another_share_of_the_training_images_is_another_study(make_study: MakeStudy) -> None:
    whole, half = (make_study(data={"dataset": "digit_scenes", "train_share": share}) for share in (1, 0.5))
    assert fingerprint(whole) == fingerprint(make_study())
    assert differences(whole, half) == ["data.train_share: (not set) -> 0.5"]


def test_the_order_of_keys_changes_nothing(make_study: MakeStudy) -> None:
    when = dict(reversed(SEARCH["training.seed"]["when"].items()))
    other = {"training.seed": {"when": when, "choice": [1, 2]}, "method.name": SEARCH["method.name"]}
    assert fingerprint(make_study(SEARCH)) == fingerprint(make_study(other))
    assert differences(make_study(SEARCH), make_study(other)) == []


@pytest.mark.parametrize(
    "sections",
    [
        {"name": "t"},
        {"trials": 100},
        {"retries": 0},
        {"resources": {"workers_per_trial": 2}},
        {"storage": "elsewhere"},
        {"provenance": {"study": "s", "trial": 0, "value": 1.0, "fingerprint": "f"}},
    ],
    ids=lambda sections: next(iter(sections)),
)
def test_how_much_runs_and_where_is_not_part_of_the_identity(make_study: MakeStudy, sections: dict[str, Any]) -> None:
    assert fingerprint(make_study(SEARCH, **sections)) == fingerprint(make_study(SEARCH))
    assert differences(make_study(SEARCH), make_study(SEARCH, **sections)) == []


def test_where_the_data_lies_is_not_part_of_the_identity() -> None:
    content = {"name": "s", "method": {"name": "AN"}}
    here, there = (parse_study(content | {"data": {"dataset": "voc2007", "root": root}}, "test") for root in "ab")
    assert fingerprint(here) == fingerprint(there)


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        ({"training": {"epochs": 20}}, "training.epochs: 10 -> 20"),
        ({"training": {"learning_rate": 1e-4}}, "training.learning_rate: 1e-5 -> 0.0001"),
        ({"sampler": {"seed": 1}}, "sampler.seed: 0 -> 1"),
        ({"model": {"backbone": "small_cnn", "weights": "w.pth"}}, "model.weights: (not set) -> w.pth"),
        ({"objective": {"metric": "last_val_map"}}, "objective.metric: best_val_map -> last_val_map"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_differences_are_told_by_dotted_key(make_study: MakeStudy, sections: dict[str, Any], line: str) -> None:
    assert differences(make_study(), make_study(**sections)) == [line]
    assert fingerprint(make_study()) != fingerprint(make_study(**sections))


def test_an_entry_of_the_search_is_told_as_a_whole(make_study: MakeStudy) -> None:
    new = {"method.name": {"choice": ["AN", "LL-R", "LL-Ct"]}}
    assert differences(make_study(SEARCH), make_study(new)) == [
        "search.method.name: {choice: [AN, LL-R]} -> {choice: [AN, LL-R, LL-Ct]}",
        "search.training.seed: {choice: [1, 2], when: {method.name: [LL-R], training.optimizer: [adam]}} -> (not set)",
    ]


def test_the_order_of_choices_is_part_of_the_identity(make_study: MakeStudy) -> None:
    one, other = ({"method.name": {"choice": names}} for names in (["AN", "LL-R"], ["LL-R", "AN"]))
    assert fingerprint(make_study(one)) != fingerprint(make_study(other))


def test_trials_have_fingerprints_too(make_study: MakeStudy) -> None:
    study = make_study(SEARCH)
    space = SearchSpace.from_study(study)
    one, same, other = (space.resolve(study, {"method.name": name}) for name in ("AN", "AN", "LL-R"))
    assert fingerprint(one) == fingerprint(same) != fingerprint(other)
    assert differences(one, other)[0] == "method.name: AN -> LL-R"
