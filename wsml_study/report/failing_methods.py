"""Methods of a study that cannot be trained on its labels, or for lack of an option; known before any trial runs."""

from __future__ import annotations

from collections.abc import Iterator

from wsml_study.methods.catalogue import describe, missing_options
from wsml_study.report.distrusted_labels import extreme_values
from wsml_study.study.clashes import PROBE_MODES
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study, TrialConfig
from wsml_study.study.viewed_images import why_no_views


def failing_methods(study: Study, *, num_negatives: int, mirrors: bool) -> tuple[str, ...]:
    """Why methods that a trial may get cannot be trained: a sentence each, with the remedy.

    Args:
        study: whose search names the methods.
        num_negatives: observed negatives among the training labels.
        mirrors: whether the dataset's training images are mirrored by default.
    """
    return tuple(dict.fromkeys(_reasons(study, num_negatives=num_negatives, mirrors=mirrors)))


def _reasons(study: Study, *, num_negatives: int, mirrors: bool) -> Iterator[str]:
    space = SearchSpace.from_study(study)
    labels_vary = any(key.startswith("data.") for key in study.factors or {})
    for values in extreme_values(study):
        config = space.resolve(study, values)
        name, dataset = config.method.name.value, config.data.dataset.value
        given = config.method.model_dump(exclude={"name", "schedule"})
        if missing := missing_options(name, dataset=dataset, given=given):
            yield f"{name} has no default of {', '.join(missing)} for {dataset}; set method.{missing[0]}"
        if describe(name).needs_observed_negatives and num_negatives == 0 and not labels_vary:
            yield f"{name} needs observed negatives, and none is observed; set data.observe.negatives to 1 or more"
        if describe(name).takes_views and (reason := why_no_views(config)) is not None:
            yield f"{name} {reason}"
        if (reason := _why_no_rows(config, num_negatives=num_negatives)) is not None:
            yield f"training.class_wise_epochs {reason}"
        remedy = _why_not_mirrored(config, mirrors=mirrors)
        if config.method.given_options.get("pseudo_label_mirroring") and remedy is not None:
            yield f"{name} with pseudo_label_mirroring needs mirrored training images, and there are none; {remedy}"


def _why_no_rows(config: TrialConfig, *, num_negatives: int) -> str | None:
    """Why category-wise fine-tuning can change nothing, with the remedy; None if it can."""
    training = config.training
    if training.class_wise_epochs is None:
        return None
    if config.model.head == "boostlu":
        return "fits rows of a linear head, and boostlu boosts a feature map before it; set model.head: linear"
    if num_negatives == 0 and training.class_wise_unobserved != "negative":
        return "leaves unobserved labels out, and no negative is observed; set class_wise_unobserved: negative"
    return None


def _why_not_mirrored(config: TrialConfig, *, mirrors: bool) -> str | None:
    """What to do so that training images are mirrored in every phase; None where they are."""
    if config.data.features is not None:
        return "given features have none; leave the option out"
    if config.training.mode in PROBE_MODES and not config.training.mirror_features:
        return "set training.mirror_features: true"
    flips = mirrors if config.data.horizontal_flip is None else config.data.horizontal_flip
    return None if flips or config.training.mode == "linear" else "set data.horizontal_flip: true"
