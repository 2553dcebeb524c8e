"""Where one method's parameters reach a limit, it is another method."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.methods.cases import scores_of
from wsml_study.methods.catalogue import METHODS
from wsml_study.methods.contract import Batch, Method, Outcome
from wsml_study.methods.creation import METHOD_NAMES, WITH_SCHEDULE, create_method
from wsml_study.methods.large_loss_entry import VARIANTS
from wsml_study.methods.schedules import schedule
from wsml_study.testing.method_contract import views_of

NUM_IMAGES, NUM_CLASSES = 9, 6


def labels_of_images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    labels_NC = torch.randint(-1, 2, (NUM_IMAGES, NUM_CLASSES), generator=generator, dtype=torch.int8)
    return labels_NC * (torch.rand(labels_NC.shape, generator=generator) < 0.6)


LABELS = labels_of_images()
LOGITS = 3 * torch.randn(LABELS.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def create(name: str, **values: Any) -> Method:
    return create_method(name, labels_NC=LABELS, **values)


def run(method: Method, *, epoch: int = 4) -> tuple[Outcome, Tensor]:
    """The outcome in double precision, and the gradient."""
    batch = Batch(
        logits_BC=LOGITS.clone().requires_grad_(),
        labels_BC=LABELS,
        indices_B=torch.arange(NUM_IMAGES),
        epoch=epoch,
        epochs=10,
        num_images=NUM_IMAGES,
        views=views_of(LOGITS),
    )
    outcome = method(batch)
    return outcome, torch.autograd.grad(outcome.loss, batch.logits_BC)[0]


def assert_same(one: Method, other: Method, *, factor: float = 1.0, tolerance: float = 1e-12) -> None:
    """The same losses and gradients, up to a factor."""
    (one_outcome, one_gradient), (other_outcome, other_gradient) = run(one), run(other)
    torch.testing.assert_close(one_outcome.loss, factor * other_outcome.loss, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(one_gradient, factor * other_gradient, rtol=tolerance, atol=tolerance)


def test_only_some_methods_have_the_idea_of_distrust() -> None:
    course = schedule("linear", warmup_epochs=1, rate_per_epoch=0.1)
    methods = {
        name: create(
            name,
            dataset="voc2012",
            schedule=course if name in WITH_SCHEDULE else None,
            scores_NC=scores_of(LABELS) if METHODS[name].takes_scores else None,
        )
        for name in METHOD_NAMES
    }
    distrusting = {name for name, method in methods.items() if run(method)[0].distrusted_BC is not None}
    assert distrusting == {*WITH_SCHEDULE, "SPLC", "CSL", "VLPL", "GPR", "MIME", "PLC", "IGNORE"}


FOCUS_FREE = {"gamma_positive": 0.0, "gamma_negative": 0.0, "probability_margin": 0.0}
ALWAYS_NEGATIVE = {"gr_b_first": -100.0, "gr_b_last": -100.0, "gr_w_first": 0.0, "gr_w_last": 0.0}
ALWAYS_POSITIVE = {"gr_b_first": 100.0, "gr_b_last": 100.0, "gr_w_first": 0.0, "gr_w_last": 0.0}
UNWEIGHTED = {"gr_sigma_first": 1e9, "gr_sigma_last": 1e9}


@pytest.mark.parametrize("name", WITH_SCHEDULE)
@pytest.mark.parametrize("variant", VARIANTS)
def test_large_loss_at_rate_zero_is_an(name: str, variant: str) -> None:
    nothing = schedule("constant", warmup_epochs=0, final_rate=0.0)
    assert_same(create(name, schedule=nothing, variant=variant), create("AN"))


def test_plc_without_its_term_is_an() -> None:
    assert_same(create("PLC", consistency_weight=0.0), create("AN"))


def test_wan_at_weight_one_is_an() -> None:
    assert_same(create("WAN", negative_weight=1.0), create("AN"))


def test_wan_at_weight_zero_is_iu() -> None:
    assert_same(create("WAN", negative_weight=0.0), create("IU"))


def test_wan_weighs_by_default_so_that_one_positive_counts_as_much_as_all_that_is_assumed() -> None:
    assert_same(create("WAN"), create("WAN", negative_weight=1 / 5))


def test_lsan_at_zero_is_an() -> None:
    assert_same(create("LSAN", smoothing=0.0), create("AN"))


def test_asl_at_zero_zero_zero_is_an_up_to_its_reduction() -> None:
    assert_same(create("ASL", **FOCUS_FREE, reduction="mean"), create("AN"))
    assert_same(create("ASL", **FOCUS_FREE), create("AN"), factor=NUM_IMAGES * NUM_CLASSES)


@pytest.mark.parametrize("name", ["ASL", "Hill", "SPLC", "CSL"])
def test_sum_and_mean_differ_by_the_number_of_entries(name: str) -> None:
    assert_same(create(name, reduction="sum"), create(name, reduction="mean"), factor=NUM_IMAGES * NUM_CLASSES)


def test_splc_that_corrects_nothing_without_margin_is_asl_without_margin() -> None:
    focal = {"gamma_positive": 2.0, "gamma_negative": 2.0, "probability_margin": 0.0}
    assert_same(create("SPLC", positive_threshold=1.0, logit_margin=0.0), create("ASL", **focal))


def test_splc_corrects_nothing_in_its_warmup() -> None:
    warm, early = run(create("SPLC", warmup_epochs=4))[0], run(create("SPLC", positive_threshold=1.0))[0]
    assert warm.loss == early.loss
    assert not warm.distrusted_BC.any()
    assert run(create("SPLC", warmup_epochs=3))[0].distrusted_BC.any()


def test_csl_that_ignores_and_focuses_nothing_is_an() -> None:
    nothing = FOCUS_FREE | {"gamma_unobserved": 0.0, "likely_per_image": 0, "prior_threshold": 1.0}
    assert_same(create("CSL", **nothing, reduction="mean"), create("AN"))


def test_csl_that_ignores_all_unobserved_is_iu() -> None:
    everything = FOCUS_FREE | {"likely_per_image": NUM_CLASSES}
    assert_same(create("CSL", **everything, reduction="mean"), create("IU"))


def test_em_at_alpha_zero_is_iu() -> None:
    assert_same(create("EM", entropy_weight=0.0), create("IU"))


def test_em_with_pseudo_labels_is_em_until_there_are_some() -> None:
    assert_same(create("EM+APL", dataset="voc2012"), create("EM", dataset="voc2012"))


def test_the_entropy_is_largest_at_one_half() -> None:
    entropy = run(create("IU"))[0].loss - run(create("EM", entropy_weight=1.0))[0].loss
    assert 0 < entropy < torch.log(torch.tensor(2.0))


def test_gr_that_takes_all_for_negative_is_an_in_the_limit_of_small_exponents() -> None:
    an = create("AN")
    for exponent, tolerance in ((1e-3, 2e-2), (1e-6, 2e-5), (0.0, 1e-12)):
        assert_same(create("GR", **ALWAYS_NEGATIVE, **UNWEIGHTED, gr_q3=exponent), an, tolerance=tolerance)


def test_gr_at_exponent_one_is_the_mean_absolute_error() -> None:
    unobserved = LABELS == 0
    for course, exponent, error in ((ALWAYS_NEGATIVE, "gr_q3", LOGITS), (ALWAYS_POSITIVE, "gr_q2", -LOGITS)):
        outcome, _ = run(create("GR", **course, **UNWEIGHTED, **{exponent: 1.0}))
        expected = run(create("IU"))[0].loss + error.sigmoid()[unobserved].sum() / LABELS.numel()
        torch.testing.assert_close(outcome.loss, expected)


def test_gr_moves_its_parameters_over_the_epochs_as_the_authors_code_does() -> None:
    """At epoch 4 of 10, w and b have gone 3 tenths of their way, mu and sigma 4 tenths."""
    moving = create("GR", gr_w_first=0.0, gr_w_last=10.0, gr_mu_first=0.0, gr_mu_last=1.0)
    still = create(
        "GR", gr_w_first=3.0, gr_w_last=3.0, gr_mu_first=0.4, gr_mu_last=0.4, gr_sigma_first=1.4, gr_sigma_last=1.4
    )
    assert_same(moving, still)


def test_epr_with_the_right_number_of_positives_is_iu() -> None:
    per_image = float(LOGITS.sigmoid().sum(1).mean())
    outcome, gradient = run(create("EPR", expected_positives=per_image))
    expected, expected_gradient = run(create("IU"))
    torch.testing.assert_close(outcome.loss, expected.loss)
    torch.testing.assert_close(gradient, expected_gradient)


def test_hill_pushes_down_most_where_the_formula_has_its_steepest_slope() -> None:
    """d/dz (1.5 - p) p^2 = 3 p^2 (1 - p)^2, largest at p = 1/2."""
    _, gradient = run(create("Hill"))
    p = LOGITS.sigmoid()
    assert gradient[LABELS != 1].numpy() == pytest.approx((3 * p**2 * (1 - p) ** 2)[LABELS != 1].numpy())
