"""What every method promises, whatever it does with an unobserved label.

Shapes: B images of a batch, C classes, N training images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from wsml_study.methods.catalogue import describe
from wsml_study.methods.contract import PADDING, UNOBSERVED, Batch, Method, Outcome
from wsml_study.methods.creation import create_method
from wsml_study.methods.method_record import MASKED, STRONG
from wsml_study.methods.schedules import schedule
from wsml_study.options import Value
from wsml_study.testing.promises import expect, keep_promise

NUM_IMAGES, NUM_CLASSES, NUM_EPOCHS = 24, 5, 10
BATCH_SIZE = 8
RATE_PER_EPOCH = 0.05


@dataclass(frozen=True, kw_only=True)
class MethodCase:
    """A method with options, to be created as often as a promise needs it.

    Attributes:
        name: of the method.
        options: values of its options; absent ones take their defaults.
        stops_gradients: the method stops gradients somewhere, so that they are not the derivatives of its loss.
    """

    name: str
    options: Mapping[str, Value] = field(default_factory=dict)
    stops_gradients: bool = False

    @property
    def takes_schedule(self) -> bool:
        """Whether the method has a rejection rate."""
        return describe(self.name).takes_schedule

    def create(self, labels_NC: Tensor, *, seed: int = 0, scores_NC: Tensor | None = None) -> Method:
        """A fresh method, equal to any other of the same labels, seed and scores (`SCORES_NC` by default)."""
        torch.manual_seed(seed)  # a method may draw its first state, as ROLE does
        course = schedule("linear", warmup_epochs=1, rate_per_epoch=RATE_PER_EPOCH) if self.takes_schedule else None
        options: dict[str, Any] = dict(self.options)
        if describe(self.name).takes_scores:
            options["scores_NC"] = SCORES_NC if scores_NC is None else scores_NC
        return create_method(self.name, labels_NC=labels_NC, schedule=course, **options)

    def trained(self) -> Method:
        """The method after some epochs."""
        method = self.create(LABELS_NC)
        method.load_state_dict(self._trained_state)
        return method

    @cached_property
    def _trained_state(self) -> dict[str, Tensor]:
        # As many epochs as every method of ours needs to remember something: EM+APL labels after its fifth.
        return train(self.create(LABELS_NC), range(1, 7)).state_dict()


def check_method(name: str, *, stops_gradients: bool = False, **options: Value) -> None:
    """Check that a registered method keeps the contract of `Method`.

    Args:
        name: of its record.
        stops_gradients: it stops gradients somewhere, so that they are not compared with finite differences.
        options: values of the method's options; those without a default are needed.

    Raises:
        AssertionError: a promise is broken; the message says which.
        ValueError: there is no such method, or it does not take these options.
    """
    case = MethodCase(name=name, options=options, stops_gradients=stops_gradients)
    case.create(LABELS_NC)
    for promise in METHOD_CONTRACT:
        keep_promise(promise, case, f"method {name}")


def labels_of_images() -> Tensor:
    """int8 (N, C), a third of them observed."""
    generator = torch.Generator().manual_seed(99)
    shape = (NUM_IMAGES, NUM_CLASSES)
    labels_NC = torch.randint(-1, 2, shape, generator=generator, dtype=torch.int8)
    return labels_NC * (torch.rand(shape, generator=generator) < 0.5)


LABELS_NC = labels_of_images()
SCORES_NC = torch.rand(LABELS_NC.shape, generator=torch.Generator().manual_seed(98))
"""Given scores of the images, for the methods that take such."""


def random_batch(seed: int, *, epoch: int = 3, dtype: torch.dtype = torch.float32) -> Batch:
    """Distinct logits, and the labels of distinct images."""
    generator = torch.Generator().manual_seed(seed)
    indices_B = torch.randperm(NUM_IMAGES, generator=generator)[:BATCH_SIZE]
    logits_BC = 3 * torch.randn((BATCH_SIZE, NUM_CLASSES), generator=generator)
    return Batch(
        logits_BC=logits_BC.to(dtype).requires_grad_(),
        labels_BC=LABELS_NC[indices_B],
        indices_B=indices_B,
        epoch=epoch,
        epochs=NUM_EPOCHS,
        num_images=BATCH_SIZE,
        views=views_of(logits_BC.to(dtype)),
    )


def views_of(logits_BC: Tensor) -> dict[str, Tensor]:
    """Logits of further views, for the methods that take some: entry by entry others, of the same order."""
    return {STRONG: 0.7 * logits_BC.detach() + 0.3, MASKED: 0.4 * logits_BC.detach() - 0.5}


def with_logits(batch: Batch, logits_BC: Tensor, **changes: Any) -> Batch:
    """The same batch with other logits, in all views."""
    views = views_of(logits_BC)
    return replace(batch, logits_BC=logits_BC.detach().requires_grad_(), views=views, **changes)


def with_classes(batch: Batch, order_C: Tensor) -> Batch:
    """The same batch with its classes in another order."""
    return with_logits(batch, batch.logits_BC[:, order_C], labels_BC=batch.labels_BC[:, order_C])


def gradient(outcome: Outcome, batch: Batch) -> Tensor:
    """Of the loss with respect to the logits, (B, C)."""
    return torch.autograd.grad(outcome.loss, batch.logits_BC)[0]


def train(method: Method, epochs: Sequence[int], order_C: Tensor | None = None) -> Method:
    """Some epochs of what a method may learn and correct, from logits that no training changes."""
    order_C = torch.arange(NUM_CLASSES) if order_C is None else order_C
    groups = method.parameter_groups(learning_rate=0.1)
    optimizer = torch.optim.SGD(groups) if groups else None
    for epoch in epochs:
        method.start_epoch(epoch, NUM_EPOCHS)
        for step in range(3):
            method(with_classes(random_batch(10 * epoch + step, epoch=epoch), order_C)).loss.backward()
            if optimizer is not None:
                optimizer.step()
                optimizer.zero_grad()
        logits_NC = 3 * torch.randn((NUM_IMAGES, NUM_CLASSES), generator=torch.Generator().manual_seed(epoch))
        method.finish_epoch(epoch, NUM_EPOCHS, partial(torch.index_select, logits_NC, 1, order_C))
    return method


def loss_and_gradient_are_finite(case: MethodCase, state: int | None, scale: float, dtype: torch.dtype) -> None:
    """For labels that are all in one state or mixed (None), and logits of +-scale."""
    batch = random_batch(0, dtype=dtype)
    batch = with_logits(batch, batch.logits_BC.sign() * scale)
    if state is not None:
        batch = replace(batch, labels_BC=torch.full_like(batch.labels_BC, state))
    outcome = case.trained()(batch)
    loss = outcome.loss
    expect(loss.shape == (), f"expected a loss of shape (), got {tuple(loss.shape)}")
    expect(loss.dtype == torch.float32, f"expected a loss in float32, got {loss.dtype}")
    expect(loss.isfinite(), f"the loss is {loss.item()}")
    expect(gradient(outcome, batch).isfinite().all(), "the gradient has entries that are not finite")


def gradients_are_those_of_finite_differences(case: MethodCase) -> None:
    """In float64; not for methods that stop gradients."""
    if case.stops_gradients:
        return
    batch = random_batch(1, dtype=torch.float64)

    def loss(logits_BC: Tensor) -> Tensor:
        value: Tensor = case.trained()(replace(batch, logits_BC=logits_BC)).loss
        return value

    torch.autograd.gradcheck(loss, (batch.logits_BC,))


def only_unobserved_labels_are_distrusted(case: MethodCase) -> None:
    """A method has a mask for every batch or for none, fresh or trained."""
    fresh, trained, masks = case.create(LABELS_NC), case.trained(), []
    for step in range(12):
        batch = random_batch(step, epoch=1 + step // 3)
        distrusted_BC = (fresh if step < 9 else trained)(batch).distrusted_BC
        if distrusted_BC is not None:
            expect(distrusted_BC.dtype == torch.bool, f"expected a mask of bool, got {distrusted_BC.dtype}")
            expect(
                distrusted_BC.shape == batch.labels_BC.shape,
                f"expected a mask of shape {tuple(batch.labels_BC.shape)}, got {tuple(distrusted_BC.shape)}",
            )
            expect(not distrusted_BC[batch.labels_BC != 0].any(), "an observed label is distrusted")
            masks.append(distrusted_BC)
    expect(len(masks) in (0, 12), f"of 12 batches only {len(masks)} have a mask")
    expect(not masks or torch.cat(masks).any(), "no label of 12 batches is distrusted; return None in place of a mask")


def padding_counts_nowhere(case: MethodCase) -> None:
    """Rows of padding change neither loss, gradient, mask nor state."""
    batch = random_batch(2)
    # Of both signs: taken for a positive, a large logit has no loss, and taken for a negative, a small one has none.
    logits_C = 40.0 * (-1) ** torch.arange(NUM_CLASSES)
    padded = with_logits(
        batch,
        torch.cat([batch.logits_BC, logits_C.expand(3, NUM_CLASSES)]),
        labels_BC=torch.cat([batch.labels_BC, torch.full((3, NUM_CLASSES), PADDING, dtype=torch.int8)]),
        indices_B=torch.cat([batch.indices_B, torch.tensor([-1, 10**6, int(batch.indices_B[0])])]),
    )
    method, method_with_padding = case.trained(), case.trained()
    outcome, outcome_with_padding = method(batch), method_with_padding(padded)
    _expect_close(outcome_with_padding.loss, outcome.loss, "the loss with padding is another")
    gradient_BC = gradient(outcome_with_padding, padded)
    _expect_close(gradient_BC[:BATCH_SIZE], gradient(outcome, batch), "gradients with padding are others")
    expect(not gradient_BC[BATCH_SIZE:].any(), "padding gets gradients")
    if outcome.distrusted_BC is not None:
        distrusted_BC = outcome_with_padding.distrusted_BC
        expect(torch.equal(distrusted_BC[:BATCH_SIZE], outcome.distrusted_BC), "with padding the mask is another")
        expect(not distrusted_BC[BATCH_SIZE:].any(), "padding is distrusted")
    _expect_close_states(method, method_with_padding)


def permuting_images_permutes_everything(case: MethodCase) -> None:
    """The order of the images within a batch does not matter."""
    batch = random_batch(3)
    order_B = torch.randperm(BATCH_SIZE, generator=torch.Generator().manual_seed(4))
    permuted = with_logits(
        batch, batch.logits_BC[order_B], labels_BC=batch.labels_BC[order_B], indices_B=batch.indices_B[order_B]
    )
    method, method_permuted = case.trained(), case.trained()
    outcome, outcome_permuted = method(batch), method_permuted(permuted)
    _expect_close(outcome_permuted.loss, outcome.loss, "the loss is another")
    _expect_close(gradient(outcome_permuted, permuted), gradient(outcome, batch)[order_B], "gradients are others")
    if outcome.distrusted_BC is not None:
        expect(torch.equal(outcome_permuted.distrusted_BC, outcome.distrusted_BC[order_B]), "the mask is another")
    _expect_close_states(method, method_permuted)


def permuting_classes_permutes_everything(case: MethodCase) -> None:
    """The order of the classes does not matter, from the first epoch on."""
    order_C = torch.randperm(NUM_CLASSES, generator=torch.Generator().manual_seed(4))
    method, method_permuted = (
        case.create(LABELS_NC),
        case.create(LABELS_NC[:, order_C], scores_NC=SCORES_NC[:, order_C]),
    )
    if not _equal_states(method, case.create(LABELS_NC, seed=1)):  # the first state is drawn, class by class
        first = {key: _with_classes(value, order_C).clone() for key, value in method.state_dict().items()}
        method_permuted.load_state_dict(first)
    train(method, range(1, 7))
    train(method_permuted, range(1, 7), order_C)
    batch = random_batch(3)
    permuted = with_classes(batch, order_C)
    outcome, outcome_permuted = method(batch), method_permuted(permuted)
    _expect_close(outcome_permuted.loss, outcome.loss, "the loss is another")
    _expect_close(gradient(outcome_permuted, permuted), gradient(outcome, batch)[:, order_C], "gradients are others")
    if outcome.distrusted_BC is not None:
        expect(torch.equal(outcome_permuted.distrusted_BC, outcome.distrusted_BC[:, order_C]), "the mask is another")
    state_permuted = method_permuted.state_dict()
    for key, value in method.state_dict().items():
        _expect_close(state_permuted[key], _with_classes(value, order_C), f"the state {key} is another")


def saved_and_loaded_it_goes_on_identically(case: MethodCase) -> None:
    """All that a method remembers is in its `state_dict()`."""
    method = train(case.create(LABELS_NC), range(1, 7))
    loaded = case.create(LABELS_NC)
    loaded.load_state_dict({key: value.clone() for key, value in method.state_dict().items()})
    train(method, (7, 8))
    train(loaded, (7, 8))
    batch = random_batch(0, epoch=9)
    outcome, outcome_loaded = method(batch), loaded(batch)
    expect(torch.equal(outcome.loss, outcome_loaded.loss), "the loss after loading is another: state is not saved")
    expect(torch.equal(gradient(outcome, batch), gradient(outcome_loaded, batch)), "gradients after loading are others")
    if outcome.distrusted_BC is not None:
        expect(torch.equal(outcome.distrusted_BC, outcome_loaded.distrusted_BC), "the mask after loading is another")
    _expect_equal_states(method, loaded)


def a_batch_never_waits_for_a_value_from_the_device(case: MethodCase, epoch: int) -> None:
    """Tensors on the meta device have no values: reading one, by `item` or a mask as index, raises an error."""
    batch = random_batch(5, epoch=epoch)
    on_meta = {key: getattr(batch, key).to("meta") for key in ("logits_BC", "labels_BC", "indices_B")}
    views = {name: logits_BC.to("meta") for name, logits_BC in batch.views.items()}
    outcome = case.create(LABELS_NC).to("meta")(replace(batch, views=views, **on_meta))
    expect(outcome.loss.is_meta, f"the loss is on {outcome.loss.device}, the batch on meta")


def the_labels_of_the_training_images_are_only_read(case: MethodCase) -> None:
    """A method that corrects labels corrects a copy."""
    labels_NC = LABELS_NC.clone()
    train(case.create(labels_NC), range(1, 7))
    expect(torch.equal(labels_NC, LABELS_NC), "the labels that the method was created with have changed")


def the_rejection_rate_is_a_fraction_or_none(case: MethodCase) -> None:
    """That of the schedule, or None for a method that takes none."""
    method = case.create(LABELS_NC)
    rates = [method.rejection_rate(epoch) for epoch in (1, 2, 3)]
    expected = [0.0, RATE_PER_EPOCH, 2 * RATE_PER_EPOCH] if case.takes_schedule else [None, None, None]
    expect(rates == expected, f"expected {expected} in the first epochs, got {rates}")


def labels_corrected_for_good_are_unobserved_ones_and_stay(case: MethodCase) -> None:
    """They are given by methods whose record says `corrects_for_good`, and by no other."""
    method = train(case.create(LABELS_NC), range(1, 7))
    before = method.corrected_labels()
    if not describe(case.name).corrects_for_good:
        expect(before is None, "it gives corrected labels, and its record does not say `corrects_for_good`")
        return
    expect(
        before is not None and before.shape == LABELS_NC.shape and before.dtype == torch.bool, "expected bool (N, C)"
    )
    assert before is not None
    before = before.clone()
    expect(not before[LABELS_NC != UNOBSERVED].any(), "an observed label is corrected")
    later = train(method, range(7, 9)).corrected_labels()
    assert later is not None
    expect(bool((later | ~before).all()), "a label that was corrected is so no longer")


METHOD_CONTRACT: tuple[Callable[[MethodCase], None], ...] = (
    *(
        partial(loss_and_gradient_are_finite, state=state, scale=scale, dtype=dtype)
        for dtype in (torch.float32, torch.bfloat16)
        for scale in (0.0, 1.0, 80.0)
        for state in (1, 0, -1, None)
    ),
    gradients_are_those_of_finite_differences,
    only_unobserved_labels_are_distrusted,
    padding_counts_nowhere,
    permuting_images_permutes_everything,
    permuting_classes_permutes_everything,
    saved_and_loaded_it_goes_on_identically,
    partial(a_batch_never_waits_for_a_value_from_the_device, epoch=1),
    partial(a_batch_never_waits_for_a_value_from_the_device, epoch=2),
    the_labels_of_the_training_images_are_only_read,
    the_rejection_rate_is_a_fraction_or_none,
    labels_corrected_for_good_are_unobserved_ones_and_stay,
)
"""All promises of a method."""


def _with_classes(value: Tensor, order_C: Tensor) -> Tensor:
    """State with its classes, if it has any, in another order."""
    return value[..., order_C] if value.ndim and value.shape[-1] == NUM_CLASSES else value


def _expect_close(one: Tensor, other: Tensor, message: str) -> None:
    torch.testing.assert_close(one, other, msg=lambda details: f"{message}: {details}")


def _equal_states(one: Method, other: Method) -> bool:
    state, other_state = one.state_dict(), other.state_dict()
    return state.keys() == other_state.keys() and all(torch.equal(state[key], other_state[key]) for key in state)


def _expect_equal_states(one: Method, other: Method) -> None:
    expect(_equal_states(one, other), "the states that the methods have come to differ")


def _expect_close_states(one: Method, other: Method) -> None:
    """To the rounding of sums in another order; masks and counts exactly."""
    other_state = other.state_dict()
    for key, value in one.state_dict().items():
        _expect_close(other_state[key], value, f"the state {key} is another")
