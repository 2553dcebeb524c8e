"""Which network a study trains, as a line of text: backbone, weights, size of the images."""

from __future__ import annotations

from wsml_study.study.backbone_record import BACKBONES
from wsml_study.study.spec import Study

RANDOM = "random weights (`model.weights` names pretrained ones)"


def model_line(study: Study) -> str:
    """The network that the trials train."""
    if study.data.features is not None:
        return "model: a linear layer on the given features"
    parts = ["backbone as searched" if "model.backbone" in study.varied else study.model.backbone]
    parts += _weights(study)
    if "data.image_size" in study.varied:
        parts.append("image size as searched")
    elif study.data.image_size is not None:
        parts.append(f"images of {study.data.image_size} x {study.data.image_size} pixels")
    return f"model: {', '.join(parts)}"


def _weights(study: Study) -> list[str]:
    if "model.weights" in study.varied:
        return ["weights as searched"]
    if study.weights_of:
        return [f"weights {', '.join(sorted(study.weights_of.values()))}"]
    if study.model.weights is not None:
        return [f"weights {study.model.weights}"]
    record = BACKBONES.get(study.model.backbone)
    return [RANDOM] if record is None or record.takes_weights else []
