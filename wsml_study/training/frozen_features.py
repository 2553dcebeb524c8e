"""Features of a trial's images under its frozen backbone, computed once for all trials.

Images are seen as in evaluation: batch normalization with the statistics of the weights, no dropout, and unmirrored
unless mirrored ones are asked for. Shapes: N images, D features.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch

from wsml_study.data.features import ROWS_PER_BLOCK, Features, stored_features
from wsml_study.data.image_store import ImageRows, identity_of
from wsml_study.data.stored_file import blocks_of
from wsml_study.options import Value
from wsml_study.study.model_section import Model
from wsml_study.training.classifier import Classifier
from wsml_study.training.pretrained_weights import identity_of_weights
from wsml_study.training.trial_data import LabelledImages


def with_frozen_features(
    split: LabelledImages, model: Model, device: torch.device, *, mirrored: bool = False
) -> LabelledImages:
    """The split with the frozen backbone's features in place of its images.

    Args:
        split: with images.
        model: whose backbone and weights to take.
        device: where to compute them.
        mirrored: compute those of the mirrored images.

    Raises:
        TrainingError: the backbone or its weights cannot be had.
        DataError: an image cannot be decoded, or the cache cannot be written.
    """
    assert split.images_NcHW is not None
    features_ND = _features(split.images_NcHW, model, device, mirrored=mirrored)
    return replace(split, images_NcHW=None, features_ND=features_ND)


def _features(images_NcHW: ImageRows, model: Model, device: torch.device, *, mirrored: bool) -> Features:
    assert model.weights is not None, "mode linear without weights"
    num_channels, weights = int(images_NcHW.shape[1]), identity_of_weights(model.backbone, model.weights)
    options = tuple((key, value) for key, value in model.options.items() if value is not None)

    def backbone() -> Classifier:
        size = int(images_NcHW.shape[-1])
        return _frozen_backbone(model.backbone, str(model.weights), weights, options, num_channels, size, device)

    @torch.inference_mode()
    def compute(rows: range) -> Features:
        images_BcHW = torch.from_numpy(images_NcHW[np.arange(rows.start, rows.stop)]).to(device)
        features_BD = backbone().features(images_BcHW.flip(-1) if mirrored else images_BcHW)
        return features_BD.float().cpu().numpy()

    identity = identity_of(images_NcHW)
    if identity is None:  # an array that is not from the image store: without an identity it cannot be cached
        return np.concatenate([compute(rows) for rows in blocks_of(len(images_NcHW), ROWS_PER_BLOCK)])
    return stored_features(
        images=identity,
        backbone=f"{weights}{options or ''}{' mirrored' if mirrored else ''}",
        num_images=len(images_NcHW),
        num_features=lambda: int(backbone().head.in_features),
        compute=compute,
    )


@lru_cache(maxsize=2)
def _frozen_backbone(
    backbone: str,
    weights: str,
    identity: str,
    options: tuple[tuple[str, Value], ...],
    num_channels: int,
    image_size: int,
    device: torch.device,
) -> Classifier:
    del identity  # only part of the cache's key: a weights file that has changed is read again
    whole = Classifier(
        backbone,
        num_classes=1,
        num_channels=num_channels,
        weights=weights,
        image_size=image_size,
        options=dict(options),
    )
    return whole.to(device).eval()
