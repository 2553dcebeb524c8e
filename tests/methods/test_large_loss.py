"""The large-loss methods: hand-checked numbers, gradients, what is selected, and each deviation from the source."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from wsml_study.methods.contract import ALONE, Batch
from wsml_study.methods.large_loss import (
    LargeLossMethod,
    PermanentCorrection,
    Rejection,
    Scheme,
    TemporaryCorrection,
    Variant,
    large_loss,
)
from wsml_study.methods.rates import Rates
from wsml_study.methods.schedules import distrusted_count, exact_rate, schedule

LOGITS = torch.tensor([[2.0, -1.0, 0.5, -3.0], [-2.0, 1.5, 0.0, -0.5]])
LABELS = torch.tensor([[1, 0, 0, 0], [0, 0, 1, 0]], dtype=torch.int8)
"""The example to check by hand: six of eight entries unobserved."""


BOTH = (Variant.CODE, Variant.PAPER)
"""Those of the authors, which select the same k entries where there are no ties."""


def rate_for(k: int, variant: Variant) -> Fraction:
    """The rate that distrusts k entries of the example."""
    return Fraction(k, 8) if variant is Variant.CODE else Fraction(k, 6)


def batch_of(logits_BC: Tensor, labels_BC: Tensor, *, epoch: int, indices: list[int] | None = None) -> Batch:
    num_padding = int((labels_BC[:, 0] == 9).sum())
    return Batch(
        logits_BC=logits_BC,
        labels_BC=labels_BC,
        indices_B=torch.tensor(indices) if indices else torch.arange(len(logits_BC)),
        epoch=epoch,
        epochs=10,
        num_images=len(logits_BC) - num_padding,
        peers=ALONE,
    )


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Logits with many ties, and any mix of positive, negative and unobserved labels."""
    shape = (draw(st.integers(1, 6)), draw(st.integers(1, 8)))
    num_entries = shape[0] * shape[1]
    logits = draw(st.lists(st.integers(-8, 8), min_size=num_entries, max_size=num_entries))
    labels = draw(st.lists(st.sampled_from([1, 0, 0, 0, -1]), min_size=num_entries, max_size=num_entries))
    return torch.tensor(logits).reshape(shape) / 2, torch.tensor(labels, dtype=torch.int8).reshape(shape)


RATES = st.integers(0, 200).map(lambda per_mille: Fraction(per_mille * 5, 1000))
ANY = st.sampled_from(Variant)


@pytest.mark.parametrize("variant", BOTH)
@pytest.mark.parametrize(
    ("scheme", "k", "expected"),
    [
        (Scheme.REJECTION, 0, 0.557302),
        (Scheme.REJECTION, 1, 0.344626),
        (Scheme.REJECTION, 2, 0.222866),
        (Scheme.REJECTION, 4, 0.124449),
        (Scheme.REJECTION, 6, 0.102509),
        (Scheme.TEMPORARY_CORRECTION, 0, 0.557302),
        (Scheme.TEMPORARY_CORRECTION, 1, 0.369802),
        (Scheme.TEMPORARY_CORRECTION, 2, 0.307302),
        (Scheme.TEMPORARY_CORRECTION, 4, 0.494802),
        (Scheme.TEMPORARY_CORRECTION, 6, 1.119802),
    ],
)
def test_the_losses_checked_by_hand(scheme: Scheme, k: int, expected: float, variant: Variant) -> None:
    result = large_loss(LOGITS, LABELS, scheme=scheme, rate=rate_for(k, variant), variant=variant)
    assert result.loss.item() == pytest.approx(expected, abs=1e-6)
    assert result.distrusted_BC.sum() == k


@pytest.mark.parametrize("variant", BOTH)
def test_the_two_largest_unobserved_losses_of_the_example(variant: Variant) -> None:
    result = large_loss(LOGITS, LABELS, scheme=Scheme.REJECTION, rate=rate_for(2, variant), variant=variant)
    assert result.distrusted_BC.nonzero().tolist() == [[0, 2], [1, 1]]


@pytest.mark.parametrize("variant", BOTH)
@pytest.mark.parametrize("scheme", Scheme)
@pytest.mark.parametrize("k", [0, 1, 2, 4, 6])
def test_gradients_are_those_of_finite_differences(scheme: Scheme, k: int, variant: Variant) -> None:
    def loss(logits: Tensor) -> Tensor:
        return large_loss(logits, LABELS, scheme=scheme, rate=rate_for(k, variant), variant=variant).loss

    assert torch.autograd.gradcheck(loss, LOGITS.double().requires_grad_())


def test_a_rejected_label_has_no_gradient_and_the_others_keep_theirs() -> None:
    logits = LOGITS.clone().requires_grad_()
    large_loss(logits, LABELS, scheme=Scheme.REJECTION, rate=0.25).loss.backward()
    expected = (torch.sigmoid(LOGITS) - (LABELS == 1).float()) / 8
    expected[0, 2] = expected[1, 1] = 0
    torch.testing.assert_close(logits.grad, expected)


@given(batch=batches(), rate=RATES, scheme=st.sampled_from(Scheme), variant=ANY)
def test_observed_labels_are_never_selected(
    batch: tuple[Tensor, Tensor], rate: Fraction, scheme: Scheme, variant: Variant
) -> None:
    """Deviation 1."""
    logits, labels = batch
    distrusted = large_loss(logits, labels, scheme=scheme, rate=rate, variant=variant).distrusted_BC
    assert not distrusted[labels != 0].any()


@pytest.mark.parametrize("variant", BOTH)
def test_observed_labels_are_not_selected_even_if_k_exceeds_the_unobserved(variant: Variant) -> None:
    """Deviation 1 at its boundary: rate 1 counts all eight entries, of which six are unobserved."""
    result = large_loss(LOGITS, LABELS, scheme=Scheme.REJECTION, rate=1.0, variant=variant)
    assert torch.equal(result.distrusted_BC, LABELS == 0)


def reaching_kth(values: Tensor, k: int) -> Tensor:
    """What is at least the k-th largest, ties included; values of -inf are no candidates."""
    ranked = sorted(values[values > -math.inf].tolist(), reverse=True)
    k = min(k, len(ranked))
    return (values >= ranked[k - 1]) & (values > -math.inf) if k else torch.zeros_like(values, dtype=torch.bool)


def k_of(variant: Variant, labels: Tensor, rate: Fraction) -> int:
    """The number of labels of a batch that a variant distrusts at most."""
    num_unobserved = int((labels == 0).sum())
    if variant is Variant.MLCPL:
        return max(0, round(rate * num_unobserved) - 1)
    if variant is Variant.PER_IMAGE:
        return len(labels) * math.ceil(rate * labels.shape[1])
    if variant is Variant.CARRIED:
        return math.floor(rate * labels.numel())
    counted = num_unobserved if variant in (Variant.PAPER, Variant.UNOBSERVED) else labels.numel()
    return math.ceil(rate * counted)


TAKE_NO_SURPLUS = [variant for variant in Variant if variant is not Variant.AS_PUBLISHED]


@given(batch=batches(), rate=RATES, scheme=st.sampled_from(Scheme), variant=st.sampled_from(TAKE_NO_SURPLUS))
def test_never_more_than_k_are_selected(
    batch: tuple[Tensor, Tensor], rate: Fraction, scheme: Scheme, variant: Variant
) -> None:
    """Deviation 5; logits have many ties."""
    logits, labels = batch
    selected = large_loss(logits, labels, scheme=scheme, rate=rate, variant=variant).distrusted_BC
    assert selected.sum() <= k_of(variant, labels, rate)


@given(
    batch=batches(),
    rate=RATES,
    variant=st.sampled_from([Variant.CODE, Variant.KEPT, Variant.UNOBSERVED, Variant.PER_IMAGE, Variant.CARRIED]),
)
def test_ties_are_cut_to_the_first_and_without_surplus_all_that_reaches_the_kth_is_selected(
    batch: tuple[Tensor, Tensor], rate: Fraction, variant: Variant
) -> None:
    logits, labels = batch
    selected = large_loss(logits, labels, scheme=Scheme.REJECTION, rate=rate, variant=variant).distrusted_BC
    candidates = logits.masked_fill(labels != 0, -math.inf)
    groups = candidates if variant is Variant.PER_IMAGE else candidates.flatten()[None]
    k = k_of(variant, labels, rate) // len(groups)
    reaching = torch.stack([reaching_kth(group, k) for group in groups]).flatten()
    assert (selected.flatten() <= reaching).all()
    for chosen, reached, group in zip(selected.view(groups.shape), reaching.view(groups.shape), groups, strict=True):
        assert chosen.sum() == min(k, int(reached.sum()))
        surplus = group[reached & ~chosen].tolist()
        assert all(value == group[reached].min() for value in surplus)
        if surplus:  # the first of the equal ones are chosen
            tied = (group == surplus[0]).nonzero().flatten()
            assert chosen[tied].tolist() == sorted(chosen[tied].tolist(), reverse=True)


@given(batch=batches(), rate=RATES, scheme=st.sampled_from(Scheme))
def test_as_published_selects_all_that_reaches_the_kth_largest(
    batch: tuple[Tensor, Tensor], rate: Fraction, scheme: Scheme
) -> None:
    logits, labels = batch
    result = large_loss(logits, labels, scheme=scheme, rate=rate, variant=Variant.AS_PUBLISHED)
    candidates = logits.masked_fill(labels != 0, -math.inf)
    assert torch.equal(result.distrusted_BC, reaching_kth(candidates, math.ceil(rate * labels.numel())))


@pytest.mark.parametrize("variant", TAKE_NO_SURPLUS)
@pytest.mark.parametrize("scheme", Scheme)
def test_constant_logits_select_k_of_16_x_20(scheme: Scheme, variant: Variant) -> None:
    """One positive per image observed, rate .002, so k = 1; before ties were cut, all 304 unobserved were selected."""
    labels = torch.zeros(16, 20, dtype=torch.int8)
    labels[:, 3] = 1
    selected = large_loss(torch.zeros(16, 20), labels, scheme=scheme, rate=0.002, variant=variant).distrusted_BC
    expected = {
        Variant.PAPER: [],
        Variant.MLCPL: [],
        Variant.PER_IMAGE: [[row, 0] for row in range(16)],
        Variant.CARRIED: [],
    }
    assert selected.nonzero().tolist() == expected.get(variant, [[0, 0]])
    as_published = large_loss(torch.zeros(16, 20), labels, scheme=scheme, rate=0.002, variant=Variant.AS_PUBLISHED)
    assert as_published.distrusted_BC.sum() == 304


@given(
    several=st.lists(st.tuples(st.integers(0, 999), RATES), min_size=1, max_size=4),
    scheme=st.sampled_from(Scheme),
    variant=ANY,
)
def test_stacked_batches_select_what_each_selects_alone(
    several: list[tuple[int, Fraction]], scheme: Scheme, variant: Variant
) -> None:
    """K batches with ties, each with its own rate."""
    tables = [torch.Generator().manual_seed(seed) for seed, _ in several]
    logits_KBC = torch.stack([torch.randn((5, 6), generator=one).mul(2).round() for one in tables])
    labels_KBC = torch.stack([torch.randint(-1, 2, (5, 6), generator=one, dtype=torch.int8) for one in tables])
    rates = Rates([rate for _, rate in several])
    stacked = large_loss(logits_KBC, labels_KBC, scheme=scheme, rate=rates, variant=variant)
    for k, (_, rate) in enumerate(several):
        alone = large_loss(logits_KBC[k], labels_KBC[k], scheme=scheme, rate=rate, variant=variant)
        assert torch.equal(stacked.distrusted_BC[k], alone.distrusted_BC)
        assert torch.equal(stacked.stored_BC[k], alone.stored_BC)
        torch.testing.assert_close(stacked.loss[k], alone.loss)


@pytest.mark.parametrize("method", [Rejection, TemporaryCorrection, PermanentCorrection])
@pytest.mark.parametrize("variant", Variant)
def test_rates_in_tensors_select_what_fractions_do(method: type[LargeLossMethod], variant: Variant) -> None:
    """In an epoch of three batches, the last of them smaller; without a compiler."""
    generator = torch.Generator().manual_seed(3)
    labels_NC = torch.randint(-1, 2, (20, 6), generator=generator, dtype=torch.int8)
    plain, filled = (method(labels_NC, schedule=schedule("linear", rate_per_epoch=0.11), variant=variant) for _ in "12")
    filled.compile_loss(lambda function: function, 9)
    num_distrusted = 0
    for epoch in range(1, 10):
        for rows in (range(8), range(8, 16), range(16, 20)):
            logits_BC = torch.randn((len(rows), 6), generator=generator).mul(8).round()
            batch = batch_of(logits_BC, labels_NC[rows], epoch=epoch, indices=list(rows))
            expected, found = plain(batch), filled(batch)
            assert torch.equal(found.distrusted_BC, expected.distrusted_BC)
            torch.testing.assert_close(found.loss, expected.loss)
            num_distrusted += int(found.distrusted_BC.sum())
    assert num_distrusted > 0


@given(batch=batches(), rate=RATES)
def test_paper_selects_what_exceeds_the_next_largest_of_the_unobserved(
    batch: tuple[Tensor, Tensor], rate: Fraction
) -> None:
    logits, labels = batch
    selected = large_loss(logits, labels, scheme=Scheme.REJECTION, rate=rate, variant=Variant.PAPER).distrusted_BC
    ranked = [*sorted(logits[labels == 0].tolist(), reverse=True), -math.inf]
    k = math.ceil((len(ranked) - 1) * rate)
    assert torch.equal(selected, (labels == 0) & (logits > ranked[k]))


@given(batch=batches(), rates=st.tuples(RATES, RATES), variant=ANY)
def test_a_larger_rate_distrusts_no_fewer(
    batch: tuple[Tensor, Tensor], rates: tuple[Fraction, Fraction], variant: Variant
) -> None:
    fewer, more = (
        large_loss(*batch, scheme=Scheme.REJECTION, rate=rate, variant=variant).distrusted_BC for rate in sorted(rates)
    )
    assert (fewer <= more).all()


@given(batch=batches(), scheme=st.sampled_from(Scheme), variant=ANY)
def test_rate_zero_is_assume_negative(batch: tuple[Tensor, Tensor], scheme: Scheme, variant: Variant) -> None:
    logits, labels = batch
    result = large_loss(logits, labels, scheme=scheme, rate=0.0, variant=variant)
    probability = 1 / (1 + np.exp(-logits.double().numpy()))
    oracle = -np.log(np.where(labels.numpy() == 1, probability, 1 - probability)).mean()
    assert result.loss.item() == pytest.approx(oracle, abs=1e-6)
    assert not result.distrusted_BC.any()


@pytest.mark.parametrize(
    ("variant", "loss", "selected"),
    [
        (Variant.CODE, 0.163607, [[0, 2], [1, 1], [1, 3]]),  # ceil(.3 * 8) = 3
        (Variant.AS_PUBLISHED, 0.163607, [[0, 2], [1, 1], [1, 3]]),  # LL-R without ties is that of code
        (Variant.PAPER, 0.222866, [[0, 2], [1, 1]]),  # ceil(.3 * 6) = 2
        (Variant.UNOBSERVED, 0.222866, [[0, 2], [1, 1]]),
        (Variant.MLCPL, 0.344626, [[1, 1]]),  # round(.3 * 6) = 2, and what lies strictly above the second
        (Variant.PER_IMAGE, 0.124449, [[0, 1], [0, 2], [1, 1], [1, 3]]),  # ceil(.3 * 4) = 2 of each image
        (Variant.KEPT, 0.261770, [[0, 2], [1, 1], [1, 3]]),  # as code, divided by 5 instead of 8
    ],
)
def test_the_variants_differ_on_the_example_at_a_rate_of_three_tenths(
    variant: Variant, loss: float, selected: list[list[int]]
) -> None:
    result = large_loss(LOGITS, LABELS, scheme=Scheme.REJECTION, rate=0.3, variant=variant)
    assert result.loss.item() == pytest.approx(loss, abs=1e-6)
    assert result.distrusted_BC.nonzero().tolist() == selected


@pytest.mark.parametrize(
    ("variant", "num_selected"),
    [
        (Variant.CODE, 2),
        (Variant.AS_PUBLISHED, 3),
        (Variant.PAPER, 1),
        (Variant.UNOBSERVED, 2),
        (Variant.MLCPL, 1),
        (Variant.PER_IMAGE, 2),
        (Variant.KEPT, 2),
    ],
)
def test_how_the_variants_treat_ties(variant: Variant, num_selected: int) -> None:
    """k = 2 of four, of which the second and the third are equal: `unobserved` is not `paper`."""
    logits, labels = torch.tensor([[3.0, 1.0, 1.0, -1.0]]), torch.zeros(1, 4, dtype=torch.int8)
    selected = large_loss(logits, labels, scheme=Scheme.REJECTION, rate=0.5, variant=variant).distrusted_BC
    assert selected[0].tolist() == [index < num_selected for index in range(4)]


@pytest.mark.parametrize(("num_unobserved", "num_selected"), [(1, 0), (3, 1), (5, 1), (6, 2), (7, 3), (8, 3)])
def test_mlcpl_rounds_halves_to_the_even_number(num_unobserved: int, num_selected: int) -> None:
    """Half of 1, 3, 5, 6, 7, 8 is .5, 1.5, 2.5, 3, 3.5, 4: k is 1, 2, 2, 3, 4, 4, and k - 1 are selected."""
    logits, labels = torch.arange(8.0)[None], torch.ones(1, 8, dtype=torch.int8)
    labels[:, :num_unobserved] = 0
    selected = large_loss(logits, labels, scheme=Scheme.REJECTION, rate=0.5, variant=Variant.MLCPL).distrusted_BC
    assert selected.sum() == num_selected


@pytest.mark.parametrize("scheme", [Scheme.TEMPORARY_CORRECTION, Scheme.PERMANENT_CORRECTION])
def test_where_nothing_is_rejected_kept_is_code(scheme: Scheme) -> None:
    kept, code = (
        large_loss(LOGITS, LABELS, scheme=scheme, rate=0.3, variant=variant) for variant in (Variant.KEPT, Variant.CODE)
    )
    assert kept.loss == code.loss
    assert torch.equal(kept.distrusted_BC, code.distrusted_BC)


def test_kept_is_finite_where_nothing_is_kept() -> None:
    labels = torch.zeros_like(LABELS)
    assert large_loss(LOGITS, labels, scheme=Scheme.REJECTION, rate=1.0, variant=Variant.KEPT).loss == 0


@pytest.mark.parametrize("num_unobserved", [0, 1, 3, 7, 40, 320])
@pytest.mark.parametrize("rate", [0.0001, 0.0025, 0.01, 0.1, 0.3333, 0.123456789, 1.0])
def test_paper_counts_exactly_over_the_unobserved(num_unobserved: int, rate: float) -> None:
    logits = torch.randperm(320, generator=torch.Generator().manual_seed(0)).reshape(16, 20) / 20.0
    labels = torch.ones(320, dtype=torch.int8)
    labels[:num_unobserved] = 0
    labels = labels.reshape(16, 20)
    selected = large_loss(logits, labels, scheme=Scheme.REJECTION, rate=rate, variant=Variant.PAPER).distrusted_BC
    assert selected.sum() == distrusted_count(exact_rate(rate), num_unobserved)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("variant", BOTH)
@pytest.mark.parametrize("scheme", Scheme)
def test_losses_are_float32_and_finite_for_logits_of_80(scheme: Scheme, variant: Variant, dtype: torch.dtype) -> None:
    logits = torch.tensor([[80.0, -80.0, 80.0, -80.0], [0.0, 80.0, -80.0, 80.0]], dtype=dtype, requires_grad=True)
    labels = torch.tensor([[1, 1, 0, 0], [0, -1, 0, 0]], dtype=torch.int8)
    result = large_loss(logits, labels, scheme=scheme, rate=0.25, variant=variant)
    result.loss.backward()
    assert result.loss.dtype == torch.float32
    assert result.loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert result.distrusted_BC.nonzero().tolist() == [[0, 2], [1, 3]]


def test_an_empty_set_of_unobserved_labels_selects_nothing() -> None:
    for variant in Variant:
        result = large_loss(LOGITS, LABELS * 2 - 1, scheme=Scheme.REJECTION, rate=0.5, variant=variant)
        assert not result.distrusted_BC.any()


@pytest.mark.parametrize(
    ("logits", "labels", "rate", "message"),
    [
        (LOGITS, LABELS[:, :3], 0.1, r"got \(2, 4\) and \(2, 3\)"),
        (LOGITS[0], LABELS[0], 0.1, r"one shape \(B, C\), got \(4,\)"),
        (LOGITS, LABELS, 1.01, r"\[0, 1\], got 1.01"),
        (LOGITS, LABELS, -0.01, r"\[0, 1\], got -0.01"),
    ],
)
def test_what_does_not_fit_is_refused(logits: Tensor, labels: Tensor, rate: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        large_loss(logits, labels, scheme=Scheme.REJECTION, rate=rate)


def test_the_first_epoch_distrusts_nothing_and_later_ones_ever_more() -> None:
    method = Rejection(LABELS, schedule=schedule("linear", warmup_epochs=1, rate_per_epoch=0.125), variant="code")
    counts = [int(method(batch_of(LOGITS, LABELS, epoch=epoch)).distrusted_BC.sum()) for epoch in range(1, 10)]
    assert counts == [0, 1, 2, 3, 4, 5, 6, 6, 6]
    assert [method.rejection_rate(epoch) for epoch in (1, 2, 3)] == [0.0, 0.125, 0.25]


def permanent_correction(rate: float, *, variant: Variant = Variant.CODE) -> PermanentCorrection:
    course = schedule("linear", warmup_epochs=1, rate_per_epoch=rate)
    return PermanentCorrection(LABELS, schedule=course, variant=variant)


@pytest.mark.parametrize("variant", BOTH)
def test_ll_cp_stores_exactly_the_selected_entries(variant: Variant) -> None:
    """Deviation 3: with k = 1, storing only what lies above the threshold would store nothing at all."""
    method = permanent_correction(0.1, variant=variant)
    outcome = method(batch_of(LOGITS, LABELS, epoch=2))
    assert outcome.distrusted_BC.nonzero().tolist() == [[1, 1]]
    assert torch.equal(method.corrected_NC, outcome.distrusted_BC)


def test_ll_cp_on_voc_stores_one_entry_of_a_batch_of_16_at_three_per_mille() -> None:
    """Deviation 3 where it matters most: 16 * 20 * 0.003 is less than 1."""
    course = schedule("linear", warmup_epochs=1, rate_per_epoch=0.003)
    labels = torch.zeros(16, 20, dtype=torch.int8)
    method = PermanentCorrection(labels, schedule=course, variant="code")
    logits = torch.randn(16, 20, generator=torch.Generator().manual_seed(0))
    method(batch_of(logits, labels, epoch=2))
    assert method.corrected_NC.sum() == 1
    assert method.corrected_NC.flatten()[logits.argmax()]


def test_ll_cp_as_published_stores_one_fewer_than_it_corrects() -> None:
    """k = 1, 2, 2, 2 of the entries left: what is stored is k - 1 strictly above the threshold."""
    first = permanent_correction(0.1, variant=Variant.AS_PUBLISHED)
    assert first(batch_of(LOGITS, LABELS, epoch=2)).distrusted_BC.nonzero().tolist() == [[1, 1]]
    assert not first.corrected_NC.any()
    method = permanent_correction(0.25, variant=Variant.AS_PUBLISHED)
    corrected = []
    for epoch in (1, 2, 3, 4):
        outcome = method(batch_of(LOGITS, LABELS, epoch=epoch))
        corrected.append((int(outcome.distrusted_BC.sum()), int(method.corrected_NC.sum())))
    assert corrected == [(0, 0), (2, 1), (3, 2), (4, 3)]


@pytest.mark.parametrize(("variant", "num_stored"), [(Variant.CODE, 9), (Variant.AS_PUBLISHED, 0)])
def test_ll_cp_at_the_published_rate_of_voc(variant: Variant, num_stored: int) -> None:
    """Batch 16, 20 classes, rate .001, ten epochs: k = 1 in each of nine, of which the published code stored none."""
    course = schedule("linear", warmup_epochs=1, rate_per_epoch=0.001)
    labels = torch.zeros(16, 20, dtype=torch.int8)
    method = PermanentCorrection(labels, schedule=course, variant=variant)
    for epoch in range(1, 11):
        method(batch_of(torch.randn(16, 20, generator=torch.Generator().manual_seed(epoch)), labels, epoch=epoch))
    assert method.corrected_NC.sum() == num_stored


def test_ll_cp_corrects_a_constant_number_per_epoch_and_never_an_entry_twice() -> None:
    method = permanent_correction(0.125)
    masks = []
    for epoch in range(1, 10):
        masks.append(method(batch_of(LOGITS, LABELS, epoch=epoch)).distrusted_BC)
        assert torch.equal(method.corrected_NC, masks[-1])
    assert [int(mask.sum()) for mask in masks] == [0, 1, 2, 3, 4, 5, 6, 6, 6]
    assert [method.rejection_rate(epoch) for epoch in (1, 2, 3)] == [0.0, 0.125, 0.25]


def test_ll_cp_takes_corrections_as_positives_in_the_step_that_selects_them_and_ever_after() -> None:
    method = permanent_correction(0.25)
    losses = [float(method(batch_of(LOGITS, LABELS, epoch=epoch)).loss) for epoch in (1, 2, 3, 4)]
    assert losses == pytest.approx([0.557302, 0.307302, 0.494802, 1.119802], abs=1e-6)


def test_ll_cp_corrects_what_the_schedule_has_grown_by() -> None:
    constant = schedule("constant", warmup_epochs=1, final_rate=0.25)
    method = PermanentCorrection(LABELS, schedule=constant, variant="code")
    counts = []
    for epoch in range(1, 5):
        method(batch_of(LOGITS, LABELS, epoch=epoch))
        counts.append(int(method.corrected_NC.sum()))
    assert counts == [0, 2, 2, 2]


def test_ll_cp_refuses_a_schedule_that_falls() -> None:
    method = PermanentCorrection(LABELS, schedule=lambda epoch: Fraction(1, 2 * epoch), variant="code")
    with pytest.raises(ValueError, match=r"got -0\.25"):
        method(batch_of(LOGITS, LABELS, epoch=2))


@pytest.mark.parametrize("meaningless", [0, 1, -1, 999])
def test_ll_cp_writes_nothing_for_padding_rows(meaningless: int) -> None:
    method = permanent_correction(0.5)
    method.corrected_NC[0, 3] = True
    labels = torch.cat([LABELS, torch.full((1, 4), 9, dtype=torch.int8)])
    method(batch_of(torch.cat([LOGITS, LOGITS[:1] + 10]), labels, epoch=2, indices=[1, 0, meaningless]))
    # Batch row 0 is image 1 and has candidates .5, -1, -3; row 1 is image 0, its last entry corrected before.
    assert method.corrected_NC.tolist() == [[True, True, False, True], [False, True, True, False]]


def test_ll_cp_does_not_correct_observed_labels_even_if_its_memory_says_so() -> None:
    method = permanent_correction(0.0)
    method.corrected_NC.fill_(True)
    outcome = method(batch_of(LOGITS, -torch.ones_like(LABELS), epoch=3))
    assert not outcome.distrusted_BC.any()
    assert outcome.loss.item() == pytest.approx(float(torch.log1p(LOGITS.exp()).mean()), abs=1e-6)


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    rates=st.lists(st.integers(0, 1000), min_size=2, max_size=2).map(sorted),
    cls=st.sampled_from([Rejection, PermanentCorrection]),
)
def test_carried_distrusts_the_rate_of_an_epoch_exactly(
    sizes: list[int], rates: list[int], cls: type[LargeLossMethod]
) -> None:
    """Whatever the batches; each epoch starts anew, and LL-Cp takes the increase of the rate."""
    labels = torch.zeros((sum(sizes), 7), dtype=torch.int8)
    first, second = (Fraction(rate, 2000) for rate in rates)
    method = cls(labels, schedule={0: Fraction(0), 1: first, 2: second}.__getitem__, variant="carried")
    increase = second - first if cls is PermanentCorrection else second
    for epoch, rate in ((1, first), (2, increase)):
        seen = distrusted = 0
        for indices in torch.arange(sum(sizes)).split(sizes):
            logits = torch.randn((len(indices), 7), generator=torch.Generator().manual_seed(seen))
            one = Batch(
                logits_BC=logits,
                labels_BC=labels[indices],
                indices_B=indices,
                epoch=epoch,
                epochs=2,
                num_images=len(indices),
            )
            earlier = method.corrected_NC[indices].sum() if isinstance(method, PermanentCorrection) else 0
            distrusted += int(method(one).distrusted_BC.sum() - earlier)
            seen += logits.numel()
            assert distrusted == math.floor(rate * seen)
