"""The methods by name, and what derives from their records; standard library only.

`study` takes names, options and their limits from here, `creation` creates a method, and `wsml-study methods` explains
it. The record of a method is in a module `*_entry.py` beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from wsml_study.errors import MethodError
from wsml_study.methods.method_record import MethodRecord
from wsml_study.options import Value
from wsml_study.registry import Registry

METHODS: Registry[MethodRecord] = Registry(
    "method", MethodRecord, group="wsml_study.methods", package="wsml_study.methods", suffix="_entry"
)
"""All methods by name, in display order."""

DATASETS = MappingProxyType(
    {"voc2012": "VOC 2012", "coco2014": "COCO 2014", "nuswide": "NUS-WIDE", "cub": "CUB", "openimages_v3": "OpenImages"}
)
"""Datasets for which papers give numbers -> their names in tables."""


@dataclass(frozen=True, kw_only=True)
class HeadDescription:
    """One way from feature maps to logits, which goes with any method: `model.head`."""

    name: str
    title: str
    formula: str
    source: str


def describe(name: str) -> MethodRecord:
    """The record of a method.

    Raises:
        MethodError: there is no such method.
    """
    if name not in METHODS:
        raise MethodError(f"expected a method among {', '.join(METHODS)}, got {name!r}")
    return METHODS[name]


def methods_with_schedule() -> tuple[str, ...]:
    """Names of the methods that take a schedule of the rejection rate."""
    return tuple(name for name, record in METHODS.items() if record.takes_schedule)


def methods_with_scores() -> tuple[str, ...]:
    """Names of the methods that take given scores of the training images."""
    return tuple(name for name, record in METHODS.items() if record.takes_scores)


def missing_options(name: str, *, dataset: str | None, given: Mapping[str, Value | None]) -> list[str]:
    """Keys of a method that are not given and have no default for this dataset."""
    return [
        one.key
        for one in describe(name).options
        if given.get(one.key) is None and not one.computed and one.default_for(dataset) is None
    ]


def resolved_options(name: str, *, dataset: str | None, given: Mapping[str, Value | None]) -> dict[str, Value | None]:
    """Every option of a method: what is given, and the defaults for the dataset where nothing is.

    >>> resolved_options("EM", dataset="cub", given={})
    {'entropy_weight': 0.01}

    Args:
        name: the method.
        dataset: as in a study file; None, or one without published values, takes the general defaults.
        given: keys and values; None counts as not given.

    Returns:
        Every key that the method takes; None for a default that is computed.

    Raises:
        ValueError: an unknown method, a key that it does not take, a value out of limits, or one that is missing.
    """
    record = describe(name)
    given = {key: value for key, value in given.items() if value is not None}
    for key, value in given.items():
        option = record.option(key)
        if option is None:
            known = ", ".join(one.key for one in record.options) or "no options"
            raise ValueError(f"method {name} takes {known}; got {key}")
        if not option.limits.allow(value):
            raise ValueError(f"{key}: expected {option.limits}, got {value}")
    if missing := missing_options(name, dataset=dataset, given=given):
        place = f"dataset {dataset}" if dataset else "no dataset"
        raise ValueError(f"method {name} needs {', '.join(missing)}, which has no default for {place}")
    return {one.key: given.get(one.key, one.default_for(dataset)) for one in record.options}


HEADS: Mapping[str, HeadDescription] = MappingProxyType(
    {
        "linear": HeadDescription(
            name="linear",
            title="pool the feature map, then one linear layer",
            formula="logit_c = w_c . mean_xy(f) + b_c (small_cnn takes the maximum over the map)",
            source="the backbone's own",
        ),
        "boostlu": HeadDescription(
            name="boostlu",
            title="boost positive class activations before they are averaged; goes with any method",
            formula="logit_c = mean_xy(max(a, 5 a)), a = w_c . f_xy + b_c;\n"
            "published with LL-R, LL-Ct, LL-Cp at rates 0.005, 0.002, 0.001 per epoch",
            source='Kim, Kim, Jeong, Schmid, Akata, Lee, "Bridging the Gap between Model Explanations in Partially '
            'Annotated Multi-label Classification", CVPR 2023; youngwk/BridgeGapExplanationPAMC',
        ),
    }
)
"""Heads by name, `model.head`."""
