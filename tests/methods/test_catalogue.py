"""What is said of the methods is true of their code."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
from ruamel.yaml import YAML

from wsml_study.data.digit_scenes import read_digit_scenes
from wsml_study.methods.catalogue import DATASETS, HEADS, METHODS, methods_with_schedule
from wsml_study.methods.contract import Method
from wsml_study.methods.large_loss import Variant
from wsml_study.methods.large_loss_entry import VARIANTS
from wsml_study.methods.schedules import exact_rate
from wsml_study.options import Kind, Option, limits_by_key, takers
from wsml_study.registry import implementation
from wsml_study.study.config_keys import config_keys
from wsml_study.study.key_rules import KEY_RULES
from wsml_study.study.method_section import MethodName
from wsml_study.study.search_section import FloatRange, IntRange, Parameter

OPTIONS = [
    pytest.param(name, one, id=f"{name} {one.key}") for name, method in METHODS.items() for one in method.options
]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_described_whole(name: str) -> None:
    method = METHODS[name]
    assert method.name == name
    assert method.reduction in ("mean", "sum")
    for text in (method.title, method.formula, method.source):
        assert text == text.strip() != ""
    assert set(method.published_map) <= set(DATASETS)
    assert set(method.rate_by_dataset) == (set(DATASETS) - {"openimages_v3"} if method.takes_schedule else set())


@pytest.mark.parametrize("name", METHODS)
def test_the_implementation_takes_what_the_catalogue_lists(name: str) -> None:
    factory = METHODS[name].factory
    assert isinstance(factory, str)
    method = implementation(factory)
    assert issubclass(method, Method)
    parameters = list(inspect.signature(method).parameters)
    listed = [one.key for one in METHODS[name].options]
    given = [*(["schedule"] if METHODS[name].takes_schedule else []), *(["scores_NC"] * METHODS[name].takes_scores)]
    assert sorted(parameters) == sorted(["labels_NC", *listed, *given])


@pytest.mark.parametrize(("name", "one"), OPTIONS)
def test_defaults_and_searches_are_within_the_limits(name: str, one: Option) -> None:
    limits = one.limits
    defaults = [value for value in (one.default, *one.by_dataset.values()) if value is not None]
    assert defaults or one.computed
    assert all(limits.allow(value) for value in defaults)
    if one.search:
        domain = Parameter.model_validate(YAML(typ="safe").load(one.search)).domain
        ends = [domain.low, domain.high] if isinstance(domain, FloatRange | IntRange) else domain
        assert all(config_keys()[f"method.{one.key}"].takes(end) for end in ends)


def test_a_study_file_knows_every_method_and_every_key_with_its_limits_and_takers() -> None:
    assert list(MethodName) == list(METHODS)
    in_section = [path.removeprefix("method.") for path in config_keys() if path.startswith("method.")]
    assert {key for key in in_section if key != "name" and not key.startswith("schedule.")} == set(
        limits_by_key(METHODS.values())
    )
    rules = {rule.key: rule.allowed_values for rule in KEY_RULES}
    for key, limits in limits_by_key(METHODS.values()).items():
        assert rules[f"method.{key}"] == takers(key, METHODS.values()) != ()
        config_key = config_keys()[f"method.{key}"]
        whole, least = limits.kind is Kind.WHOLE, limits.least or 0.0
        beyond = [least - 1, 1e9] if limits.most else [least - 1]
        wrong = ["nonsense"] if limits.choices or limits.kind is Kind.FLAG else [*beyond, 0.5] if whole else beyond
        assert not any(config_key.takes(value) or limits.allow(value) for value in wrong)
        right = [True, False] if limits.kind is Kind.FLAG else limits.choices or [1 if whole else max(least, 0.001)]
        assert all(config_key.takes(value) and limits.allow(value) for value in right)


def test_the_variants_are_those_of_the_code() -> None:
    assert list(VARIANTS) == list(Variant)


def test_some_published_figures() -> None:
    """Spot checks against the papers' tables."""
    assert METHODS["LL-R"].published_map["voc2012"] == (89.2, 89.4)
    assert METHODS["ROLE"].published_map["cub"] == (15.0, 16.8)
    assert METHODS["full"].published_map["coco2014"] == (78.0, 77.2)
    assert METHODS["LL-Ct"].published_map["openimages_v3"] == (82.6, None)
    assert METHODS["EM"].published_map["nuswide"] == (47.15, None)
    assert METHODS["ASL"].published_map == {}


def test_the_rates_of_the_paper_are_exact_decimals() -> None:
    rates = {name: METHODS[name].rate_by_dataset for name in methods_with_schedule()}
    assert {name: 1000 * exact_rate(one["coco2014"]) for name, one in rates.items()} == {
        "LL-R": 4,
        "LL-Ct": 2,
        "LL-Cp": 2,
    }


@pytest.mark.parametrize("name", ["EPR", "ROLE"])
def test_the_expected_positives_of_digit_scenes_are_those_of_its_labels(name: str) -> None:
    one = METHODS[name].option("expected_positives")
    assert one is not None
    labels_NC = read_digit_scenes().train.labels_NC
    assert one.default_for("digit_scenes") == pytest.approx((labels_NC > 0).sum(1).mean(), abs=0.1)


def test_the_heads_are_those_of_the_classifier() -> None:
    assert set(HEADS) == set(config_keys()["model.head"].schema["enum"])


def test_the_catalogue_needs_the_standard_library_alone() -> None:
    program = "import sys, wsml_study.methods.catalogue; print({'torch', 'numpy', 'pydantic'} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "set()"
