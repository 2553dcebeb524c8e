"""`budget` and `stop_when` in the study file and on the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from wsml_study.errors import StudyFileError
from wsml_study.study.budget_section import UNBOUNDED_TRIALS, Budget, budget_of
from wsml_study.study.identity import fingerprint
from wsml_study.study.reading import parse_study
from wsml_study.study.spec import Study
from wsml_study.study.writing import dump_config
from wsml_study.study.yaml_tree import parse_yaml

MakeStudy = Callable[..., Study]

SEARCH: dict[str, Any] = {"training.learning_rate": {"float": {"low": 1e-4, "high": 1e-2, "log": True}}}


def test_a_budget_without_trials_is_the_only_end_of_the_search_and_is_written_so(make_study: MakeStudy) -> None:
    study = make_study(SEARCH, budget={"hours": 2})
    assert study.trials == UNBOUNDED_TRIALS
    assert study.is_unbounded
    written = dump_config(study)
    assert "trials:" not in written.replace("test_trials:", "")
    tree, problems = parse_yaml(written)
    assert problems == []
    assert tree is not None
    assert parse_study(tree.plain(), "again") == study


def test_trials_beside_a_budget_are_kept(make_study: MakeStudy) -> None:
    assert make_study(SEARCH, trials=12, budget={"epochs": 400}).trials == 12


def test_budget_and_stop_when_do_not_make_another_study(make_study: MakeStudy) -> None:
    plain = make_study(SEARCH, trials=9)
    limited = make_study(SEARCH, trials=9, budget={"hours": 1}, stop_when={"expected_regret": 0.2})
    assert fingerprint(plain) == fingerprint(limited)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"budget": {}}, "expected `hours`, `epochs` or `gpu_hours`"),
        ({"budget": {"hours": 0}}, "budget.hours"),
        ({"budget": {"epochs": 2.5}}, "budget.epochs"),
        ({"budget": {"gpu_hours": 1}, "resources": {"gpus_per_worker": 0}}, "would never be spent"),
        ({"stop_when": {"expected_regret": 0.2}}, "needs `trials` or `budget`"),
        ({"budget": {"hours": 1}, "search": {}}, "is one trial"),
        ({"budget": {"hours": 1}, "early_stopping": {"name": "pbt"}, "sampler": {"name": "random"}}, "a population"),
        (
            {"budget": {"hours": 1}, "trials": 4, "fidelity": [{"set": {"training.epochs": 2}, "survivors": 1}]},
            "cannot go with `fidelity`",
        ),
    ],
)
def test_what_cannot_be_counted_or_reached_is_refused(changes: dict[str, Any], expected: str) -> None:
    content = {
        "name": "b",
        "data": {"dataset": "digit_scenes"},
        "method": {"name": "AN"},
        "training": {"epochs": 20},
        "search": SEARCH,
    }
    with pytest.raises(StudyFileError, match=expected):
        parse_study(content | changes, "b")


def test_the_command_line_takes_limits_with_units() -> None:
    assert budget_of("90min, 400epochs") == Budget(hours=1.5, epochs=400)
    assert budget_of("8gpuh") == Budget(gpu_hours=8)


@pytest.mark.parametrize("text", ["", "2", "h", "2d", "2h,3min", "2.5epochs", "0h", "-1h"])
def test_other_texts_are_no_budget(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        budget_of(text)
