"""Further views of training images: what a method is given of them, and who can have none."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from tests.training.digit_trials import config_of
from wsml_study.errors import TrainingError
from wsml_study.methods.contract import Batch
from wsml_study.study.data_section import Data, Observe
from wsml_study.study.training_section import Training
from wsml_study.study.viewed_images import why_no_views
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import TrialData, open_trial_data
from wsml_study.training.views import shown_places


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrialData:
    observe = Data(dataset="digit_scenes", observe=Observe(positives=1))
    whole = open_trial_data(observe, cache_dir=tmp_path_factory.mktemp("images"))
    few = {name: getattr(whole.train, name)[:64] for name in ("rows_M", "truth_MC", "observed_MC")}
    return replace(whole, train=replace(whole.train, **few))


def batches_of(trial: TrialTraining) -> list[Batch]:
    """What the method is given in an epoch."""
    seen: list[Batch] = []
    hook = trial.method.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    trial.run_epoch()
    hook.remove()
    return seen


@pytest.mark.parametrize(("name", "views"), [("PLC", ["strong"]), ("IGNORE", ["strong", "masked"])])
def test_the_views_are_of_the_images_of_the_batch(data: TrialData, name: str, views: list[str]) -> None:
    """At a learning rate of next to nothing: the first batch again, by hand."""
    trial = TrialTraining(config_of(name, learning_rate=1e-12, dropout=None), data)
    batch = next(trial.optimization.batches(1))
    images, strong = batch.inputs.chunk(2)
    assert not torch.equal(images, strong)
    first = batches_of(trial)[0]
    with torch.no_grad():
        torch.testing.assert_close(first.logits_BC, trial.classifier(images))
        torch.testing.assert_close(first.views["strong"], trial.classifier(strong))
    assert list(first.views) == views
    assert first.views["strong"].requires_grad
    if "masked" in views:
        masked_BC = first.views["masked"]
        assert not masked_BC.requires_grad
        assert batch.labels_BC.eq(1).any(1).all()
        assert not torch.allclose(masked_BC, first.logits_BC)


def test_a_view_that_counts_nothing_trains_as_without(data: TrialData) -> None:
    """PLC at weight 0 is AN, to what the size of a pass through the network changes."""
    plain = TrialTraining(config_of("AN"), data)
    viewed = TrialTraining(config_of("PLC", {"consistency_weight": 0.0}), data)
    expected = [plain.run_epoch().train_loss for _ in range(2)]
    assert [viewed.run_epoch().train_loss for _ in range(2)] == pytest.approx(expected, rel=1e-5)


def test_places_are_shown_where_the_observed_positives_are_seen() -> None:
    maps_BChw = torch.zeros(3, 2, 4, 4)
    maps_BChw[0, 0, 0, 0] = 5
    maps_BChw[0, 1, 3, 3] = 9
    maps_BChw[1, :, 1, 1] = torch.tensor([-2.0, 7.0])
    maps_BChw[1, 0, 2, 2] = 1
    positive_BC = torch.tensor([[True, True], [True, False], [False, False]])
    shown_BHW = shown_places(maps_BChw, positive_BC, 4)[:, 0]
    assert shown_BHW[0].nonzero().tolist() == [[0, 0], [3, 3]]
    assert shown_BHW[1].nonzero().tolist() == [[2, 2]]
    assert shown_BHW[2].all()


def test_a_larger_image_shows_the_enlarged_map() -> None:
    maps_BChw = torch.rand(1, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    scaled = (maps_BChw - maps_BChw.min()) / (maps_BChw.max() - maps_BChw.min())
    expected = F.interpolate(scaled, size=(12, 12), mode="bilinear", align_corners=False) > 0.8
    assert torch.equal(shown_places(maps_BChw, torch.ones(1, 1, dtype=torch.bool), 12), expected)
    assert 0 < expected.sum() < 100


def test_who_has_no_views_is_told(data: TrialData) -> None:
    config = config_of("PLC", cutout=None)
    remedy = "compares an image with a strongly changed view of it; say how it is changed with training.rand_augment"
    with pytest.raises(TrainingError, match=f"PLC: {remedy}"):
        TrialTraining(config, data)
    assert why_no_views(config_of("PLC")) is None
    for mode in ("linear", "linear_init"):
        probe = config.model_copy(update={"training": Training(mode=mode, cutout=0.3)})
        assert why_no_views(probe).endswith("set training.mode: end_to_end")
