"""What every method promises, whatever it does with an unobserved label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.methods.cases import CASES, STOPPED, create
from wsml_study.methods.contract import PADDING, Batch, Method, Outcome
from wsml_study.methods.creation import WITH_SCHEDULE

NUM_IMAGES, NUM_CLASSES, NUM_EPOCHS = 24, 5, 10

pytestmark = pytest.mark.parametrize("case", CASES)


def labels_of_images() -> Tensor:
    """A third of the labels observed."""
    generator = torch.Generator().manual_seed(99)
    shape = (NUM_IMAGES, NUM_CLASSES)
    labels_NC = torch.randint(-1, 2, shape, generator=generator, dtype=torch.int8)
    return labels_NC * (torch.rand(shape, generator=generator) < 0.5)


LABELS = labels_of_images()


def random_batch(seed: int, *, epoch: int = 3, num_images: int = 8, dtype: torch.dtype = torch.float32) -> Batch:
    """Distinct logits, and the labels of distinct images."""
    generator = torch.Generator().manual_seed(seed)
    indices_B = torch.randperm(NUM_IMAGES, generator=generator)[:num_images]
    logits_BC = 3 * torch.randn((num_images, NUM_CLASSES), generator=generator)
    return Batch(
        logits_BC=logits_BC.to(dtype).requires_grad_(),
        labels_BC=LABELS[indices_B],
        indices_B=indices_B,
        epoch=epoch,
        epochs=NUM_EPOCHS,
        num_images=num_images,
    )


def with_logits(batch: Batch, logits_BC: Tensor, **changes: Any) -> Batch:
    return replace(batch, logits_BC=logits_BC.detach().requires_grad_(), **changes)


def with_classes(batch: Batch, order: Tensor) -> Batch:
    """The same batch with its classes in another order."""
    return with_logits(batch, batch.logits_BC[:, order], labels_BC=batch.labels_BC[:, order])


def gradient(outcome: Outcome, batch: Batch) -> Tensor:
    return torch.autograd.grad(outcome.loss, batch.logits_BC)[0]


def train(method: Method, epochs: Sequence[int], order: Tensor | None = None) -> Method:
    """Some epochs of what a method may learn and correct, from logits that no training changes."""
    order = torch.arange(NUM_CLASSES) if order is None else order
    groups = method.parameter_groups(learning_rate=0.1)
    optimizer = torch.optim.SGD(groups) if groups else None
    for epoch in epochs:
        method.start_epoch(epoch, NUM_EPOCHS)
        for step in range(3):
            method(with_classes(random_batch(10 * epoch + step, epoch=epoch), order)).loss.backward()
            if optimizer is not None:
                optimizer.step()
                optimizer.zero_grad()
        all_NC = 3 * torch.randn((NUM_IMAGES, NUM_CLASSES), generator=torch.Generator().manual_seed(epoch))
        method.finish_epoch(epoch, NUM_EPOCHS, lambda all_NC=all_NC: all_NC[:, order])
    return method


@cache
def trained_state(case: str) -> dict[str, Tensor]:
    """After epochs enough that every method has something to remember: EM+APL labels after its fifth."""
    return train(create(case, LABELS), range(1, 7)).state_dict()


def trained(case: str) -> Method:
    """The method after those epochs."""
    method = create(case, LABELS)
    method.load_state_dict(trained_state(case))
    return method


def assert_equal_states(one: Method, other: Method) -> None:
    state, other_state = one.state_dict(), other.state_dict()
    assert state.keys() == other_state.keys()
    assert all(torch.equal(value, other_state[key]) for key, value in state.items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [0.0, 1.0, 80.0])
@pytest.mark.parametrize("state", [1, 0, -1, None])
def test_loss_and_gradient_are_finite(case: str, state: int | None, scale: float, dtype: torch.dtype) -> None:
    batch = random_batch(0, dtype=dtype)
    batch = with_logits(batch, batch.logits_BC.sign() * scale)
    if state is not None:
        batch = replace(batch, labels_BC=torch.full_like(batch.labels_BC, state))
    outcome = trained(case)(batch)
    assert outcome.loss.shape == ()
    assert outcome.loss.dtype == torch.float32
    assert outcome.loss.isfinite()
    assert gradient(outcome, batch).isfinite().all()


def test_gradients_are_those_of_finite_differences(case: str) -> None:
    if case in STOPPED:
        pytest.skip("test_oracles.py takes finite differences that stop where the formula does")
    batch = random_batch(1, dtype=torch.float64)

    def loss(logits_BC: Tensor) -> Tensor:
        return trained(case)(replace(batch, logits_BC=logits_BC)).loss

    assert torch.autograd.gradcheck(loss, (batch.logits_BC,))


def test_only_unobserved_labels_are_distrusted(case: str) -> None:
    method, masks = create(case, LABELS), []
    for step in range(12):
        batch = random_batch(step, epoch=1 + step // 3)
        distrusted_BC = method(batch).distrusted_BC
        if distrusted_BC is not None:
            assert distrusted_BC.dtype == torch.bool
            assert distrusted_BC.shape == batch.labels_BC.shape
            assert not distrusted_BC[batch.labels_BC != 0].any()
            masks.append(distrusted_BC)
    assert not masks or (len(masks) == 12 and torch.cat(masks).any())


def test_padding_counts_nowhere(case: str) -> None:
    batch = random_batch(2)
    padded = with_logits(
        batch,
        torch.cat([batch.logits_BC, torch.full((3, NUM_CLASSES), 40.0)]),
        labels_BC=torch.cat([batch.labels_BC, torch.full((3, NUM_CLASSES), PADDING, dtype=torch.int8)]),
        indices_B=torch.cat([batch.indices_B, torch.tensor([-1, 10**6, int(batch.indices_B[0])])]),
    )
    method, method_with_padding = trained(case), trained(case)
    outcome, outcome_with_padding = method(batch), method_with_padding(padded)
    torch.testing.assert_close(outcome_with_padding.loss, outcome.loss)
    gradient_BC = gradient(outcome_with_padding, padded)
    torch.testing.assert_close(gradient_BC[:8], gradient(outcome, batch))
    assert not gradient_BC[8:].any()
    if outcome.distrusted_BC is not None:
        assert torch.equal(outcome_with_padding.distrusted_BC[:8], outcome.distrusted_BC)
        assert not outcome_with_padding.distrusted_BC[8:].any()
    assert_equal_states(method, method_with_padding)


def test_permuting_images_permutes_everything(case: str) -> None:
    batch = random_batch(3)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(4))
    permuted = with_logits(
        batch, batch.logits_BC[order], labels_BC=batch.labels_BC[order], indices_B=batch.indices_B[order]
    )
    method, method_permuted = trained(case), trained(case)
    outcome, outcome_permuted = method(batch), method_permuted(permuted)
    torch.testing.assert_close(outcome_permuted.loss, outcome.loss)
    torch.testing.assert_close(gradient(outcome_permuted, permuted), gradient(outcome, batch)[order])
    if outcome.distrusted_BC is not None:
        assert torch.equal(outcome_permuted.distrusted_BC, outcome.distrusted_BC[order])
    assert_equal_states(method, method_permuted)


def test_permuting_classes_permutes_everything(case: str) -> None:
    order = torch.randperm(NUM_CLASSES, generator=torch.Generator().manual_seed(4))
    method, method_permuted = create(case, LABELS), create(case, LABELS[:, order])
    if case == "ROLE":  # its first estimate is drawn, class by class
        method_permuted.load_state_dict({key: value[..., order] for key, value in method.state_dict().items()})
    train(method, range(1, 7))
    train(method_permuted, range(1, 7), order)
    batch = random_batch(3)
    permuted = with_classes(batch, order)
    outcome, outcome_permuted = method(batch), method_permuted(permuted)
    torch.testing.assert_close(outcome_permuted.loss, outcome.loss)
    torch.testing.assert_close(gradient(outcome_permuted, permuted), gradient(outcome, batch)[:, order])
    if outcome.distrusted_BC is not None:
        assert torch.equal(outcome_permuted.distrusted_BC, outcome.distrusted_BC[:, order])
    state_permuted = method_permuted.state_dict()
    for key, value in method.state_dict().items():
        torch.testing.assert_close(state_permuted[key], value[..., order])


def test_saved_and_loaded_it_goes_on_identically(case: str) -> None:
    method = train(create(case, LABELS), range(1, 7))
    loaded = create(case, LABELS)
    loaded.load_state_dict({key: value.clone() for key, value in method.state_dict().items()})
    train(method, (7, 8))
    train(loaded, (7, 8))
    batch = random_batch(0, epoch=9)
    outcome, outcome_loaded = method(batch), loaded(batch)
    assert torch.equal(outcome.loss, outcome_loaded.loss)
    assert torch.equal(gradient(outcome, batch), gradient(outcome_loaded, batch))
    if outcome.distrusted_BC is not None:
        assert torch.equal(outcome.distrusted_BC, outcome_loaded.distrusted_BC)
    assert_equal_states(method, loaded)


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_batch_never_waits_for_a_value_from_the_device(case: str, epoch: int) -> None:
    """Tensors on the meta device have no values: whoever asks for one, by `item` or a mask as index, fails."""
    batch = random_batch(5, epoch=epoch)
    on_meta = {key: getattr(batch, key).to("meta") for key in ("logits_BC", "labels_BC", "indices_B")}
    outcome = create(case, LABELS).to("meta")(replace(batch, **on_meta))
    assert outcome.loss.is_meta
    with pytest.raises(RuntimeError):
        outcome.loss.item()


def test_the_labels_of_the_training_images_are_only_read(case: str) -> None:
    labels_NC = LABELS.clone()
    train(create(case, labels_NC), range(1, 7))
    assert torch.equal(labels_NC, LABELS)


def test_the_rejection_rate_is_a_fraction_or_none(case: str) -> None:
    rates = [create(case, LABELS).rejection_rate(epoch) for epoch in (1, 2, 3)]
    assert rates == ([0.0, 0.05, 0.1] if case.partition(" ")[0] in WITH_SCHEDULE else [None, None, None])
