"""A model as ONNX, for programs without torch; every file is compared with `predict` before it is kept.

It takes `images`, uint8 (B, channels, H, W) of any number and size, as decoded: resizing and normalization are in the
graph. It gives `probabilities`, float32 (B, C). Of a model with thresholds it also gives `calibrated` probabilities,
and `decisions`, int8 (B, C): 1 yes, -1 no, 0 for a class without a threshold. Its metadata have the names of the
classes (`classes`, a JSON list), what is done to a picture (`preprocessing`), and the model's `thresholds.json`
(`thresholds`). The extra `onnx` brings what this needs.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from pathlib import Path

import torch

from wsml_study.data.hub_files import refuse_hub_address
from wsml_study.errors import ResourcesError, ResultsError
from wsml_study.inference.decisions import Decider
from wsml_study.inference.model import TrainedModel, load_model
from wsml_study.inference.onnx_check import compare
from wsml_study.inference.onnx_network import OnnxNetwork
from wsml_study.record.decision_rules import has_rules
from wsml_study.record.files import write_whole
from wsml_study.record.model_folder import WEIGHTS_FILE
from wsml_study.training.pretrained_weights import normalization_of

ONNX_FILE = "model.onnx"
NEEDED = ("onnx", "onnxruntime", "onnxscript")
PREPROCESSING = (
    "in the graph: {} resizing with antialiasing, as Pillow's, without keeping the proportions; normalization. "
    "Before it: decode, turn upright as EXIF data say, put transparent parts on white, convert to the channels"
)
INPUT = "uint8 (batch, channels, height, width), values 0 to 255, any height and width"


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


def export_model(folder: Path, output: Path | None, *, overwrite: bool = False) -> str:
    """Write one model as ONNX; returns a line with the difference from `predict`.

    Args:
        folder: of the model.
        output: an .onnx file; None for `model.onnx` in the folder.
        overwrite: replace an earlier file.

    Raises:
        ResourcesError: a package is missing.
        ResultsError: there is no model, the file is of another kind or exists, or as `export_onnx`.
    """
    if output is None:
        refuse_hub_address(folder, "model.onnx is")
    path = folder / ONNX_FILE if output is None else output
    if path.suffix != ".onnx":
        raise ResultsError(f"{path}: expected a file that ends in .onnx")
    check_onnx()
    model = load_model(folder, device="cpu")
    if path.exists() and not overwrite:
        raise ResultsError(f"{path} exists; name another file, or replace it with --overwrite")
    return export_onnx(model, path)


def export_onnx(model: TrainedModel, output: Path | None = None) -> str:
    """Write a model as ONNX if it computes what `predict` does; returns a line with the difference.

    Args:
        model: on the CPU.
        output: the file; None for `model.onnx` beside the weights.

    Raises:
        ResultsError: the network cannot be exported, computes something else, or the file cannot be written.
    """
    decider = model.decider() if has_rules(model.folder) else None
    network = OnnxNetwork(model.classifier, model.image_size, decider, model.interpolation).eval()
    content = _exported(network, model, decider)
    difference = compare(content, model, decider)
    path = output or model.folder / ONNX_FILE
    if (problem := difference.problem()) is not None:
        raise ResultsError(f"{path}: the exported network {problem}; it is not written")
    write_whole(path, content)
    decided = "" if decider is None else ", with thresholds and calibration"
    return (
        f"{path}: as predict on {difference.num_pictures} pictures of {difference.num_sizes} sizes, up to "
        f"{difference.probability:.1g} of a probability at its own size and {difference.resized:.1g} at others{decided}"
    )


def _exported(network: OnnxNetwork, model: TrainedModel, decider: Decider | None) -> bytes:
    """The network as the bytes of an ONNX file, for any number of pictures of any size."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    # Sizes that nothing else has, so that no dimension is taken for another one.
    traced = torch.zeros(2, model.channels, model.image_size + 3, model.image_size + 5, dtype=torch.uint8)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                (traced,),
                dynamo=True,
                input_names=["images"],
                output_names=network.output_names,
                dynamic_shapes={"images": _dynamic()},
                verbose=False,
            )
    except Exception as error:  # a network that cannot be exported may raise anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ResultsError(
            f"{model.folder}: {model.study.model.backbone} cannot be exported to ONNX: {reason}"
        ) from error
    assert program is not None
    proto = program.model_proto
    for key, value in _metadata(model, decider).items():
        proto.metadata_props.add(key=key, value=value)
    content: bytes = proto.SerializeToString()
    return content


def _dynamic() -> dict[int, object]:
    return {axis: torch.export.Dim(name) for axis, name in ((0, "batch"), (2, "height"), (3, "width"))}


def _metadata(model: TrainedModel, decider: Decider | None) -> dict[str, str]:
    mean, std = normalization_of(model.study.model.backbone, model.study.model.weights)
    preprocessing = {
        "input": INPUT,
        "done": PREPROCESSING.format(model.interpolation),
        "image_size": model.image_size,
        "interpolation": model.interpolation,
        "channels": model.channels,
        "mean": mean,
        "std": std,
    }
    kept = {"classes": json.dumps(list(model.classes)), "training": model.name}
    kept |= {"preprocessing": json.dumps(preprocessing)}
    return kept if decider is None else kept | {"thresholds": decider.rules.model_dump_json()}
