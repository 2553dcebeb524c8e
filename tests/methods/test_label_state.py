"""What ROLE, EM+APL and CSL remember from batch to batch and from epoch to epoch."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from wsml_study.methods.contract import Batch
from wsml_study.methods.entropy_maximization import AsymmetricPseudoLabels
from wsml_study.methods.role import OnlineLabelEstimation
from wsml_study.methods.selective import ClassAwareSelective


def batch_of(logits_BC: Tensor, labels_BC: Tensor, *, epoch: int = 1) -> Batch:
    return Batch(
        logits_BC=logits_BC.clone().requires_grad_(),
        labels_BC=labels_BC,
        indices_B=torch.arange(len(labels_BC)),
        epoch=epoch,
        epochs=10,
        num_images=len(labels_BC),
    )


class TestRole:
    LABELS = torch.tensor([[1, 0, -1], [0, 1, 0]], dtype=torch.int8)

    def create(self) -> OnlineLabelEstimation:
        return OnlineLabelEstimation(self.LABELS, expected_positives=1.5, estimate_learning_rate_multiplier=10.0)

    def estimate(self, method: OnlineLabelEstimation) -> Tensor:
        """q as the loss shows it: the p that agrees with q in every entry has no gradient."""
        batch = batch_of(torch.zeros(2, 3), self.LABELS)
        return method._estimate(batch).sigmoid()

    def test_estimates_start_undecided_and_those_of_observed_labels_certain(self) -> None:
        torch.manual_seed(0)
        q = self.estimate(self.create())
        assert q[self.LABELS == 1].tolist() == pytest.approx([0.995, 0.995])
        assert q[self.LABELS == -1].tolist() == pytest.approx([0.005])
        assert ((q[self.LABELS == 0] > 0.4) & (q[self.LABELS == 0] < 0.6)).all()

    @pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
    def test_the_estimate_of_observed_labels_stays_fixed_and_the_others_learn(
        self, optimizer: type[torch.optim.Optimizer]
    ) -> None:
        method = self.create()
        before = self.estimate(method).detach().clone()
        steps = optimizer(method.parameter_groups(0.01), weight_decay=0.1)
        for _ in range(20):
            method(batch_of(torch.full((2, 3), -3.0), self.LABELS)).loss.backward()
            steps.step()
            steps.zero_grad()
        after = self.estimate(method)
        observed = self.LABELS != 0
        assert torch.equal(after[observed], before[observed])
        assert (after[~observed] < before[~observed]).all()

    def test_the_estimate_learns_at_its_own_multiple_without_weight_decay(self) -> None:
        (group,) = self.create().parameter_groups(learning_rate=0.002)
        assert group["lr"] == pytest.approx(0.02)
        assert group["weight_decay"] == 0


class TestPseudoLabels:
    def create(self, labels: Tensor, *, share: float = 0.9, warmup_epochs: int = 5) -> AsymmetricPseudoLabels:
        return AsymmetricPseudoLabels(
            labels, entropy_weight=0.1, pseudo_label_weight=0.5, pseudo_label_share=share, warmup_epochs=warmup_epochs
        )

    def test_the_least_likely_of_each_class_get_their_p_and_keep_it(self) -> None:
        """Ten unobserved of class 0, five of class 1: floor(.9 * 10 / 5) = 1 and floor(.9 * 5 / 5) = 0 an epoch."""
        labels = torch.zeros(10, 2, dtype=torch.int8)
        labels[:5, 1] = torch.tensor([1, -1, 1, -1, 1])
        method = self.create(labels)
        logits = torch.arange(20.0).reshape(10, 2) - 10
        for epoch in range(1, 8):
            shift = 0.0 if epoch < 6 else 5.0  # later predictions do not change what was given
            method.finish_epoch(epoch, 10, lambda shift=shift: logits + shift)
        soft = method.soft_NC[:, 0].tolist()
        expected = [1 / (1 + math.exp(10)), 1 / (1 + math.exp(3)), 1 / (1 + math.exp(1))]
        assert soft[:3] == pytest.approx(expected)  # after epochs 5, 6 and 7
        assert soft[3:] == [-1.0] * 7
        assert (method.soft_NC[:, 1] == -1).all()

    def test_nothing_is_labelled_before_w_or_after_the_last_epoch(self) -> None:
        method = self.create(torch.zeros(10, 2, dtype=torch.int8))
        for epoch in (1, 2, 3, 4, 10):
            method.finish_epoch(epoch, 10, lambda: pytest.fail("asked for predictions"))

    def test_a_trial_shorter_than_w_labels_nothing(self) -> None:
        method = self.create(torch.zeros(10, 2, dtype=torch.int8))
        for epoch in range(1, 6):
            method.finish_epoch(epoch, 5, lambda: pytest.fail("asked for predictions"))

    def test_counts_are_exact(self) -> None:
        """In binary arithmetic 0.29 * 100 is 28.999999999999996, and the source's int() makes it 28."""
        method = self.create(torch.zeros(100, 1, dtype=torch.int8), share=0.29, warmup_epochs=9)
        method.finish_epoch(9, 10, lambda: torch.randn(100, 1, generator=torch.Generator().manual_seed(0)))
        assert int(0.29 * 100) == 28
        assert (method.soft_NC >= 0).sum() == 29

    def test_equal_predictions_are_taken_in_the_order_of_the_images(self) -> None:
        method = self.create(torch.zeros(10, 1, dtype=torch.int8), warmup_epochs=7)
        method.finish_epoch(7, 10, lambda: torch.zeros(10, 1))
        assert (method.soft_NC >= 0).flatten().tolist() == [True] * 3 + [False] * 7

    @given(seed=st.integers(0, 99), share=st.integers(0, 100).map(lambda percent: percent / 100))
    def test_in_the_end_the_share_is_labelled_and_observed_labels_never(self, seed: int, share: float) -> None:
        generator = torch.Generator().manual_seed(seed)
        labels = torch.randint(-1, 2, (40, 3), generator=generator, dtype=torch.int8)
        method = self.create(labels, share=share, warmup_epochs=2)
        for epoch in range(1, 11):
            method.finish_epoch(epoch, 10, lambda: torch.randn(40, 3, generator=generator))
        labelled = method.soft_NC >= 0
        assert not labelled[labels != 0].any()
        for num_unobserved, num_labelled in zip((labels == 0).sum(0).tolist(), labelled.sum(0).tolist(), strict=True):
            assert num_labelled == 8 * math.floor(round(share * 100) * num_unobserved / 800)

    def test_a_soft_label_replaces_the_entropy_in_the_loss(self) -> None:
        labels = torch.tensor([[0, 1]], dtype=torch.int8)
        method = self.create(labels)
        method.soft_NC[0] = torch.tensor([0.25, 0.7])  # the second belongs to an observed label, and says nothing
        loss = method(batch_of(torch.tensor([[1.0, 2.0]]), labels)).loss
        soft = 0.25 * math.log1p(math.exp(-1)) + 0.75 * math.log1p(math.exp(1))
        assert loss.item() == pytest.approx((0.5 * soft + math.log1p(math.exp(-2))) / 2)


class TestSelective:
    LABELS = torch.tensor([[1, 0, 0], [0, 0, -1], [0, 1, 0], [0, 0, 0]], dtype=torch.int8)
    LOGITS = torch.tensor([[2.0, -1.0, 0.5], [-2.0, 1.5, 0.0], [-3.0, 1.0, -4.0], [-5.0, 0.1, -6.0]])

    def create(self, *, likely_per_image: int = 0, prior_threshold: float = 1.0) -> ClassAwareSelective:
        return ClassAwareSelective(
            self.LABELS,
            gamma_positive=0.0,
            gamma_negative=1.0,
            gamma_unobserved=2.0,
            probability_margin=0.0,
            likely_per_image=likely_per_image,
            prior_threshold=prior_threshold,
            reduction="sum",
        )

    def test_the_likeliest_unobserved_of_the_whole_batch_are_ignored(self) -> None:
        """One per image on average: the four largest, wherever they are."""
        method = self.create(likely_per_image=1)
        ignored = method(batch_of(self.LOGITS, self.LABELS)).distrusted_BC
        assert ignored.nonzero().tolist() == [[0, 1], [0, 2], [1, 1], [3, 1]]

    def test_of_equal_p_the_first_are_ignored(self) -> None:
        """Four of ten unobserved labels with the same p."""
        ignored = self.create(likely_per_image=1)(batch_of(torch.zeros(4, 3), self.LABELS)).distrusted_BC
        assert ignored.nonzero().tolist() == [[0, 1], [0, 2], [1, 0], [1, 1]]

    def test_priors_are_the_mean_p_at_the_end_of_the_first_epoch_and_stay(self) -> None:
        method = self.create(prior_threshold=0.5)
        assert not method(batch_of(self.LOGITS, self.LABELS)).distrusted_BC.any()
        method.finish_epoch(1, 10, lambda: self.LOGITS)
        assert method.prior_C.tolist() == pytest.approx(self.LOGITS.sigmoid().mean(0).tolist())
        ignored = method(batch_of(self.LOGITS, self.LABELS)).distrusted_BC
        assert ignored.nonzero().tolist() == [[0, 1], [1, 1], [3, 1]]  # the unobserved of the class of mean p .59
        method.finish_epoch(2, 10, lambda: pytest.fail("asked for predictions"))
