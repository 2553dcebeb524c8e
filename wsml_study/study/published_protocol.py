"""The protocol behind published numbers, and what of it a config changes.

Sources: Kim et al., "Large Loss Matters in Weakly Supervised Multi-Label Classification", CVPR 2022, and its code
snucml/LargeLossMatters; Kim et al., "Bridging the Gap between Model Explanations in Partially Annotated Multi-label
Classification" (BoostLU), CVPR 2023, and its code youngwk/BridgeGapExplanationPAMC.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

from wsml_study.study.data_section import KEPT, Observe, Validation
from wsml_study.study.early_stopping_section import EarlyStopping
from wsml_study.study.method_section import Method, Schedule
from wsml_study.study.objective_section import Objective
from wsml_study.study.spec import Draft, TrialConfig
from wsml_study.study.training_section import LINEAR_EPOCHS, RECIPE_KEYS
from wsml_study.study.writing import flow

FILES_OF_WEIGHTS = MappingProxyType(
    {"resnet50": "resnet50-0676ba61.pth", "resnet101": "resnet101-63fe2227.pth"}  # torchvision's names hold a checksum
)
"""Backbone -> file of its weights IMAGENET1K_V1."""

BOOSTLU_RATES = MappingProxyType({"LL-R": 0.005, "LL-Ct": 0.002, "LL-Cp": 0.001})


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Settings behind the numbers of one dataset; None where they are not published.

    Attributes:
        backbone: with the weights IMAGENET1K_V1 of torchvision.
        optimizer, learning_rate, momentum, weight_decay: as in the section `training`.
        stop_below_best: in points of mAP; None trains all epochs.
        rates_are_published: whether the growth of the rejection rate per epoch is.
        stores: variants of LL-Cp that store what the published code stores.
        further: other keys of the section `data` that decide which images are used.
    """

    backbone: str = "resnet50"
    optimizer: str | None = "adam"
    learning_rate: float | None = 1e-5
    momentum: float | None = None
    weight_decay: float | None = 0.0
    stop_below_best: float | None = 3.0
    rates_are_published: bool = True
    stores: tuple[str, ...] = ("as_published",)
    further: tuple[tuple[str, str], ...] = ()


PROTOCOLS = MappingProxyType(
    {
        "voc2012": Protocol(optimizer="sgd", learning_rate=5e-3, momentum=0.9, weight_decay=1e-3),
        "coco2014": Protocol(),
        "nuswide": Protocol(further=(("release", "recrawled"),)),
        "cub": Protocol(learning_rate=7.5e-5),
        # The paper says which network, and that the space of hyperparameters was another one, but not what was chosen.
        "openimages_v3": Protocol(
            backbone="resnet101",
            optimizer=None,
            learning_rate=None,
            weight_decay=None,
            rates_are_published=False,
            further=(("validation_subset", "official"),),
        ),
    }
)
"""Dataset -> the protocol of Kim et al., CVPR 2022."""


def protocol_of(config: TrialConfig | Draft) -> Protocol | None:
    """The protocol behind the published numbers of a config's dataset and head; None for other datasets."""
    protocol = PROTOCOLS.get(config.data.dataset.value)
    if protocol is None or config.model.head != "boostlu":
        return protocol
    # BoostLU's code trains every dataset alike, for all epochs, and its LL-Cp stores all that is selected.
    return replace(
        protocol,
        optimizer="adam",
        learning_rate=1e-5,
        momentum=None,
        weight_decay=0.0,
        stop_below_best=None,
        rates_are_published=True,
        stores=("code",),
    )


def differences_from_paper(config: TrialConfig | Draft) -> list[str]:
    """What a config changes of the protocol behind the published numbers of its dataset and head, a text per key.

    Seeds of training may differ, and what is not published is not compared. Of the variants of LL-R and LL-Ct, `code`
    and `as_published` count as the published one: they differ only in exact ties.

    >>> from wsml_study.study.reading import parse_study
    >>> study = {"name": "p", "data": {"dataset": "cub", "root": "CUB"}, "method": {"name": "AN"}}
    >>> study["model"] = {"backbone": "resnet50", "weights": "IMAGENET1K_V2"}
    >>> study["training"] = {"learning_rate": 7.5e-5, "stop_below_best": 3, "precision": "fp32"}
    >>> differences_from_paper(parse_study(study, source="p"))
    ['weights IMAGENET1K_V2 instead of IMAGENET1K_V1']

    Returns:
        Such texts; of a dataset without published numbers, one that says so.
    """
    protocol = protocol_of(config)
    if protocol is None:
        return [f"dataset {config.data.dataset.value}, which the paper has not"]
    pairs = (*_of_model(config, protocol), *_of_data(config, protocol), *_of_training(config, protocol))
    return [
        *(
            name if name in ("observed labels", "held out") else f"{name} {_text(ours)} instead of {_text(papers)}"
            for name, ours, papers in (*pairs, *_of_search(config))
            if ours != papers
        ),
        *_of_method(config.method, protocol, config),
    ]


_Pair = tuple[str, Any, Any]
"""What is compared, ours, the paper's."""


def _of_model(config: TrialConfig | Draft, protocol: Protocol) -> Iterator[_Pair]:
    model = config.model
    yield "backbone", model.backbone, protocol.backbone
    if model.weights is None or PurePath(model.weights).name != FILES_OF_WEIGHTS.get(model.backbone):
        yield "weights", model.weights, "IMAGENET1K_V1"
    if model.head == "boostlu" and config.method.name not in BOOSTLU_RATES:
        yield "head", "boostlu", "linear"


def _of_data(config: TrialConfig | Draft, protocol: Protocol) -> Iterator[_Pair]:
    data, further = config.data, dict(protocol.further)
    yield "image_size", data.image_size or 448, 448
    yield "interpolation", data.interpolation or "bilinear", "bilinear"
    yield "horizontal_flip", data.horizontal_flip is not False, True
    # `none` decodes the same pixels as `raw` keeps.
    yield "store", "jpeg" if data.store == "jpeg" else "raw", "raw"
    yield "observed labels", data.observe, KEPT if data.record.keeps_labels else Observe()
    official = "validation_subset" in further  # then nothing is drawn
    # Where nothing is hidden, the known labels are those of the dataset.
    labels = "known" if data.validation.by_truth else data.validation.labels
    yield "held out", labels if official else data.validation, "known" if official else Validation()
    for key, value in further.items():
        yield key, data.reader_options[key], value
    yield "train_share", data.train_share or 1, 1
    yield "train_on", data.train_on or "train", "train"


def _of_training(config: TrialConfig | Draft, protocol: Protocol) -> Iterator[_Pair]:
    training = config.training
    if training.mode == "linear":
        yield "mode", "linear", "end_to_end"
    if training.mode == "linear_init":
        yield "linear_epochs", training.num_linear_epochs, LINEAR_EPOCHS
        yield "hand_over", training.hand_over or "last", "best"  # a trial recorded without the key handed over the last
    yield "mirror_features", bool(training.mirror_features), False
    yield "epochs", training.epochs, 10
    yield "stop_after_epoch", training.stop_after_epoch, None
    yield "stop_below_best", training.stop_below_best, protocol.stop_below_best
    yield "batch_size", training.batch_size, 16
    if protocol.optimizer is not None:
        yield "optimizer", training.optimizer, protocol.optimizer
        yield "learning_rate", training.learning_rate, protocol.learning_rate
        yield "weight_decay", training.weight_decay, protocol.weight_decay
    if training.optimizer == "sgd" and protocol.momentum is not None:
        yield "momentum", 0.9 if training.momentum is None else training.momentum, protocol.momentum
    for key in RECIPE_KEYS:
        yield key, getattr(training, key), None
    yield "head_learning_rate_multiplier", training.head_learning_rate_multiplier, 10
    yield "precision", training.precision, "fp32"


def _of_search(config: TrialConfig | Draft) -> Iterator[_Pair]:
    yield "objective", config.objective.metric.value, Objective().metric.value
    yield "min_positives", config.objective.options.get("min_positives"), Objective().options.get("min_positives")
    yield (
        "classes",
        config.objective.model_dump().get("classes") or "all",
        "all",
    )  # absent in trials of earlier versions
    if isinstance(config, Draft):
        yield "early_stopping", config.early_stopping.name.value, EarlyStopping().name.value


def _of_method(method: Method, protocol: Protocol, config: TrialConfig | Draft) -> Iterator[str]:
    dataset = config.data.dataset.value
    for option in method.record.options:
        ours, papers = method.given_options[option.key], option.default_for(dataset)
        if option.key != "variant" and ours is not None and ours != papers:
            yield f"{option.key} {_text(ours)} instead of {_text(papers) if papers is not None else option.computed}"
    if method.schedule is not None:
        yield from _of_variant(method, protocol)
        yield from _of_schedule(method, method.schedule, protocol, config)


def _of_variant(method: Method, protocol: Protocol) -> Iterator[str]:
    variant = method.given_options["variant"] or "code"
    if method.name == "LL-Cp" and variant not in protocol.stores:
        yield f"variant {variant} instead of {' or '.join(protocol.stores)}, whose store LL-Cp's numbers come from"
    elif variant not in ("code", "as_published"):
        yield f"variant {variant} instead of code"


def _of_schedule(method: Method, schedule: Schedule, protocol: Protocol, config: TrialConfig | Draft) -> Iterator[str]:
    if schedule.shape != "linear":
        yield f"schedule {schedule.shape.value} instead of linear"
    if schedule.warmup_epochs != 1:
        yield f"warmup_epochs {schedule.warmup_epochs} instead of 1"
    by_dataset = method.record.rate_by_dataset.get(config.data.dataset.value)
    rate = BOOSTLU_RATES.get(method.name) if config.model.head == "boostlu" else by_dataset
    known = protocol.rates_are_published and rate is not None and schedule.rate_per_epoch is not None
    if known and schedule.rate_per_epoch != rate:
        yield f"rate_per_epoch {_text(schedule.rate_per_epoch)} instead of {_text(rate)}"


def _text(value: Any) -> str:
    return "none" if value is None else flow(value)
