"""Which study final training makes of a config."""

from __future__ import annotations

import pytest

from wsml_study.errors import ResultsError
from wsml_study.study.reading import parse_study, read_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study
from wsml_study.study.writing import dump_config
from wsml_study.tuning.final_training import over_seeds


def config(**sections: object) -> Study:
    content = {
        "name": "best",
        "data": {"dataset": "digit_scenes"},
        "method": {"name": "GR"},
        "training": {"epochs": 14, "seed": 5},
        "provenance": {"study": "s", "trial": 3, "value": 70.0, "best_epoch": 9, "fingerprint": "f"},
    }
    return parse_study(content | sections, source="best")


def trial_of(study: Study, seed: int):
    return SearchSpace.from_study(study).resolve(study, {"training.seed": seed})


def test_seeds_follow_the_config_s_own() -> None:
    study = over_seeds(config(), num_seeds=3)
    values = [
        values["training.seed"] for values, _ in zip(SearchSpace.from_study(study).grid(), range(3), strict=False)
    ]
    assert values == [5, 6, 7]
    assert study.trials == 3
    trial = trial_of(study, 6)
    assert (trial.training.seed, trial.training.last_epoch, trial.data.holds_out) == (6, 14, True)


def test_without_validation_images_it_ends_with_the_search_s_best_epoch() -> None:
    """The method still counts on 14 epochs: GR moves its parameters over all of them."""
    study = over_seeds(config(), num_seeds=1, on="train+validation")
    trial = trial_of(study, 5)
    assert study.name == "best-trainval"
    assert (trial.training.epochs, trial.training.last_epoch, trial.data.holds_out) == (14, 9, False)


@pytest.mark.parametrize(
    "sections",
    [
        {"provenance": {"study": "s", "trial": 3, "value": 70.0, "fingerprint": "f"}},
        {"provenance": None},
        {"objective": {"metric": "last_val_map"}},
    ],
)
def test_without_a_best_epoch_it_runs_them_all(sections: dict) -> None:
    study = over_seeds(config(**sections), num_seeds=1, on="train+validation")
    assert trial_of(study, 5).training.last_epoch == 14


def test_both_ways_round_trip_through_a_file(tmp_path) -> None:
    for on in ("train", "train+validation", None):
        study = over_seeds(config(), num_seeds=2, on=on)
        (tmp_path / "study.yaml").write_text(dump_config(study))
        assert read_study(tmp_path / "study.yaml") == study


def test_a_config_may_say_it_itself_and_the_command_line_has_the_last_word() -> None:
    both = over_seeds(config(), num_seeds=1, on="train+validation")
    itself = both.model_copy(update={"search": {}, "trials": 1})
    assert over_seeds(itself, num_seeds=1) == both
    assert over_seeds(itself, num_seeds=1, on="train+validation") == both
    assert over_seeds(itself, num_seeds=1, on="train") == over_seeds(config(), num_seeds=1)


def test_what_is_no_config_is_refused() -> None:
    searched = config(search={"training.epochs": {"choice": [1, 2]}})
    with pytest.raises(ResultsError, match="this is a study with 1 searched keys, not a config"):
        over_seeds(searched, num_seeds=1)
    with pytest.raises(ResultsError, match="at most 100 characters; give the config a shorter `name`"):
        over_seeds(config(name="n" * 95), num_seeds=1, on="train+validation")
    with pytest.raises(ResultsError, match="models are written to a folder"):
        over_seeds(config(storage="s3://bucket"), num_seeds=1)
