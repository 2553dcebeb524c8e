"""The model card: the README.md in a model's folder, rendered from model_card.md.jinja."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

from wsml_study.data.reader_record import Reads
from wsml_study.methods.catalogue import describe
from wsml_study.report.observation_text import observation, train_share
from wsml_study.results.label_texts import labels_text, likelier_text
from wsml_study.study.backbone_library import library_of
from wsml_study.study.method_section import Method
from wsml_study.study.objective_section import Objective
from wsml_study.study.provenance_section import Provenance
from wsml_study.study.spec import Study
from wsml_study.study.training_section import Training
from wsml_study.study.writing import flow

LIBRARIES = ("wsml-study", "torch", "torchvision")
METRIC_NAMES = {
    "ranking_loss": "ranking loss (fraction, lower is better)",
    "coverage": "coverage (labels, lower is better)",
    "one_error": "one-error (fraction, lower is better)",
    **{f"precision_at_{k}": f"precision at {k} (fraction)" for k in (1, 3, 5)},
    **{f"recall_at_{k}": f"recall at {k} (fraction)" for k in (1, 3, 5)},
    "overall_f1": "OF1 at p > 0.5 (fraction)",
    "class_f1": "CF1 at p > 0.5 (fraction)",
}


MODES = {
    "end_to_end": "end to end: backbone and head were trained",
    "linear": "linear probe: only the head was trained, on features of the frozen backbone",
    "linear_init": "a linear probe first (only the head was trained), then everything end to end from its {head} head",
}


def model_card(folder: Path, study: Study, metrics: Mapping[str, Any]) -> str:
    """The card of one model.

    Args:
        folder: of the model.
        study: what trained it: one config, and where that comes from.
        metrics: what `TestResult` says, as plain data.
    """
    # Imported when a card is written: Tune actors import this module, and none of them writes a card.
    import jinja2

    environment = jinja2.Environment(  # no autoescape: this is Markdown
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["cell"] = _cell
    template = environment.from_string((resources.files(__package__) / "model_card.md.jinja").read_text())
    num_features = metrics["preprocessing"].get("features")
    return template.render(
        study=study,
        num_classes=len(metrics["classes"]),
        observed=_observed(study),
        facts=_facts(study, metrics),
        metric_rows=_metric_rows(metrics),
        class_rows=[(name, _percent(ap)) for name, ap in zip(metrics["classes"], metrics["test_ap_C"], strict=True)],
        limits=_limits(study, metrics),
        num_features=num_features,
        model=f"{folder.parent.name}/{folder.name}",
    )


def _observed(study: Study) -> str:
    if describe(study.method.name.value).learns_from_truth:
        return "none was hidden from it"
    observe = study.data.observe
    if (observe.positives, observe.negatives, observe.share, observe.share_per_class) == ("all", "all", None, None):
        return "it saw every one that its data has"
    return "most were hidden from it" if observe.share is None else f"{1 - observe.share:.1%} were hidden from it"


def _facts(study: Study, metrics: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    model, data, training = study.model, study.data, study.training
    yield "network", f"{model.backbone}, {_weights(model.weights)}, head {model.head or 'linear'}"
    yield _input(metrics["preprocessing"])
    yield "data", f"{data.dataset.value}: {_split_sizes(metrics['num_images'])}"
    if data.train_share is not None:
        yield "share", train_share(data)
    yield "labels", observation(data.observe)
    yield "method", f"{study.method.name.value}: {describe(study.method.name.value).title}"
    if keys := _method_keys(study.method):
        yield "its settings", keys
    if training.mode is not None:
        yield "mode", MODES[training.mode].format(head=(training.hand_over or "last") if data.holds_out else "last")
    yield "training", _training(training, metrics["best_epoch"], holds_out=data.holds_out)
    if study.provenance is not None:
        yield "config from", _provenance(study.provenance, study.objective)
    used = library_of(model.backbone)
    libraries = LIBRARIES if used is None else (*LIBRARIES, used.distribution)
    yield "versions", ", ".join(f"{library} {version(library)}" for library in libraries)


def _input(taken: Mapping[str, Any]) -> tuple[str, str]:
    if "features" in taken:
        return "features", f"{taken['features']:,}, given in place of images"
    resized = taken.get("interpolation", "bilinear")
    size, color = taken["image_size"], "gray" if taken["channels"] == 1 else "RGB"
    return "images", f"{color}, resized to {size} x {size} pixels, {resized} with antialiasing, not keeping the aspect"


def _weights(weights: str | None) -> str:
    return "from random weights" if weights is None else f"from the weights {Path(weights).name}"


def _split_sizes(images: Mapping[str, int]) -> str:
    held_out = (
        f"{images['validation']:,} to choose the epoch by" if images["validation"] else "none held out for validation"
    )
    return f"{images['train']:,} images to train on, {held_out}, {images['test']:,} to test on"


def _method_keys(method: Method) -> str:
    given = method.model_dump(mode="json", exclude={"name", "schedule"}, exclude_none=True)
    if method.schedule is not None:
        schedule = method.schedule.model_dump(mode="json", exclude_none=True)
        given = {"rejection rate": schedule.pop("shape")} | schedule | given
    return ", ".join(f"{key} {flow(value)}" for key, value in given.items())


def _training(training: Training, kept_epoch: int, *, holds_out: bool) -> str:
    why = "the best on the validation images" if holds_out else "the last one, since no image was held out"
    return (
        f"weights of epoch {kept_epoch} of {training.total_epochs}, {why}; batches of {training.batch_size}, "
        f"{training.optimizer} at {flow(training.learning_rate)} (the head {training.head_learning_rate_multiplier:g} "
        f"times as much), seed {training.seed}{_recipe(training)}"
    )


def _recipe(training: Training) -> str:
    further = {key: value for key, value in training.recipe.items() if key != "optimizer"}
    return "".join(f", {key} {flow(value)}" for key, value in further.items())


def _provenance(provenance: Provenance, objective: Objective) -> str:
    return (
        f"trial {provenance.trial} of study {provenance.study} ({objective.text(provenance.value)} {objective.metric} "
        f"in the search{_answered(provenance)}, fingerprint {provenance.fingerprint})"
    )


def _answered(provenance: Provenance) -> str:
    if provenance.answered_map is None:
        return ""
    answers = f"{provenance.answers:,} answers of people" if provenance.answers else "the scores of all its trials"
    return f", {provenance.answered_map:.2f} % mAP as estimated with {answers}"


def _metric_rows(metrics: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    yield f"mAP (percent{_over_classes(metrics)})", _percent(metrics["best_val_map"]), _percent(metrics["test_map"])
    for name, words in METRIC_NAMES.items():
        value = metrics["test_metrics"].get(name)
        yield words, "-", "-" if value is None else f"{value:.4f}"


def _over_classes(metrics: Mapping[str, Any]) -> str:
    """How many classes each mAP is the mean of, where these are not all."""
    total = len(metrics["test_ap_C"])
    counted = {
        "validation": metrics.get("num_val_classes") if metrics["best_val_map"] is not None else None,
        "test": sum(ap is not None for ap in metrics["test_ap_C"]),
    }
    texts = [
        f"{number:,} of {total:,} classes in {split}"
        for split, number in counted.items()
        if number not in (None, total)
    ]
    return f"; mean over {', '.join(texts)}" if texts else ""


def _partial_labels(study: Study, metrics: Mapping[str, Any]) -> Iterator[str]:
    """On how many labels the figures are judged, where these are partial, and the likely error."""
    assumed, texts = study.data.validation.labels == "observed", []
    for split, (known, total) in (metrics.get("num_labels") or {}).items():
        if text := labels_text(known, total, assumed=assumed and split == "validation"):
            texts.append(f"{text} in {split}")
    if texts:
        yield f"Judged on {'; '.join(texts)}."
    warning = likelier_text(metrics.get("positives_likelier"))
    if warning:
        yield f"{warning[0].upper()}{warning[1:]}."


def _limits(study: Study, metrics: Mapping[str, Any]) -> Iterator[str]:
    yield from _partial_labels(study, metrics)
    yield (
        "Its probabilities are not calibrated: training with unobserved labels moves them. Rank images by them, or "
        "decide by thresholds: `wsml-study thresholds` chooses them, and calibrates the probabilities, by known labels."
    )
    yield f"Measured only on the test images of {study.data.dataset.value}; other photos may give other results."
    yield "Trained with one seed; `wsml-study train --seeds` shows how much results vary between seeds."
    without = [name for name, ap in zip(metrics["classes"], metrics["test_ap_C"], strict=True) if not ap]
    if without:
        shown = ", ".join(without[:10]) + (", ..." if len(without) > 10 else "")
        least = study.objective.least_positives
        why = f"fewer than {least} test images show" if least > 1 else "no test image shows or annotates"
        num_zeros = metrics["test_ap_C"].count(0.0)
        zeros = f"; {num_zeros:,} of these count 0 in mAP" if num_zeros else ""
        number = f"{len(without):,} {'class' if len(without) == 1 else 'classes'}"
        yield f"Not measured on {number}, which {why}: {shown}{zeros}."
    if study.data.record.reads is not Reads.NOTHING:
        yield "The licences of the photos that it was trained on still apply."


def _cell(text: str) -> str:
    """Text for a cell of a Markdown table, which a | would end."""
    return text.replace("|", "\\|")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
