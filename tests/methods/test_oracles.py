"""Every method against its formula in NumPy: values to 1e-6, gradients to 1e-4, on random and on edge inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.methods.cases import CASES, create
from tests.methods.oracles import ORACLES, Array, Example, distrusted, nl, p_of, penalty
from wsml_study.methods.catalogue import METHODS, resolved_options
from wsml_study.methods.contract import Batch, Method
from wsml_study.testing.method_contract import views_of

NUM_IMAGES, NUM_CLASSES = 6, 7
STEP = 1e-5
WITH_VIEWS = [record for record in METHODS.values() if record.takes_views]

OTHER_VALUES: dict[str, list[dict[str, Any]]] = {
    "WAN": [{"negative_weight": 0.3}],
    "LSAN": [{"smoothing": 0.0}, {"smoothing": 0.5}],
    "EPR": [{"expected_positives": 0.0}],
    "ROLE": [{"expected_positives": 3.0}],
    "ASL": [
        {"gamma_positive": 1.0, "gamma_negative": 0.5, "probability_margin": 0.2, "reduction": "mean"},
        {"gamma_positive": 2.0, "gamma_negative": 2.0, "probability_margin": 0.0},
        {"focus_gradients": "stopped", "gamma_positive": 1.0},
        {"focus_gradients": "stopped", "probability_margin": 0.0, "reduction": "mean"},
    ],
    "Hill": [{"hill_lambda": 1.2, "gamma": 0.5, "logit_margin": 0.0, "reduction": "mean"}],
    "SPLC": [{"positive_threshold": 0.3, "gamma": 0.0, "warmup_epochs": 3}, {"reduction": "mean", "logit_margin": 0.5}],
    "EM": [{"entropy_weight": 2.0}],
    "EM+APL": [{"entropy_weight": 0.5, "pseudo_label_weight": 1.5}],
    "GR": [{"gr_q2": 0.0, "gr_q3": 0.7, "gr_w_last": 6.0, "gr_sigma_last": 0.3}, {"gr_q2": 1.0, "gr_q3": 0.0}],
    "CSL": [
        {"gamma_positive": 1.0, "gamma_unobserved": 0.0, "probability_margin": 0.1, "likely_per_image": 1},
        {"likely_per_image": 0, "prior_threshold": 0.4, "reduction": "mean"},
    ],
    "CRISP": [{"reduction": "mean"}],
    "VLPL": [{"given_positive_weight": 1.5, "score_threshold": 0.7, "entropy_weight": 1.0}],
    "GPR": [
        {"given_negative_share": 0.4, "penalty_weight": 0.5, "given_softness": 0.7, "gr_q3": 1.5},
        {"given_per_image": 1, "given_least_weight": 0.1, "given_most_weight": 0.9, "gr_sigma_last": 0.2},
    ],
    "PLC": [{"consistency_threshold": 0.5}, {"consistency_threshold": 0.9, "consistency_weight": 0.3}],
    "IGNORE": [
        {"warmup_epochs": 0},
        {"warmup_epochs": 1, "gap_momentum": 0.5, "positive_weight": 0.2, "consistency_weight": 1.5},
    ],
    "PU-MLC": [
        {"pu_rebalance": 0.0, "pu_temperature": 0.3},
        {"pu_rebalance": 1.5, "pu_temperature": 0.6, "reduction": "mean"},
    ],
}
SETTINGS = [(case, {}) for case in CASES] + [(case, values) for case in OTHER_VALUES for values in OTHER_VALUES[case]]

INPUTS = ("random", "ties", "no unobserved", "all unobserved", "all positive", "saturated", "beyond all unobserved")


def inputs(kind: str) -> tuple[Tensor, Tensor]:
    """Logits (B, C) and labels (B, C)."""
    generator = torch.Generator().manual_seed(INPUTS.index(kind))
    shape = (NUM_IMAGES, NUM_CLASSES)
    logits = 2 * torch.randn(shape, generator=generator)
    states = torch.randint(-1, 2, shape, generator=generator, dtype=torch.int8)
    labels = states * (torch.rand(shape, generator=generator) < 0.5)
    match kind:
        case "ties":
            return logits.round(), labels
        case "no unobserved":
            return logits, torch.where(labels == 0, -1, labels).to(torch.int8)
        case "all unobserved":
            return logits, torch.zeros_like(labels)
        case "all positive":
            return logits, torch.ones_like(labels)
        case "saturated":
            return 80 * logits.sign(), labels
    return logits, labels


class Trial:
    """A method with some state, a batch for it, and the same as its oracle sees it."""

    def __init__(self, case: str, values: dict[str, Any], kind: str, dtype: torch.dtype) -> None:
        self.name, _, variant = case.partition(" ")
        logits_BC, labels_BC = inputs(kind)
        epoch, rate_per_epoch = (2, 1.0) if kind == "beyond all unobserved" else (3, 0.07)
        self.batch = Batch(
            logits_BC=logits_BC.to(dtype).requires_grad_(),
            labels_BC=labels_BC,
            indices_B=torch.tensor([3, 0, 5, 4, 1, 2]),
            epoch=epoch,
            epochs=10,
            num_images=NUM_IMAGES,
            views={name: one.requires_grad_() for name, one in views_of(logits_BC.to(dtype)).items()},
        )
        if METHODS[self.name].option("expected_positives"):
            values = {"expected_positives": 1.5} | values
        labels_NC = torch.tensor([[1, -1, 0, 0, 0, 0, 0]] * NUM_IMAGES, dtype=torch.int8)  # IU asks for a negative
        self.method = remembering(create(case, labels_NC, rate_per_epoch=rate_per_epoch, **values))
        extra = {"scheme": self.name, "variant": variant or "code", "rate_per_epoch": rate_per_epoch}
        known = resolved_options(self.name, dataset=None, given=values)
        self.example = Example(
            labels=labels_BC.numpy(),
            values={key: value for key, value in known.items() if value is not None} | extra,
            epoch=epoch,
            epochs=10,
            views={name: one.detach().double().numpy() for name, one in self.batch.views.items()},
            state={key: self._of_batch(value) for key, value in self.method.named_buffers()}
            | {key: self._of_batch(value.detach()) for key, value in self.method.named_parameters()},
        )

    def _of_batch(self, value: Tensor) -> Array:
        return (value[self.batch.indices_B] if value.ndim == 2 else value).double().numpy()

    def oracle(self, z: Array, stopped: Array) -> float:
        return ORACLES[self.name](z, stopped, self.example)


def remembering(method: Method) -> Method:
    """Some state that a trial could have: half of the soft labels given, estimates and priors all over the place."""
    generator = torch.Generator().manual_seed(7)
    for key, value in method.state_dict().items():
        random = torch.rand(value.shape, generator=generator, dtype=torch.float64)
        match key:
            case "theta_NC":
                value.copy_(4 * random - 2)
            case "soft_NC":
                value.copy_(torch.where(random < 0.5, random, -1))
            case "prior_C":
                value.copy_(random)
            case "enhanced_NC":
                value.copy_(random < 0.5)
            case "gap_1" | "logit_C":
                value.copy_(random - 0.5 * (key == "logit_C"))
    return method


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize(("case", "values"), SETTINGS)
def test_the_value_is_that_of_the_formula(case: str, values: dict[str, Any], kind: str, dtype: torch.dtype) -> None:
    trial = Trial(case, values, kind, dtype)
    z = trial.batch.logits_BC.detach().double().numpy()
    assert trial.method(trial.batch).loss.item() == pytest.approx(trial.oracle(z, z), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize(("case", "values"), SETTINGS)
def test_the_gradient_is_that_of_the_formula(case: str, values: dict[str, Any], kind: str) -> None:
    trial = Trial(case, values, kind, torch.float32)
    (gradient_BC,) = torch.autograd.grad(trial.method(trial.batch).loss, trial.batch.logits_BC)
    z = trial.batch.logits_BC.detach().double().numpy()
    np.testing.assert_allclose(gradient_BC.numpy(), finite_differences(trial, z), rtol=1e-4, atol=1e-4 / z.size)


def finite_differences(trial: Trial, z: Array) -> Array:
    gradient = np.zeros_like(z)
    for entry in np.ndindex(z.shape):
        ahead, behind = z.copy(), z.copy()
        ahead[entry] += STEP
        behind[entry] -= STEP
        gradient[entry] = (trial.oracle(ahead, z) - trial.oracle(behind, z)) / (2 * STEP)
    return gradient


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize(("case", "values"), [one for one in SETTINGS if METHODS.get(one[0]) in WITH_VIEWS])
def test_the_gradient_in_the_strong_view_is_that_of_the_formula(case: str, values: dict[str, Any], kind: str) -> None:
    trial = Trial(case, values, kind, torch.float32)
    (gradient_BC,) = torch.autograd.grad(trial.method(trial.batch).loss, trial.batch.views["strong"])
    z, strong = trial.batch.logits_BC.detach().double().numpy(), trial.example.views["strong"]
    expected = np.zeros_like(strong)
    for entry in np.ndindex(strong.shape):
        values_of = []
        for step in (STEP, -STEP):
            strong[entry] += step
            values_of.append(trial.oracle(z, z))
            strong[entry] -= step
        expected[entry] = (values_of[0] - values_of[1]) / (2 * STEP)
    np.testing.assert_allclose(gradient_BC.numpy(), expected, rtol=1e-4, atol=1e-4 / z.size)


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("case", [case for case in CASES if case.partition(" ")[0].startswith("LL")])
def test_the_distrusted_labels_are_those_of_the_formula(case: str, kind: str) -> None:
    trial = Trial(case, {}, kind, torch.float32)
    expected = distrusted(trial.batch.logits_BC.detach().double().numpy(), trial.example)
    np.testing.assert_array_equal(trial.method(trial.batch).distrusted_BC.numpy(), expected)


def test_the_gradient_of_roles_estimate_is_that_of_the_formula() -> None:
    """theta's own: with p stopped, and none at all for observed labels."""
    trial = Trial("ROLE", {}, "random", torch.float32)
    trial.method(trial.batch).loss.backward()
    theta, z = trial.example.state["theta_NC"], trial.batch.logits_BC.detach().double().numpy()
    expected = np.zeros_like(theta)
    for entry in np.ndindex(theta.shape):
        values = []
        for step in (STEP, -STEP):
            theta[entry] += step
            values.append(role_of_estimate(trial, z))
            theta[entry] -= step
        expected[entry] = (values[0] - values[1]) / (2 * STEP)
    gradient_NC = trial.method.theta_NC.grad
    np.testing.assert_allclose(gradient_NC[trial.batch.indices_B].numpy(), expected, rtol=1e-4, atol=1e-6)
    assert not gradient_NC[trial.batch.indices_B][trial.batch.labels_BC != 0].any()


def role_of_estimate(trial: Trial, z: Array) -> float:
    """The part of ROLE's loss that teaches the estimate, for which everything else is stopped."""
    q, labels = trial.example.state["theta_NC"], trial.example.labels
    free = labels == 0
    agreement = sum(p_of(z[e]) * nl(q[e]) + p_of(-z[e]) * nl(-q[e]) for e in np.ndindex(q.shape) if free[e]) / q.size
    certain = np.where(labels == 1, np.log(0.995 / 0.005), np.log(0.005 / 0.995))
    return 0.5 * (agreement + penalty(np.where(free, q, certain), trial.example))
