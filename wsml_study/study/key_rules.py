"""Rules for keys that are allowed only with certain values of another key.

Each section of the study file validates its own keys. Dependencies between keys (a schedule only for methods that take
one) stand in a table, `KEY_RULES`, and not in pydantic validators, because a base config may hold keys that only some
of the searched trials use. The rules of options are derived from the records of methods, readers, samplers and others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from wsml_study.data.reader_record import READERS, Reads, readers_of
from wsml_study.methods.catalogue import METHODS, methods_with_schedule, methods_with_scores
from wsml_study.options import WithOptions, limits_by_key, takers
from wsml_study.study.backbone_record import BACKBONES
from wsml_study.study.early_stopping_record import EARLY_STOPPING
from wsml_study.study.method_section import SCHEDULE_PARAMETERS
from wsml_study.study.metric_record import METRICS
from wsml_study.study.objective_section import BEST, LAST
from wsml_study.study.sampler_record import SAMPLERS


@dataclass(frozen=True, kw_only=True)
class KeyRule:
    """A key that is allowed only with certain values of another key, the controlling key.

    Attributes:
        key: dotted path.
        controlling_key: dotted path of the other key.
        called: the name of the controlling key in messages.
        allowed_values: values of the controlling key with which the key is allowed.
        needed: with those values the key is required,
        optional_with: but for these.
        by_default: the value that an absent controlling key stands for; None if it is never absent.
    """

    key: str
    controlling_key: str
    called: str
    allowed_values: tuple[str, ...]
    needed: bool
    optional_with: tuple[str, ...] = ()
    by_default: str | None = None

    @cached_property
    def section(self) -> str:
        """Dotted path of what the key is in; empty at the top."""
        return self.key.rpartition(".")[0]


def _schedule_rules() -> Iterator[KeyRule]:
    for key in sorted({key for keys in SCHEDULE_PARAMETERS.values() for key in keys}):
        yield KeyRule(
            key=f"method.schedule.{key}",
            controlling_key="method.schedule.shape",
            called="shape",
            allowed_values=tuple(shape.value for shape, keys in SCHEDULE_PARAMETERS.items() if key in keys),
            needed=True,
        )


def _dataset_rules() -> Iterator[KeyRule]:
    tables = (
        "image_column",
        "split_column",
        "positives_column",
        "negatives_column",
        "unlisted",
        "group_column",
        "test_list",
        "absent",
        "uncertain",
    )
    holding_images = tuple(name for name, record in READERS.items() if record.holds_images)
    images = readers_of(Reads.NOTHING, Reads.FOLDER, Reads.LABEL_FILES)
    for key, allowed, needed in (
        ("root", readers_of(Reads.FOLDER, Reads.LABEL_FILES, Reads.FEATURE_FILES), True),
        ("labels", readers_of(Reads.LABEL_FILES), True),
        *((f"labels.{name}", ("table",), False) for name in tables),
        ("labels.classes", ("table", "list", "voc_xml"), False),
        ("labels.encoding", ("table", "list"), False),
        ("features", readers_of(Reads.FEATURE_FILES), True),
        ("feature_scaling", readers_of(Reads.FEATURE_FILES), False),
        *((name, images, False) for name in ("image_size", "horizontal_flip", "store", "pixel_range", "interpolation")),
    ):
        yield KeyRule(
            key=f"data.{key}",
            controlling_key="data.dataset",
            called="dataset",
            allowed_values=allowed,
            needed=needed,
            optional_with=holding_images if key == "root" else (),
        )


def _end_to_end_rules() -> Iterator[KeyRule]:
    """What only a network that is trained end to end takes."""
    images = readers_of(Reads.NOTHING, Reads.FOLDER, Reads.LABEL_FILES)
    for key in ("model.freeze", "model.lora", "training.layer_decay", "training.mixup", "training.compile"):
        yield KeyRule(key=key, controlling_key="data.dataset", called="dataset", allowed_values=images, needed=False)
        yield KeyRule(
            key=key,
            controlling_key="training.mode",
            called="mode",
            allowed_values=("end_to_end", "linear_init"),
            needed=False,
            by_default="end_to_end",
        )


def _mode_rules() -> Iterator[KeyRule]:
    for key, modes in (
        ("linear_epochs", ("linear_init",)),
        ("linear_learning_rate", ("linear_init",)),
        ("hand_over", ("linear_init",)),
        ("mirror_features", ("linear", "linear_init")),
        ("random_crop", ("end_to_end", "linear_init")),
        ("cutout", ("end_to_end", "linear_init")),
        ("rand_augment", ("end_to_end", "linear_init")),
        ("rand_augment_magnitude", ("end_to_end", "linear_init")),
    ):
        yield KeyRule(
            key=f"training.{key}",
            controlling_key="training.mode",
            called="mode",
            allowed_values=modes,
            needed=False,
            by_default="end_to_end",
        )


def _mixing_rules() -> Iterator[KeyRule]:
    for key, kind in (("mixup_alpha", "mixup"), ("mixup_share", "logicmix"), ("mixup_images", "logicmix")):
        yield KeyRule(
            key=f"training.{key}",
            controlling_key="training.mixup",
            called="mixup",
            allowed_values=(kind,),
            needed=False,
            by_default="none",
        )


def _rate_rules() -> Iterator[KeyRule]:
    for key, schedules, needed in (
        ("learning_rate_warmup", ("constant", "cosine", "step"), False),
        ("learning_rate_final", ("cosine",), False),
        ("one_cycle_peak", ("one_cycle",), False),
        ("epochs_per_decay", ("step",), True),
        ("decay_factor", ("step",), False),
    ):
        yield KeyRule(
            key=f"training.{key}",
            controlling_key="training.learning_rate_schedule",
            called="learning_rate_schedule",
            allowed_values=schedules,
            needed=needed,
            by_default="constant",
        )


def _option_rules(
    section: str, registry: Mapping[str, WithOptions], *, called: str, key: str = "name"
) -> Iterator[KeyRule]:
    """One rule per option: it is allowed with the records that take it."""
    records = list(registry.values())
    for option in limits_by_key(records):
        yield KeyRule(
            key=f"{section}.{option}",
            controlling_key=f"{section}.{key}",
            called=called,
            allowed_values=takers(option, records),
            needed=False,
        )


def _sampler_rules() -> Iterator[KeyRule]:
    for key, needed in (("options", False), ("digest", False), ("folder", True), ("class", True)):
        yield KeyRule(
            key=f"sampler.{key}",
            controlling_key="sampler.name",
            called="sampler",
            allowed_values=tuple(name for name, record in SAMPLERS.items() if record.takes_arguments),
            needed=needed,
        )


KEY_RULES = (
    *_dataset_rules(),
    *_option_rules("data", READERS, called="dataset", key="dataset"),
    *_option_rules("model", BACKBONES, called="backbone", key="backbone"),
    KeyRule(
        key="method.schedule",
        controlling_key="method.name",
        called="method",
        allowed_values=methods_with_schedule(),
        needed=True,
    ),
    KeyRule(
        key="data.pseudo_labels",
        controlling_key="method.name",
        called="method",
        allowed_values=methods_with_scores(),
        needed=True,
    ),
    *_option_rules("method", METHODS, called="method"),
    *_schedule_rules(),
    KeyRule(
        key="training.momentum",
        controlling_key="training.optimizer",
        called="optimizer",
        allowed_values=("sgd",),
        needed=False,
    ),
    *_mode_rules(),
    *_end_to_end_rules(),
    *_rate_rules(),
    *_mixing_rules(),
    *(
        KeyRule(
            key=f"objective.{option}",
            controlling_key="objective.metric",
            called="metric",
            allowed_values=tuple(
                f"{prefix}{name}" for name in takers(option, METRICS.values()) for prefix in (BEST, LAST)
            ),
            needed=False,
        )
        for option in limits_by_key(METRICS.values())
    ),
    *_option_rules("sampler", SAMPLERS, called="sampler"),
    *_sampler_rules(),
    *_option_rules("early_stopping", EARLY_STOPPING, called="early stopping"),
)
"""Ordered: a section comes before the keys inside it."""


@dataclass(frozen=True, kw_only=True)
class BrokenRule:
    """A key that is present although it is not allowed, or missing although it is required.

    Attributes:
        rule: the rule that is broken.
        decision: value of the controlling key.
        missing: whether the key is missing; else it is present and not allowed.
    """

    rule: KeyRule
    decision: str
    missing: bool

    @property
    def message(self) -> str:
        """The message without the key's path."""
        name = self.rule.key.rpartition(".")[2]
        if not self.rule.controlling_key.startswith(self.rule.section):
            name = self.rule.key  # it is elsewhere than what decides on it
        if self.missing:
            return f"{self.rule.called} {self.decision} needs `{name}`"
        return f"{self.rule.called} {self.decision} takes no `{name}` (only {', '.join(self.rule.allowed_values)})"


def broken_rules(content: Mapping[str, Any]) -> list[BrokenRule]:
    """Rules that plain content breaks; it must include defaults, and None counts as absent."""
    broken, values = [], _Values(content)
    for rule in KEY_RULES:
        decision = values[rule.controlling_key] or rule.by_default
        if decision is None or values[rule.section] is None:
            continue
        present = values[rule.key] is not None
        takes = decision in rule.allowed_values
        if present != takes and (present or (rule.needed and decision not in rule.optional_with)):
            broken.append(BrokenRule(rule=rule, decision=decision, missing=not present))
    return broken


class _Values(dict[str, Any]):
    """Dotted key -> what `value_at` finds in a content: few keys decide on all others, so each is looked for once."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        super().__init__()
        self._content = content

    def __missing__(self, key: str) -> Any:
        self[key] = value_at(self._content, key)
        return self[key]


def value_at(content: Mapping[str, Any], key: str) -> Any:
    """The value under a dotted key of nested mappings, or None.

    >>> value_at({"method": {"name": "AN"}}, "method.name")
    'AN'
    """
    value: Any = content
    for name in _names(key):
        # `dict` first, for which the question is cheap: large studies ask it millions of times.
        value = value.get(name) if isinstance(value, (dict, Mapping)) else None
    return value


@cache
def _names(key: str) -> tuple[str, ...]:
    return tuple(key.split("."))
