"""`wsml_study.losses`: every method has one, with the method's value, gradient, state and defaults."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.methods.cases import scores_of
from wsml_study import losses
from wsml_study.methods.catalogue import METHODS, resolved_options
from wsml_study.methods.contract import Batch, Method
from wsml_study.methods.creation import create_method
from wsml_study.methods.large_loss_entry import VARIANTS
from wsml_study.testing.method_contract import views_of

NUM_IMAGES, NUM_CLASSES, NUM_EPOCHS = 24, 6, 8
SCHEDULE = losses.schedule("linear", rate_per_epoch=0.03)

FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "AN": losses.assume_negative,
    "full": losses.assume_negative,
    "WAN": losses.weak_assume_negative,
    "LSAN": losses.label_smoothing,
    "IU": losses.ignore_unobserved,
    "EPR": losses.expected_positives,
    "LL-R": losses.large_loss_rejection,
    "LL-Ct": losses.large_loss_temporary_correction,
    "ASL": losses.asymmetric,
    "Hill": losses.hill,
    "SPLC": losses.self_paced_correction,
    "EM": losses.entropy_maximization,
    "GR": losses.generalized_robust,
    "PU-MLC": losses.positive_unlabelled,
    "PLC": losses.view_consistency,
}
MODULES: dict[str, type[nn.Module]] = {
    "LL-Cp": losses.PermanentCorrectionLoss,
    "ROLE": losses.OnlineLabelEstimationLoss,
    "EM+APL": losses.PseudoLabelLoss,
    "CSL": losses.ClassAwareSelectiveLoss,
    "CRISP": losses.ClassPriorLoss,
    "VLPL": losses.VisionLanguageLoss,
    "GPR": losses.GeneralizedPseudoLabelLoss,
    "MIME": losses.LabelEnhancementLoss,
    "IGNORE": losses.InformationGapLoss,
}
OTHER_OPTIONS: dict[str, dict[str, Any]] = {
    "WAN": {"negative_weight": 0.3},
    "LSAN": {"smoothing": 0.2},
    "EPR": {"expected_positives": 3.0},
    "LL-R": {"variant": "kept"},
    "LL-Ct": {"variant": "paper"},
    "LL-Cp": {"variant": "as_published"},
    "ROLE": {"expected_positives": 3.0, "estimate_learning_rate_multiplier": 2.0},
    "ASL": {
        "gamma_positive": 1.0,
        "gamma_negative": 2.0,
        "probability_margin": 0.1,
        "focus_gradients": "stopped",
        "reduction": "mean",
    },
    "Hill": {"hill_lambda": 1.2, "gamma": 1.0, "logit_margin": 0.5, "reduction": "mean"},
    "SPLC": {
        "positive_threshold": 0.5,
        "gamma": 1.0,
        "logit_margin": 0.5,
        "warmup_epochs": 4,
        "reduction": "mean",
    },
    "EM": {"entropy_weight": 0.5},
    "EM+APL": {
        "entropy_weight": 0.5,
        "pseudo_label_weight": 0.7,
        "pseudo_label_share": 0.5,
        "warmup_epochs": 2,
    },
    "GR": {option.key: 0.5 * float(option.default or 1) for option in METHODS["GR"].options},
    "CSL": {
        "gamma_positive": 1.0,
        "gamma_negative": 2.0,
        "gamma_unobserved": 3.0,
        "probability_margin": 0.1,
        "likely_per_image": 1,
        "prior_threshold": 0.4,
        "reduction": "mean",
    },
    "CRISP": {"warmup_epochs": 2, "prior_confidence": 0.1, "prior_tolerance": 0.2, "reduction": "mean"},
    "VLPL": {"entropy_weight": 0.5, "given_positive_weight": 0.3, "score_threshold": 0.6},
    "GPR": {option.key: 0.5 * float(option.default or 1) for option in METHODS["GPR"].options}
    | {"given_per_image": 2, "given_least_weight": 0.2},
    "MIME": {"positive_threshold": 0.7, "warmup_epochs": 4},
    "PLC": {"consistency_weight": 0.5, "consistency_threshold": 0.8},
    "IGNORE": {"warmup_epochs": 1, "gap_momentum": 0.9, "positive_weight": 0.2, "consistency_weight": 0.1},
    "PU-MLC": {"pu_rebalance": 1.0, "pu_temperature": 0.5, "reduction": "mean"},
}
"""Options other than the defaults, all of each method's."""

OF_THE_LOOP = frozenset({"pseudo_label_mirroring"})
"""Options that say what the training loop predicts, which is up to a loop of one's own."""

SETTINGS = [(name, {}) for name in METHODS] + list(OTHER_OPTIONS.items())


def labels_of_images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    labels_NC = torch.randint(-1, 2, (NUM_IMAGES, NUM_CLASSES), generator=generator, dtype=torch.int8)
    return labels_NC * (torch.rand(labels_NC.shape, generator=generator) < 0.5)


LABELS = labels_of_images()


def logits_of(epoch: int) -> Tensor:
    return 3 * torch.randn(LABELS.shape, generator=torch.Generator().manual_seed(epoch))


def needed(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options, and those that have no default."""
    return ({"expected_positives": 1.5} if METHODS[name].option("expected_positives") else {}) | options


def method_of(name: str, options: dict[str, Any]) -> Method:
    torch.manual_seed(0)
    course = SCHEDULE if METHODS[name].takes_schedule else None
    return create_method(name, labels_NC=LABELS, schedule=course, **scores(name), **needed(name, options))


def scores(name: str) -> dict[str, Tensor]:
    """Given scores, where a method takes such."""
    return {"scores_NC": scores_of(LABELS)} if METHODS[name].takes_scores else {}


def loss_of(name: str, options: dict[str, Any]) -> Callable[..., Tensor]:
    """The function with its options, or the module."""
    if name in FUNCTIONS:
        return lambda logits_BC, labels_BC, **when: FUNCTIONS[name](
            logits_BC, labels_BC, **needed(name, options), **when
        )
    torch.manual_seed(0)
    course = {"schedule": SCHEDULE} if METHODS[name].takes_schedule else {}
    return MODULES[name](LABELS, **scores(name), **needed(name, options), **course)


def when(name: str, epoch: int, rows: Tensor) -> dict[str, Any]:
    """What a loss is told beside logits, labels and options."""
    entry = FUNCTIONS.get(name) or MODULES[name].forward
    views = {f"{view}_logits_BC": logits for view, logits in views_of(logits_of(epoch)[rows]).items()}
    known = {"epoch": epoch, "epochs": NUM_EPOCHS, "rate": SCHEDULE(epoch), "indices_B": rows, **views}
    return {key: value for key, value in known.items() if key in inspect.signature(entry).parameters}


def test_every_method_has_a_loss() -> None:
    assert {*FUNCTIONS} | {*MODULES} == {*METHODS}
    named = {one.__name__ for one in (*FUNCTIONS.values(), *MODULES.values())}
    assert {*losses.__all__} == named | {"schedule"}


@pytest.mark.parametrize(("name", "options"), SETTINGS)
def test_value_gradient_and_state_are_those_of_the_method(name: str, options: dict[str, Any]) -> None:
    method, loss = method_of(name, options), loss_of(name, options)
    groups = [one.parameter_groups(0.1) for one in (method, loss) if name == "ROLE"]
    optimizers = [torch.optim.SGD(group) for group in groups]
    for epoch in range(1, NUM_EPOCHS + 1):
        for rows in torch.randperm(NUM_IMAGES, generator=torch.Generator().manual_seed(epoch)).split(9):
            one, other = (logits_of(epoch)[rows].requires_grad_() for _ in range(2))
            batch = Batch(
                logits_BC=one,
                labels_BC=LABELS[rows],
                indices_B=rows,
                epoch=epoch,
                epochs=NUM_EPOCHS,
                num_images=len(rows),
                views=views_of(logits_of(epoch)[rows]),
            )
            expected = method(batch).loss
            found = loss(other, LABELS[rows].float(), **when(name, epoch, rows))
            expected.backward()
            found.backward()
            assert torch.equal(found, expected)
            assert torch.equal(other.grad, one.grad)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
        method.finish_epoch(epoch, NUM_EPOCHS, lambda epoch=epoch: logits_of(epoch))
        if hasattr(loss, "finish_epoch"):
            loss.finish_epoch(epoch, NUM_EPOCHS, lambda epoch=epoch: logits_of(epoch))
    if isinstance(loss, nn.Module):
        state = loss.state_dict()
        assert {f"method.{key}" for key in method.state_dict()} == set(state)
        assert bool(state) != METHODS[name].takes_scores, "what scores give is not learnt"
        assert all(torch.equal(state[f"method.{key}"], value) for key, value in method.state_dict().items())


@pytest.mark.parametrize("name", METHODS)
def test_options_and_defaults_are_those_of_the_record(name: str) -> None:
    parameters = inspect.signature(FUNCTIONS.get(name) or MODULES[name]).parameters
    given = {key: one.default for key, one in parameters.items() if key in {one.key for one in METHODS[name].options}}
    options = resolved_options(name, dataset=None, given=needed(name, {}))
    known = {key: value for key, value in options.items() if key not in OF_THE_LOOP}
    required = {key for key, default in given.items() if default is inspect.Parameter.empty}
    assert required == set(needed(name, {}))
    assert given | needed(name, {}) == known


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_can_be_asked_for(variant: str) -> None:
    arguments = {"rate": 0.1, "variant": variant}
    loss = losses.large_loss_rejection(logits_of(1), LABELS, **arguments)
    assert loss < losses.assume_negative(logits_of(1), LABELS)


def test_labels_may_be_of_any_numeric_type() -> None:
    positive_or_unobserved = LABELS.clamp(min=0)
    expected = losses.large_loss_rejection(logits_of(1), positive_or_unobserved, rate=0.1)
    for dtype in (torch.bool, torch.int64, torch.float32, torch.bfloat16):
        labels = positive_or_unobserved.to(dtype)
        assert torch.equal(losses.large_loss_rejection(logits_of(1), labels, rate=0.1), expected)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape \(B, C\), got \(24, 6\) and \(24, 5\)"):
        losses.hill(logits_of(1), LABELS[:, :5])
    with pytest.raises(ValueError, match=r"indices of 24 images, got shape \(3,\)"):
        loss_of("ROLE", {})(logits_of(1), LABELS, torch.arange(3))
    with pytest.raises(ValueError, match="rate as a fraction"):
        losses.large_loss_temporary_correction(logits_of(1), LABELS, rate=2.0)
