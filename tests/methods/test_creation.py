"""Methods by name, and what is said of a name or a value that does not fit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from wsml_study.methods.asymmetric import AsymmetricLoss
from wsml_study.methods.baselines import AssumeNegative
from wsml_study.methods.creation import METHOD_NAMES, WITH_SCHEDULE, create_method
from wsml_study.methods.entropy_maximization import AsymmetricPseudoLabels
from wsml_study.methods.large_loss import (
    LargeLossMethod,
    PermanentCorrection,
    Rejection,
    TemporaryCorrection,
    Variant,
)
from wsml_study.methods.schedules import schedule

LINEAR = schedule("linear", rate_per_epoch=0.002)
LABELS = torch.tensor([[1, 0], [0, 1], [0, 0]], dtype=torch.int8)


def test_names_are_those_of_the_papers() -> None:
    baselines = ("AN", "full", "WAN", "LSAN", "IU", "EPR", "ROLE")
    large_loss = ("LL-R", "LL-Ct", "LL-Cp")
    later = (
        "ASL",
        "Hill",
        "SPLC",
        "EM",
        "EM+APL",
        "GR",
        "CSL",
        "CRISP",
        "PU-MLC",
        "VLPL",
        "GPR",
        "MIME",
        "PLC",
        "IGNORE",
    )
    assert [*METHOD_NAMES] == [*baselines, *large_loss, *later]
    assert [*WITH_SCHEDULE] == [*large_loss]


@pytest.mark.parametrize("name", ["AN", "full"])
def test_baselines_by_name(name: str) -> None:
    assert type(create_method(name, labels_NC=LABELS)) is AssumeNegative


@pytest.mark.parametrize(
    ("name", "cls"), [("LL-R", Rejection), ("LL-Ct", TemporaryCorrection), ("LL-Cp", PermanentCorrection)]
)
@pytest.mark.parametrize("variant", [None, *Variant])
def test_large_loss_by_name(name: str, cls: type[LargeLossMethod], variant: str | None) -> None:
    method = create_method(name, labels_NC=LABELS, schedule=LINEAR, variant=variant)
    assert type(method) is cls
    assert (method.scheme, method.variant, method.schedule) == (name, variant or "code", LINEAR)


def test_permanent_correction_keeps_a_mask_per_training_image() -> None:
    method = create_method("LL-Cp", labels_NC=LABELS, schedule=LINEAR)
    assert method.state_dict()["corrected_NC"].tolist() == [[False, False]] * 3


def test_hyperparameters_are_those_given_then_those_of_the_dataset_then_the_general_ones() -> None:
    method = create_method("EM+APL", labels_NC=LABELS, dataset="cub", pseudo_label_weight=0.5)
    assert isinstance(method, AsymmetricPseudoLabels)
    assert (method.entropy_weight, method.pseudo_label_weight, method.warmup_epochs) == (0.01, 0.5, 3)
    elsewhere = create_method("EM+APL", labels_NC=LABELS, dataset="digit_scenes")
    assert isinstance(elsewhere, AsymmetricPseudoLabels)
    assert (elsewhere.entropy_weight, elsewhere.pseudo_label_weight, elsewhere.warmup_epochs) == (0.1, 0.2, 5)


def test_the_two_years_of_voc_share_their_defaults() -> None:
    one, other = (create_method("EPR", labels_NC=LABELS, dataset=name) for name in ("voc2007", "voc2012"))
    assert one.expected_positives == other.expected_positives == 1.5


def test_zero_is_a_value_and_none_is_not() -> None:
    method = create_method("ASL", labels_NC=LABELS, gamma_negative=0.0, gamma_positive=None)
    assert isinstance(method, AsymmetricLoss)
    assert (method.gamma_negative, method.gamma_positive, method.reduction) == (0.0, 0.0, "sum")


@pytest.mark.parametrize(
    ("name", "course", "values", "message"),
    [
        ("LL-X", None, {}, "expected a method among AN, full, .*, IGNORE, got 'LL-X'"),
        ("LL-R", None, {}, "LL-R needs a schedule"),
        ("AN", LINEAR, {}, "AN takes no schedule"),
        ("full", None, {"variant": "code"}, "full takes no options; got variant"),
        ("LL-R", LINEAR, {"variant": "published"}, "variant: expected one of code, .*, got published"),
        ("Hill", None, {"gamma_negative": 1.0}, "Hill takes hill_lambda, gamma, .*; got gamma_negative"),
        ("LSAN", None, {"smoothing": 0.6}, "smoothing: expected a number from 0 to 0.5, got 0.6"),
        ("ASL", None, {"probability_margin": 1.0}, "expected a number from 0 to below 1, got 1.0"),
        ("CSL", None, {"likely_per_image": 2.5}, "expected a whole number of at least 0, got 2.5"),
        ("ASL", None, {"gamma_negative": True}, "expected a number of at least 0, got True"),
        ("EPR", None, {}, "EPR needs expected_positives, which has no default for no dataset"),
        ("IU", None, {}, "IU .* needs observed negatives"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, course: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_method(name, labels_NC=LABELS, schedule=course, **values)


def test_a_dataset_without_a_default_is_named() -> None:
    with pytest.raises(ValueError, match="ROLE needs expected_positives, which has no default for dataset table"):
        create_method("ROLE", labels_NC=LABELS, dataset="table")
