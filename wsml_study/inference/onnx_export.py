"""A model as ONNX, for programs without torch; every export is compared with torch on a batch before it is kept.

The exported network takes `images`, uint8 (B, channels, H, W), resized as `preprocessing.json` says, and gives
`probabilities`, float32 (B, C). Of a model with thresholds it gives `decisions` too, int8 (B, C): 1 yes, -1 no, 0 for a
class without a threshold; the metadata `thresholds` is its `thresholds.json`, which also has the calibration. The extra
`onnx` brings what this needs.
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
from wsml_study.inference.calibration import logits_of_probabilities
from wsml_study.inference.decisions import NO, UNDECIDED, YES, Decider
from wsml_study.inference.model import TrainedModel, load_model
from wsml_study.record.decision_rules import has_rules
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


class ProbabilitiesAndDecisions(nn.Module):
    """Images as stored, uint8 (B, c, H, W), to probabilities (B, C) and decisions, int8 (B, C)."""

    def __init__(self, classifier: nn.Module, decider: Decider) -> None:
        super().__init__()
        self.classifier = classifier
        has_none_C = np.isnan(decider.threshold_C)
        # Logits are compared and not probabilities, which in single precision are 1 from 17 on.
        threshold_C = logits_of_probabilities(np.where(has_none_C, 0.5, decider.threshold_C))
        self.threshold_C: Tensor
        self.has_none_C: Tensor
        self.register_buffer("threshold_C", torch.from_numpy(threshold_C).float())
        self.register_buffer("has_none_C", torch.from_numpy(has_none_C))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (B, C) and decisions (B, C)."""
        logits_BC: Tensor = self.classifier(images)
        decided_BC = torch.where(logits_BC >= self.threshold_C, YES, NO)
        decisions_BC = torch.where(self.has_none_C, UNDECIDED, decided_BC).to(torch.int8)
        return logits_BC.sigmoid(), decisions_BC


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
    decider = model.decider() if has_rules(model.folder) else None
    network = _network(model, decider).eval()
    images_BcHW = _random_images(model, CHECKED_IMAGES)
    content = _exported(network, torch.from_numpy(images_BcHW[:TRACED_IMAGES]), model, decider)
    difference = _largest_difference(network, content, images_BcHW, decider)
    path = model.folder / ONNX_FILE
    if not difference <= LARGEST_DIFFERENCE:
        raise ResultsError(
            f"{path}: the exported network differs from torch by {difference:.2g} in a probability, more than "
            f"{LARGEST_DIFFERENCE:g}; it is not written"
        )
    write_whole(path, content)
    decided = "" if decider is None else ", with the thresholds"
    return f"{path}: as torch on {CHECKED_IMAGES} images, up to {difference:.1g} of a probability{decided}"


def _network(model: TrainedModel, decider: Decider | None) -> nn.Module:
    return Probabilities(model.classifier) if decider is None else ProbabilitiesAndDecisions(model.classifier, decider)


def _random_images(model: TrainedModel, count: int) -> npt.NDArray[np.uint8]:
    shape = (count, model.channels, model.image_size, model.image_size)
    return np.random.RandomState(0).randint(0, 256, size=shape).astype(np.uint8)


def _exported(network: nn.Module, images: Tensor, model: TrainedModel, decider: Decider | None) -> bytes:
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
                output_names=["probabilities"] if decider is None else ["probabilities", "decisions"],
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
    kept = {"classes": "\n".join(model.classes), "training": model.name}
    kept |= {} if decider is None else {"thresholds": decider.rules.model_dump_json()}
    for key, value in kept.items():
        proto.metadata_props.add(key=key, value=value)
    content: bytes = proto.SerializeToString()
    return content


def _largest_difference(
    network: nn.Module, content: bytes, images_BcHW: npt.NDArray[np.uint8], decider: Decider | None
) -> float:
    """Of a probability; 1 if a decision differs whose probability is not that near to its threshold."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = session.run(None, {"images": images_BcHW})
    with torch.inference_mode():
        expected = network(torch.from_numpy(images_BcHW))
    expected_BC = (expected if decider is None else expected[0]).numpy()
    if decider is not None:
        near_BC = np.abs(expected_BC - decider.threshold_C) <= LARGEST_DIFFERENCE
        if ((found[1] != expected[1].numpy()) & ~near_BC).any():
            return 1.0
    return float(np.abs(found[0] - expected_BC).max())
