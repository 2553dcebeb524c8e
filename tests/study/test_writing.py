from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from wsml_study.errors import StudyFileError
from wsml_study.study.provenance_section import Provenance
from wsml_study.study.reading import parse_study, read_study
from wsml_study.study.resources_section import Resources
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study
from wsml_study.study.writing import dump_config, flow
from wsml_study.study.yaml_tree import parse_yaml

MakeStudy = Callable[..., Study]


def read_back(study: Study, folder: Path) -> Study:
    file = folder / "dumped.yaml"
    file.write_text(dump_config(study), encoding="utf-8")
    return read_study(file)


def test_a_study_is_written_as_one_would_write_it(make_study: MakeStudy) -> None:
    study = make_study(
        {
            "training.learning_rate": {
                "when": {"method.name": ["LL-R"]},
                "float": {"low": 1e-5, "high": 0.1, "log": True},
            },
            "method.name": {"choice": ["AN", "LL-R"]},
        },
        storage="my results",
        trials=3,
    )
    assert (
        dump_config(study)
        == """\
name: s
data:
  dataset: digit_scenes
  observe: {positives: 1, negatives: 0, seed: 1200}
  validation: {fraction: 0.2, seed: 1200, labels: clean}
model: {backbone: small_cnn}
method:
  name: LL-R
  schedule: {shape: linear, warmup_epochs: 1, rate_per_epoch: 0.002}
training:
  epochs: 10
  batch_size: 16
  optimizer: adam
  learning_rate: 1e-5
  head_learning_rate_multiplier: 10.0
  weight_decay: 0.0
  precision: auto
  seed: 0
search:
  training.learning_rate:
    float: {low: 1e-5, high: 0.1, log: true}
    when: {method.name: [LL-R]}
  method.name: {choice: [AN, LL-R]}
objective: {metric: best_val_map, mode: max}
sampler: {name: tpe, seed: 0}
early_stopping: {name: none}
trials: 3
retries: 2
resources: {workers_per_trial: 1, gpus_per_worker: auto, cpus_per_worker: 1}
storage: "my results"
"""
    )


def test_a_config_with_nothing_to_search_says_nothing_of_searching(make_study: MakeStudy, tmp_path: Path) -> None:
    searched = make_study({"method.name": {"choice": ["AN", "LL-R"]}})
    config = SearchSpace.from_study(searched).resolve(searched, {"method.name": "AN"})
    provenance = Provenance(study="s", trial=3, value=81.25, fingerprint="0123456789abcdef")
    exported = Study.of_trial(config, name="s-3", provenance=provenance, resources=Resources(workers_per_trial=2))
    text = dump_config(exported)
    assert not {"search:", "sampler:", "early_stopping:", "trials:"} & set(text.split())
    assert text.endswith("provenance: {study: s, trial: 3, value: 81.25, fingerprint: 0123456789abcdef}\n")
    read = read_back(exported, tmp_path)
    assert read == exported
    assert SearchSpace.from_study(read).resolve(read, {}) == config


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-05, "1e-5"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e22, "1e22"),
        (5e-324, "5e-324"),
        (10.0, "10.0"),
        (True, "true"),
        ("true", '"true"'),
        ("1e-5", '"1e-5"'),
        ("off", "off"),
        ("", '""'),
        ("a b", '"a b"'),
        ("- x", '"- x"'),
        ("-", '"-"'),
        ('say "no"\\', '"say \\"no\\"\\\\"'),
        ("a\nb", '"a\\U0000000Ab"'),
        ("\u00e9t\u00e9", '"\u00e9t\u00e9"'),
        ([1, "1"], '[1, "1"]'),
        ({"a b": None}, '{"a b": null}'),
    ],
)
def test_values_are_written_so_that_they_read_back(value: Any, text: str) -> None:
    assert flow(value) == text
    tree, problems = parse_yaml(f"key: {text}\n")
    assert problems == []
    assert tree is not None
    assert tree.plain() == {"key": value}


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=10
)


@settings(max_examples=300)
@given(VALUES)
def test_any_value_reads_back_identical(value: Any) -> None:
    tree, problems = parse_yaml(flow({"key": value}))
    assert problems == []
    assert tree is not None
    assert repr(tree.plain()) == repr({"key": value})


FRACTIONS = st.floats(0, 1)
SEEDS = st.integers(0, 2**32 - 1)
POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
RATES = st.one_of(
    st.fixed_dictionaries({"shape": st.just("linear"), "rate_per_epoch": FRACTIONS}),
    st.fixed_dictionaries({"shape": st.just("constant"), "final_rate": FRACTIONS}),
    st.fixed_dictionaries({"shape": st.just("capped_linear"), "rate_per_epoch": FRACTIONS, "final_rate": FRACTIONS}),
    st.fixed_dictionaries({"shape": st.just("cosine"), "final_rate": FRACTIONS, "ramp_epochs": st.integers(1, 99)}),
    st.fixed_dictionaries({"shape": st.just("step"), "rate_per_step": FRACTIONS, "epochs_per_step": st.integers(1, 9)}),
)
METHODS = st.one_of(
    st.sampled_from(["AN", "full"]).map(lambda name: {"name": name}),
    st.fixed_dictionaries(
        {"name": st.sampled_from(["LL-R", "LL-Ct", "LL-Cp"]), "schedule": RATES},
        optional={"variant": st.sampled_from(["code", "paper"])},
    ),
)
SEARCHES = st.fixed_dictionaries(
    {},
    optional={
        "training.learning_rate": st.tuples(POSITIVE, POSITIVE, st.booleans())
        .filter(lambda ends: ends[0] < ends[1])
        .map(lambda ends: {"float": {"low": ends[0], "high": ends[1], "log": ends[2]}}),
        "training.weight_decay": st.lists(POSITIVE, min_size=1, max_size=4, unique=True).map(
            lambda values: {"choice": values}
        ),
        "training.seed": st.integers(1, 9).map(lambda step: {"int": {"low": 0, "high": 9, "step": step}}),
        "training.precision": st.just({"choice": ["fp32", "bf16"], "when": {"training.optimizer": ["adam"]}}),
        "model.backbone": TEXTS.map(lambda text: {"choice": [text]}),
    },
)
CONTENTS = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
        "data": st.one_of(
            st.just({"dataset": "digit_scenes"}),
            st.fixed_dictionaries({"dataset": st.sampled_from(["voc2007", "voc2012"]), "root": TEXTS}),
        ),
        "method": METHODS,
        "search": SEARCHES,
    },
    optional={
        "model": st.fixed_dictionaries({"backbone": TEXTS}, optional={"weights": TEXTS}),
        "training": st.fixed_dictionaries(
            {"epochs": st.integers(1, 10**6), "learning_rate": POSITIVE, "seed": SEEDS, "weight_decay": POSITIVE}
        ),
        "sampler": st.fixed_dictionaries({"name": st.sampled_from(["tpe", "random"]), "seed": SEEDS}),
        "storage": TEXTS,
        "provenance": st.fixed_dictionaries(
            {
                "study": TEXTS,
                "trial": st.integers(0, 10**6),
                "value": st.floats(allow_nan=False, allow_infinity=False),
                "fingerprint": TEXTS,
            }
        ),
    },
)


@settings(max_examples=150)
@given(CONTENTS)
def test_a_written_study_reads_back_equal(tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any]) -> None:
    study = parse_study(content, "generated")
    assert read_back(study, tmp_path_factory.getbasetemp()) == study


def test_a_contradiction_cannot_be_written_because_it_cannot_be_made(make_study: MakeStudy) -> None:
    content = make_study().model_dump(mode="json") | {"method": {"name": "LL-R"}}
    with pytest.raises(ValidationError, match="method LL-R needs `schedule`"):
        Study.model_validate(content)
    with pytest.raises(StudyFileError, match="method LL-R needs `schedule`"):
        parse_study(content, "test")
