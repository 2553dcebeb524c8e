"""A trained model, loaded from its folder for prediction.

Shapes: N images, B of a batch, C classes, c channels, H = W pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor

from wsml_study.data.dataset import Interpolation, PixelRange
from wsml_study.data.decoded_rows import resized_to
from wsml_study.data.hub_files import local_path
from wsml_study.data.problem_list import data_error
from wsml_study.errors import ResourcesError, ResultsError
from wsml_study.inference.decisions import Decider
from wsml_study.inference.pictures import Picture, check_pixels, open_any, read_batches
from wsml_study.record.decision_rules import read_rules
from wsml_study.record.model_folder import (
    CLASSES_FILE,
    CONFIG_FILE,
    WEIGHTS_FILE,
    check_model_folder,
    read_model_files,
)
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Study
from wsml_study.training.classifier import Classifier
from wsml_study.training.scoring import SMALLEST_BATCH, logits_of, uses_bf16

MOST_REASON = 300
"""Characters shown of torch's error about weights that do not match."""


class TrainedModel:
    """A model that `wsml-study train` wrote, ready to predict.

    Attributes:
        folder: where it was loaded from.
        study: the config that trained it.
        classes: C names, in the order of every row of probabilities.
        image_size: pixels of a side that images are resized to.
        channels: 1 for gray images, 3 for RGB.
        classifier: from images as stored to logits, in evaluation mode.
        device: that it runs on.
    """

    def __init__(self, folder: Path, *, device: torch.device) -> None:
        """Build the network and load its weights; callers use `load_model`.

        Raises:
            ResultsError: a file of the folder is damaged, the weights do not fit the config, or the model takes no
                images.
        """
        self.folder, self.device = folder, device
        self.study: Study = read_study(folder / CONFIG_FILE)
        files = read_model_files(folder)
        self.classes: tuple[str, ...] = files.classes
        if files.num_features is not None:
            raise ResultsError(
                f"{folder}: this model takes {files.num_features:,} given features and not images; its weights are one "
                f"linear layer, and the mean and deviation of each feature"
            )
        self.image_size, self.channels = files.image_size, files.channels
        model = self.study.model
        self.classifier = Classifier(
            model.backbone,
            num_classes=len(self.classes),
            num_channels=self.channels,
            weights=model.weights,
            head=model.head,
            image_size=self.image_size,
            fetch_weights=False,
            options=model.options,
        )
        _load_weights(self.classifier, folder / WEIGHTS_FILE)
        self.classifier.to(device).eval()

    @property
    def name(self) -> str:
        """Name of the training, and the seed."""
        return f"{self.study.name}, seed {self.study.training.seed}"

    @property
    def pixel_range(self) -> PixelRange:
        """How pixels of more than 8 bits are scaled: as in training."""
        return self.study.data.pixel_range or "full"

    @property
    def interpolation(self) -> Interpolation:
        """By which images are resized: as in training."""
        return self.study.data.interpolation or "bilinear"

    @property
    def batch_size(self) -> int:
        """Images per batch, as in the test after training, so that results are reproduced exactly."""
        return max(SMALLEST_BATCH, self.study.training.batch_size)

    def decider(self) -> Decider:
        """The thresholds and the calibration of `wsml-study thresholds`, to apply to probabilities.

        Raises:
            ResultsError: the folder has none, or they are damaged or of another model.
        """
        return Decider(read_rules(self.folder, self.classes))

    def decide(self, images: Sequence[Picture], *, batch_size: int | None = None) -> npt.NDArray[np.int8]:
        """Decisions (N, C) for images: +1 yes, -1 no, 0 for a class without a threshold.

        Args:
            images, batch_size: as `predict`.

        Raises:
            ResultsError: as `decider`.
            DataError, ValueError: as `predict`.
        """
        decider = self.decider()
        return decider.decisions(self.predict(images, batch_size=batch_size))

    def predict(self, images: Sequence[Picture], *, batch_size: int | None = None) -> npt.NDArray[np.float64]:
        """Probabilities (N, C) of the classes in each image, in the order of `classes`.

        Args:
            images: files, Pillow images, or arrays of pixels, uint8 (H, W) or (H, W, 3), of any size.
            batch_size: images per batch; `self.batch_size` by default.

        Raises:
            DataError: images cannot be read; the message lists them.
            ValueError: an array is of another kind, or a single image came instead of a list.
        """
        if isinstance(images, str | Path | Image.Image):
            raise ValueError(f"expected a list of images, got one {type(images).__name__}; put it in a list")
        for image in images:
            if isinstance(image, np.ndarray):
                check_pixels(image)
        batches = read_batches(
            resized_to(self.image_size, lambda row: open_any(images[row], self.pixel_range), self.interpolation),
            len(images),
            size=self.image_size,
            channels=self.channels,
            batch_size=batch_size or self.batch_size,
        )
        parts = [np.empty((0, len(self.classes)))]
        unreadable = []
        for batch in batches:
            parts.append(self.probabilities(batch.images_BcHW))
            unreadable += [f"{_called(images[row], row)}: {reason}" for row, reason in batch.unreadable]
        if unreadable:
            raise data_error("images", unreadable, remedy="leave these images out")
        return np.concatenate(parts)

    def probabilities(self, images_BcHW: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """Probabilities (B, C) of images as stored, uint8 (B, c, H, W); they rank as the logits do.

        In double precision: in single precision unequal logits above 16 have one probability, which is 1.
        """
        if len(images_BcHW) == 0:
            return np.empty((0, len(self.classes)))
        return self.logits([images_BcHW]).double().sigmoid().cpu().numpy()

    def logits(self, batches: Iterable[npt.NDArray[np.uint8]]) -> Tensor:
        """Logits (N, C), float32 on the model's device, of batches of images as stored."""
        on_device = (torch.from_numpy(images_BcHW).to(self.device, non_blocking=True) for images_BcHW in batches)
        return logits_of(self.classifier, on_device, bf16=uses_bf16(self.study.training.precision, self.device))


def load_model(path: str | Path, *, device: str = "auto") -> TrainedModel:
    """Load a model that `wsml-study train` has written.

    Args:
        path: a model's folder, `models/<config>/seed_<n>`, or `hf://owner/name`.
        device: `cpu`, `cuda`, or `auto` for a GPU if there is one.

    Raises:
        ResultsError: the folder holds no complete model.
        DataError: the model is on the hub, and cannot be downloaded.
        ResourcesError: there is no such device.
    """
    folder = local_path(path)
    check_model_folder(folder)
    return TrainedModel(folder, device=device_of(device))


def device_of(name: str) -> torch.device:
    """The device of a name: `cpu`, `cuda`, or `auto` for a GPU if there is one.

    Raises:
        ResourcesError: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise ResourcesError(f"device: expected auto, cpu or cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ResourcesError("device: there is no CUDA GPU that torch can use here; take cpu or auto")
    return torch.device(name)


def _load_weights(classifier: Classifier, path: Path) -> None:
    """Load a file of weights.

    Raises:
        ResultsError: it is damaged, belongs to another network, or a weight is not a finite number.
    """
    try:
        weights = safetensors.torch.load_file(path)
        classifier.load_state_dict(weights)
    except Exception as error:  # a damaged file can make safetensors and torch raise anything
        reason = " ".join(str(error).split())[:MOST_REASON]
        raise ResultsError(
            f"{path}: these are not the weights of the {CONFIG_FILE} and {CLASSES_FILE} beside it: {reason}; copy the "
            f"model's folder again, or train it again"
        ) from error
    if broken := [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]:
        raise ResultsError(
            f"{path}: expected finite weights, got others in {', '.join(broken[:3])}; copy the model's folder again, "
            f"or train it again"
        )


def _called(picture: Picture, row: int) -> str:
    return str(picture) if isinstance(picture, str | Path) else f"image {row}"
