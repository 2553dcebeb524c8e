"""Modes of training and given features in a study file: which keys and values go together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wsml_study.errors import StudyFileError
from wsml_study.study.data_section import KEPT
from wsml_study.study.identity import canonical
from wsml_study.study.reading import parse_study, read_study
from wsml_study.study.search_space import SearchSpace, longest_training
from wsml_study.study.spec import Study

PRETRAINED = {"backbone": "resnet18", "weights": "IMAGENET1K_V1"}
FEATURES = {"dataset": "features", "root": "mulan", "features": {"file": "scene.arff"}}


def study_of(search: dict[str, Any] | None = None, **sections: Any) -> Study:
    content = {"name": "s", "data": {"dataset": "digit_scenes"}, "method": {"name": "AN"}, "search": search or {}}
    return parse_study(content | sections, "test")


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"training": {"mode": "linear"}}, r"model\.weights: mode linear freezes the backbone.*set pretrained weights"),
        ({"training": {"mode": "linear_init"}, "model": PRETRAINED | {"head": "boostlu"}},
         r"model\.head: boostlu boosts a feature map, and mode linear_init trains on pooled features, which have none"),
        ({"training": {"linear_epochs": 5}}, r"training\.linear_epochs: mode end_to_end takes no `linear_epochs`"),
        ({"training": {"mode": "linear", "hand_over": "best"}, "model": PRETRAINED},
         r"training\.hand_over: mode linear takes no `hand_over` \(only linear_init\)"),
        ({"training": {"mode": "linear", "linear_epochs": 5}, "model": PRETRAINED},
         r"training\.linear_epochs: mode linear takes no `linear_epochs` \(only linear_init\)"),
        ({"training": {"mirror_features": True}}, r"mode end_to_end takes no `mirror_features`"),
        ({"training": {"mode": "lineal"}}, r"got `lineal`; did you mean `linear`\?"),
        ({"model": {"backbone": "linear"}}, r"model\.backbone: `linear` takes given features"),
        ({"data": FEATURES}, r"model\.backbone: dataset features needs `linear`, got `small_cnn`"),
        ({"data": FEATURES, "model": {"backbone": "linear", "weights": "w.pth"}}, r"model\.weights: .*remove the key"),
        ({"data": FEATURES, "model": {"backbone": "linear", "head": "boostlu"}}, r"model\.head: .*use `linear`"),
        ({"data": FEATURES, "model": {"backbone": "linear"}, "training": {"mode": "linear"}},
         r"training\.mode: `linear` freezes a backbone, and given features have none; remove the key"),
        ({"data": FEATURES | {"image_size": 64}, "model": {"backbone": "linear"}},
         r"data\.image_size: dataset features takes no `image_size`"),
        ({"data": {"dataset": "digit_scenes", "feature_scaling": "none"}},
         r"data\.feature_scaling: dataset digit_scenes takes no `feature_scaling` \(only features\)"),
        ({"data": {"dataset": "features", "root": "x"}, "model": {"backbone": "linear"}},
         r"data\.features: dataset features needs `features`"),
        ({"data": FEATURES | {"features": {"file": "x.npy", "test_labels_file": "y.npy"}}}, r"needs `test_file` and"),
        ({"data": FEATURES | {"features": {"file": "x.npy", "labels_file": "y.npy", "test_file": "z.npy"}}},
         r"`test_file` beside `labels_file` needs `test_labels_file`"),
        ({"data": FEATURES | {"features": {"file": "x.npy", "labels_file": "y.npy", "num_labels": 6}}},
         r"`labels_file` says that they are elsewhere"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyFileError, match=message):
        study_of(**sections)


@pytest.mark.parametrize(
    ("search", "sections", "message"),
    [
        ({"training.mode": {"choice": ["end_to_end", "linear"]}}, {}, r"model\.weights: some trials get it: mode lin"),
        ({"training.mode": {"choice": ["end_to_end", "linear"]}, "model.head": {"choice": ["linear", "boostlu"]}},
         {"model": PRETRAINED}, r"model\.head: some trials get it: boostlu boosts a feature map, and mode linear"),
        ({"model.backbone": {"choice": ["small_cnn", "linear"]}}, {}, r"model\.backbone: some trials get it: `linear`"),
        ({"training.linear_epochs": {"choice": [1, 2]}}, {}, r"makes no difference: only mode linear_init takes it"),
        ({"data.features.num_labels": {"choice": [1, 2]}}, {"data": FEATURES, "model": {"backbone": "linear"}},
         r"data\.features\.num_labels: cannot be searched: it changes the data"),
        ({"data.store": {"choice": ["raw", "jpeg"]}}, {}, r"data\.store: cannot be searched"),
    ],
)  # fmt: skip
def test_what_some_trial_would_contradict_is_refused(
    search: dict[str, Any], sections: dict[str, Any], message: str
) -> None:
    with pytest.raises(StudyFileError, match=message):
        study_of(search, trials=2, **sections)


def test_a_contradiction_is_shown_where_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("name: s\ndata: {dataset: digit_scenes}\nmethod: {name: AN}\nmodel: {backbone: linear}\n")
    with pytest.raises(StudyFileError, match=r"  4:19  model\.backbone: `linear` takes given features"):
        read_study(file)


def test_a_mode_can_be_searched_with_the_keys_that_only_it_takes() -> None:
    study = study_of(
        {
            "training.mode": {"choice": ["end_to_end", "linear", "linear_init"]},
            "training.linear_epochs": {"choice": [2, 4]},
        },
        model=PRETRAINED,
        training={"epochs": 3, "linear_learning_rate": 0.1},
        sampler={"name": "grid"},
        trials=4,
    )
    space = SearchSpace.from_study(study)
    trainings = [space.resolve(study, values).training for values in space.grid()]
    assert [(one.mode, one.linear_epochs, one.linear_learning_rate, one.total_epochs) for one in trainings] == [
        ("end_to_end", None, None, 3),
        ("linear", None, None, 3),
        ("linear_init", 2, 0.1, 5),
        ("linear_init", 4, 0.1, 7),
    ]
    assert longest_training(study) == 7


@pytest.mark.parametrize(
    ("search", "training", "epochs"),
    [
        ({}, {"mode": "linear_init"}, 35),
        ({}, {"mode": "linear"}, 10),
        ({"training.mode": {"choice": ["linear", "linear_init"]}}, {"epochs": 5}, 30),
        ({"training.epochs": {"int": {"low": 1, "high": 8}}}, {"mode": "linear_init", "linear_epochs": 2}, 10),
    ],
)
def test_the_longest_training_has_the_epochs_of_the_head_alone(
    search: dict[str, Any], training: dict[str, Any], epochs: int
) -> None:
    assert longest_training(study_of(search, training=training, model=PRETRAINED, trials=2 if search else 1)) == epochs


def test_labels_of_given_features_are_seen_as_they_are() -> None:
    assert study_of(data=FEATURES, model={"backbone": "linear"}).data.observe == KEPT


def test_keys_that_are_not_there_change_no_fingerprint() -> None:
    text = canonical(study_of())
    assert [key for key in ("linear", "mirror", "store", "feature") if key in text] == []
    assert '"training":{"batch_size":16,"epochs":10,' in text


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"training": {"mode": "linear", "compile": True}, "model": PRETRAINED},
         r"training\.compile: mode linear takes no `compile` \(only end_to_end, linear_init\)"),
        ({"data": FEATURES, "model": {"backbone": "linear"}, "training": {"compile": True}},
         r"training\.compile: dataset features takes no `training.compile`"),
        ({"training": {"compile": True}, "resources": {"workers_per_trial": 2}},
         r"training\.compile: expected resources\.workers_per_trial: 1, got 2; leave one of the keys out"),
        ({"search": {"training.compile": {"choice": [True, False]}}}, r"training\.compile: cannot be searched"),
    ],
)  # fmt: skip
def test_training_that_cannot_be_compiled_is_refused(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyFileError, match=message):
        study_of(**sections)


def test_a_machine_that_cannot_compile_is_told_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(StudyFileError, match=r"training\.compile: needs a C\+\+ compiler.*`apt install g\+\+`"):
        study_of(training={"compile": True})
    compiler = tmp_path / "mine"
    compiler.touch(mode=0o755)
    monkeypatch.setenv("CXX", str(compiler))
    assert study_of(training={"compile": True}).training.compile


def test_training_that_is_not_compiled_is_as_if_the_key_were_left_out() -> None:
    assert canonical(study_of(training={"compile": False})) == canonical(study_of())
