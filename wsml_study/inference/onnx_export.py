"""A model as ONNX, for programs without torch; every export is compared with torch on a batch before it is kept.

The exported network takes `images`, uint8 (B, channels, H, W), resized as `preprocessing.json` says, and gives
`probabilities`, float32 (B, C). The extra `onnx` brings what this needs.
"""

from __future__ import annotations

import importlib.util
import logging
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from wsml_study.errors import ResourcesError, ResultsError
from wsml_study.inference.model import TrainedModel, load_model
from wsml_study.record.files import write_whole
from wsml_study.record.model_folder import WEIGHTS_FILE

ONNX_FILE = "model.onnx"
NEEDED = ("onnx", "onnxruntime", "onnxscript")
LARGEST_DIFFERENCE = 1e-4
"""Tolerance for a probability. Runtimes add in another order; a wrong operator differs by much more."""

CHECKED_IMAGES, TRACED_IMAGES = 5, 2


class Probabilities(nn.Module):
    """Images as stored, uint8 (B, c, H, W), to probabilities (B, C)."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities (B, C)."""
        logits: Tensor = self.classifier(images)
        return logits.sigmoid()


def check_onnx() -> None:
    """Check that the packages for an export are installed, before anything is trained.

    Raises:
        ResourcesError: one is missing.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ResourcesError(f"ONNX needs {', '.join(missing)}: pip install 'wsml-study[onnx]'")


def export_models(training: Path) -> list[str]:
    """Write `model.onnx` into every model's folder of a training; a line for each.

    Raises:
        ResourcesError, ResultsError: as `export_onnx`.
    """
    check_onnx()
    folders = sorted(path.parent for path in training.glob(f"*/{WEIGHTS_FILE}"))
    return [export_onnx(load_model(folder, device="cpu")) for folder in folders]


def export_onnx(model: TrainedModel) -> str:
    """Write a model as ONNX beside its weights, if its output matches torch; returns a line with the difference.

    Args:
        model: on the CPU.

    Raises:
        ResultsError: the network cannot be exported, computes something else, or the file cannot be written.
    """
    network = Probabilities(model.classifier).eval()
    images_BcHW = _random_images(model, CHECKED_IMAGES)
    content = _exported(network, torch.from_numpy(images_BcHW[:TRACED_IMAGES]), model)
    difference = _largest_difference(network, content, images_BcHW)
    path = model.folder / ONNX_FILE
    if not difference <= LARGEST_DIFFERENCE:
        raise ResultsError(
            f"{path}: the exported network differs from torch by {difference:.2g} in a probability, more than "
            f"{LARGEST_DIFFERENCE:g}; it is not written"
        )
    write_whole(path, content)
    return f"{path}: as torch on {CHECKED_IMAGES} images, up to {difference:.1g} of a probability"


def _random_images(model: TrainedModel, count: int) -> npt.NDArray[np.uint8]:
    shape = (count, model.channels, model.image_size, model.image_size)
    return np.random.RandomState(0).randint(0, 256, size=shape).astype(np.uint8)


def _exported(network: nn.Module, images: Tensor, model: TrainedModel) -> bytes:
    """The network as the bytes of an ONNX file, for batches of any size."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                (images,),
                dynamo=True,
                input_names=["images"],
                output_names=["probabilities"],
                dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
                verbose=False,
            )
    except Exception as error:  # a network that cannot be exported may raise anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ResultsError(
            f"{model.folder}: {model.study.model.backbone} cannot be exported to ONNX: {reason}"
        ) from error
    assert program is not None
    proto = program.model_proto
    for key, value in (("classes", "\n".join(model.classes)), ("training", model.name)):
        proto.metadata_props.add(key=key, value=value)
    content: bytes = proto.SerializeToString()
    return content


def _largest_difference(network: nn.Module, content: bytes, images_BcHW: npt.NDArray[np.uint8]) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (found_BC,) = session.run(["probabilities"], {"images": images_BcHW})
    with torch.inference_mode():
        expected_BC = network(torch.from_numpy(images_BcHW)).numpy()
    return float(np.abs(found_BC - expected_BC).max())
