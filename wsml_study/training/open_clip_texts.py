"""Whole CLIP models of open_clip: how alike an image and the descriptions of each class are.

Shapes: B images, C classes, D numbers of a CLIP embedding.
"""

from __future__ import annotations

from collections.abc import Sequence

import open_clip
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsml_study.study.backbone_library import name_and_tag
from wsml_study.training.library_names import misfit
from wsml_study.training.open_clip_backbones import pretraining, published_config, weights_path


class TextSimilarity(nn.Module):
    """Cosine similarities of images and classes, each class being the mean of its texts' embeddings of unit length.

    Attributes:
        image_size: pixels of a side that the model takes.
    """

    classes_CD: Tensor
    mean_c11: Tensor
    std_c11: Tensor

    def __init__(self, backbone: str, weights: str, texts: Sequence[Sequence[str]]) -> None:
        """Load the model and embed the texts.

        Args:
            backbone: `open_clip/NAME`.
            weights: a tag, a file or a repository of the hub, as `model.weights`.
            texts: of each of the C classes, one or more.

        Raises:
            TrainingError: the model or its weights are unknown or absent, or do not fit each other.
        """
        super().__init__()
        published_config(backbone)
        known = pretraining(backbone, weights)
        path = weights_path(backbone, weights)
        name, _ = name_and_tag(backbone)
        self.model = open_clip.create_model(name).eval()
        try:
            open_clip.load_checkpoint(self.model, str(path), weights_only=True)
        except Exception as error:  # unpickling a wrong file can raise errors of any kind
            raise misfit(backbone, str(path), error) from error
        self.image_size = known.image_size
        self.register_buffer("mean_c11", torch.tensor(known.mean)[:, None, None])
        self.register_buffer("std_c11", torch.tensor(known.std)[:, None, None])
        self.register_buffer("classes_CD", self._embedded(open_clip.get_tokenizer(name), texts))

    @torch.no_grad()
    def forward(self, images_BcHW: Tensor) -> Tensor:
        """Similarities (B, C) of uint8 RGB images of the model's size."""
        normalized_BcHW = (images_BcHW.float() / 255 - self.mean_c11) / self.std_c11
        embedded_BD: Tensor = self.model.encode_image(normalized_BcHW, normalize=True)
        return embedded_BD @ self.classes_CD.T

    @torch.no_grad()
    def _embedded(self, tokenizer: object, texts: Sequence[Sequence[str]]) -> Tensor:
        assert callable(tokenizer)
        means = [self.model.encode_text(tokenizer(list(of_class)), normalize=True).mean(0) for of_class in texts]
        return F.normalize(torch.stack(means), dim=-1)
