"""The plug-ins that a study uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wsml_study.data.reader_record import READERS
from wsml_study.methods.catalogue import METHODS
from wsml_study.registry import Registry
from wsml_study.study.backbone_record import BACKBONES
from wsml_study.study.early_stopping_record import EARLY_STOPPING
from wsml_study.study.metric_record import METRICS
from wsml_study.study.sampler_record import SAMPLERS
from wsml_study.study.spec import Study
from wsml_study.study.tracker_record import TRACKERS


def used_plugins(study: Study) -> dict[str, str]:
    """Distribution of each plug-in that a trial or the driver may need -> its version on this machine."""
    found = {}
    for registry, name in _names(study):
        distribution = registry.distribution(name) if name in registry else None
        if distribution is not None:
            found[distribution.name] = distribution.version
    return dict(sorted(found.items()))


def _names(study: Study) -> Iterator[tuple[Registry[Any], str]]:
    for registry, key, name in (
        (METHODS, "method.name", study.method.name),
        (BACKBONES, "model.backbone", study.model.backbone),
    ):
        yield registry, str(name)
        parameter = study.varied.get(key)
        yield from ((registry, str(value)) for value in (parameter.choice or () if parameter is not None else ()))
        yield from ((registry, str(level.set[key])) for level in study.fidelity or () if key in level.set)
    yield READERS, study.data.dataset
    yield SAMPLERS, study.sampler.name
    yield EARLY_STOPPING, study.early_stopping.name
    yield METRICS, study.objective.record.name
    yield from ((TRACKERS, name) for name in TRACKERS if getattr(study.tracking, name) not in (None, False))
