"""Our own backbones."""

from __future__ import annotations

from wsml_study.study.backbone_record import BackboneRecord

RECORDS = (
    BackboneRecord(
        name="small_cnn",
        position=10,
        title="a small convolutional network for small images, at random weights",
        build="wsml_study.training.backbones:small_cnn",
        any_size=True,
    ),
    BackboneRecord(
        name="linear",
        position=20,
        title="no network: a linear layer on given features (`data.dataset: features`)",
        build="wsml_study.training.backbones:linear",
        any_size=True,
    ),
)
