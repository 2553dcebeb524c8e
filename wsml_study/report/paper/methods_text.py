"""A paper's paragraph on the methods of a study: every setting that decides its numbers, in sentences.

The text has marks that `citations.py` makes citations of; nothing in it is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wsml_study.data.reader_record import Reads
from wsml_study.errors import DataError
from wsml_study.methods.catalogue import DATASETS, METHODS, resolved_options
from wsml_study.report.paper.citations import KIM, OF_DATASET, OF_METHOD, OF_SETTING, cite, cite_backbone
from wsml_study.report.study_dataset import dataset_of
from wsml_study.results.confirmation import Confirmation
from wsml_study.results.statistics import CONFIDENCE, RESAMPLES
from wsml_study.results.study_results import StudyRecord
from wsml_study.study.confirm_section import AUTO
from wsml_study.study.data_section import Data, Observe
from wsml_study.study.search_section import FloatRange, IntRange, Parameter
from wsml_study.study.spec import Study, TrialConfig
from wsml_study.study.training_section import Training
from wsml_study.study.writing import flow

MODES = {
    "end_to_end": "Backbone and head are trained end to end",
    "linear": "Only the head is trained, on features of the frozen backbone",
    "linear_init": "The head is trained on features of the frozen backbone first, then backbone and head end to end",
}
PRECISION = {"auto": "bfloat16 on GPUs and float32 on CPUs", "fp32": "float32", "bf16": "bfloat16"}
OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}

NAMED = {
    "data": {"dataset", "root", "image_size", "horizontal_flip", "feature_scaling", "observe", "validation"}
    | {"train_share", "train_on"},
    "model": {"backbone", "weights", "head"},
    "training": {"mode", "epochs", "linear_epochs", "linear_learning_rate", "batch_size", "optimizer", "learning_rate"}
    | {"head_learning_rate_multiplier", "momentum", "weight_decay", "precision", "seed", "stop_below_best"},
}
"""Section -> its keys that sentences name; `data.root` is a place and decides nothing. All others follow by name."""


def methods_text(record: StudyRecord) -> str:
    """The paragraph of a study."""
    study = record.study
    parts = [
        *_data(record),
        *_model(study),
        *_training(study),
        *_further(study),
        *_methods(record),
        *_search(study),
        *_selection(study),
        *_confirmation(record),
        *_environment(record),
    ]
    return " ".join(parts)


def _data(record: StudyRecord) -> Iterator[str]:
    data, study = record.study.data, record.study
    name = DATASETS.get(data.dataset.value, data.dataset.value)
    yield (
        f"Study {study.name} is on {name}{cite(OF_DATASET.get(data.dataset.value))}, with "
        f"{len(record.history.classes)} classes."
    )
    searched = _open(study, "data.image_size")
    yield _inputs(data) if searched is None else f"Images are resized to {searched} pixels squared."
    yield f"{_observed(data.observe)}{_factor(study, 'data.observe')}."
    if data.train_share is not None:
        yield f"Training uses {100 * data.train_share:.4g} % of the images that are not held out."
    if data.holds_out:
        labels = {
            "clean": "their true labels",
            "known": "their known labels",
            "observed": "their observed labels",
            "estimated": "estimates of their unobserved labels by all trials",
        }
        yield (
            f"{100 * data.validation.fraction:.4g} % of the training images (seed {data.validation.seed}) are held out "
            f"for validation, on {labels[data.validation.labels]}."
        )
    else:
        yield "No image is held out."


def _inputs(data: Data) -> str:
    """Size of the images, and whether they are mirrored, also where the dataset's reader decides."""
    if data.record.reads is Reads.FEATURE_FILES:
        return f"The inputs are given features (scaling: {data.feature_scaling or 'standardize'})."
    size, flips = data.image_size, data.horizontal_flip
    if size is None or flips is None:
        try:
            dataset = dataset_of(data)
        except DataError:
            unset = "data.image_size and data.horizontal_flip are those of the dataset's reader where they are not set"
            return f"{_resized(size)}{unset}; the data are not here, so that they cannot be named."
        size = size or dataset.image_size
        flips = dataset.horizontal_flip if flips is None else flips
    return f"{_resized(size)}{'half of the training images are mirrored' if flips else 'no image is mirrored'}."


def _resized(size: int | None) -> str:
    return "" if size is None else f"Images are resized to {size} x {size} pixels; "


def _observed(observe: Observe) -> str:
    drawn = f"drawn at random (seed {observe.seed})"
    if observe.share is not None:
        return f"{100 * observe.share:.4g} % of the training labels are observed, {drawn}"
    if observe.share_per_class is not None:
        return f"{100 * observe.share_per_class:.4g} % of the training labels of each class are observed, {drawn}"
    if not observe.hides_labels:
        return "All training labels that there are are observed"
    bias = "" if observe.bias is None else f", with weights of class frequency to the power of {observe.bias:g}"
    return (
        f"Of each training image {observe.positives} positive and {observe.negatives} negative labels are observed, "
        f"{drawn}{bias}"
    )


def _model(study: Study) -> Iterator[str]:
    model = study.model
    weights = "random initial weights" if model.weights is None else f"the weights {Path(model.weights).name}"
    if model.weights is not None and "IMAGENET" in model.weights.upper():
        weights += cite("russakovsky2015imagenet")
    backbone = _open(study, "model.backbone") or f"{model.backbone}{cite_backbone(model.backbone)}"
    head = _open(study, "model.head") or (model.head or "linear")
    yield f"The classifier is {backbone} with {weights} and the head {head}{cite(OF_SETTING.get(str(model.head)))}."
    if options := {key: value for key, value in model.options.items() if value is not None}:
        yield f"Options of the backbone: {_listed(options)}."


def _training(study: Study) -> Iterator[str]:
    training = study.training
    mode = _open(study, "training.mode")
    yield f"The mode of training is {mode}." if mode else f"{MODES[training.mode or 'end_to_end']}."
    epochs = _value(study, "training.epochs", training.epochs)
    probe = f" after {training.num_linear_epochs} of the linear probe" if training.num_linear_epochs else ""
    rate = _value(study, "training.learning_rate", training.learning_rate)
    multiplier = _value(study, "training.head_learning_rate_multiplier", training.head_learning_rate_multiplier)
    yield (
        f"Training takes {epochs} epochs{probe} with {_optimizer(study, training)}, batches of "
        f"{_value(study, 'training.batch_size', training.batch_size)} images, learning rate {rate} ({multiplier} times "
        f"that for the head), weight decay {_value(study, 'training.weight_decay', training.weight_decay)}, in "
        f"{PRECISION[training.precision]}."
    )
    if training.linear_learning_rate is not None:
        yield f"The linear probe has learning rate {_text(training.linear_learning_rate)}."
    if training.stop_below_best is not None:
        yield f"A trial ends once its objective is {training.stop_below_best:g} below its best."
    yield f"The seed of training is {_value(study, 'training.seed', training.seed)}."


def _further(study: Study) -> Iterator[str]:
    """The keys of data, model and training that no other sentence names, with their values."""
    content = study.model_dump(mode="json", exclude_none=True, include=set(NAMED))
    found: dict[str, Any] = {}
    for section, keys in NAMED.items():
        for key in content[section].keys() - keys - study.model.options.keys():
            found[f"{section}.{key}"] = content[section][key]
    if found:
        yield f"Further keys: {_listed(dict(sorted(found.items())))}."


def _optimizer(study: Study, training: Training) -> str:
    searched = _open(study, "training.optimizer")
    if searched is not None:
        return searched
    momentum = f" (momentum {0.9 if training.momentum is None else training.momentum:g})"
    return f"{OPTIMIZERS[training.optimizer]}{cite(OF_SETTING.get(training.optimizer))}" + (
        momentum if training.optimizer == "sgd" else ""
    )


def _methods(record: StudyRecord) -> Iterator[str]:
    study = record.study
    ran = [name for name in METHODS if name in record.methods]
    yield f"Methods: {', '.join(f'{name}{cite(OF_METHOD.get(name))}' for name in ran)}."
    scheduled = [name for name in ran if METHODS[name].takes_schedule]
    if scheduled and study.method.schedule is not None:
        schedule = study.method.schedule.model_dump(mode="json", exclude_none=True)
        shown = ", ".join(f"{key} {_value(study, f'method.schedule.{key}', value)}" for key, value in schedule.items())
        variant = _value(study, "method.variant", study.method.given_options.get("variant") or "code")
        yield (
            f"The rejection rate of {', '.join(scheduled)}{cite(KIM)} follows the schedule {shown}; variant {variant}."
        )
    for name in ran:
        if options := _options(record, name):
            yield f"{name}: {', '.join(f'{key} {value}' for key, value in options.items())}."


def _options(record: StudyRecord, name: str) -> dict[str, str]:
    """A method's options as its trials have them, its variant aside, and what they are varied over."""
    trials = record.trials
    method = TrialConfig.model_validate_json(trials.loc[trials["method"] == name, "config"].iloc[0]).method
    dataset = record.study.data.dataset.value
    resolved = resolved_options(name, dataset=dataset, given=method.given_options)
    return {
        key: _value(record.study, f"method.{key}", value)
        for key, value in resolved.items()
        if value is not None and key != "variant"
    }


def _search(study: Study) -> Iterator[str]:
    if study.search:
        sampler = study.sampler.name.value
        count = "as many configs as the budget holds" if study.is_unbounded else f"{study.trials} configs"
        keys = "; ".join(f"{key} in {_domain(parameter)}" for key, parameter in study.search.items())
        yield (
            f"The search evaluates {count} proposed by {sampler}{cite(OF_SETTING.get(sampler))} (seed "
            f"{study.sampler.seed}) of Optuna{cite('akiba2019optuna')}: {keys}."
        )
    if study.factors:
        levels = "; ".join(f"{key} in {', '.join(map(_text, values))}" for key, values in study.factors.items())
        yield f"Every config runs at each combination of {levels}."
    if study.seeds is not None:
        yield f"Each config is judged by its mean over up to {study.seeds.training} seeds."
    if study.budget is not None:
        yield f"The budget is {study.budget.described}."
    if study.fidelity is not None:
        yield f"The search has {len(study.fidelity)} cheaper levels of fidelity."
    rule = study.early_stopping
    if rule.name.value != "none":
        options = {key: value for key, value in rule.options.items() if value is not None}
        yield f"Early stopping: {rule.name.value}{cite(OF_SETTING.get(rule.name.value))} with {_listed(options)}."
    else:
        yield "No trial is stopped early by comparison with others."


def _selection(study: Study) -> Iterator[str]:
    objective = study.objective
    classes = objective.model_dump(mode="json").get("classes") or "all"
    epoch = "its best epoch" if objective.of_best_epoch else "its last epoch"
    yield (
        f"Trials are compared by {objective.record.title} on the validation images, of {epoch} (objective "
        f"{objective.metric.value}; classes: {classes if isinstance(classes, str) else _listed(classes)}); test images "
        "choose nothing."
    )


def _confirmation(record: StudyRecord) -> Iterator[str]:
    found = record.confirmation
    if found is None or not found.configs:
        if record.study.test_trials:
            yield (
                "Each complete trial is evaluated on the test images in its best epoch; intervals are "
                f"{_interval()} over the seeds."
            )
            return
        yield (
            "The search is not confirmed: its values are of the validation images and the best of them is optimistic."
        )
        return
    plan = found.plan
    seeds = sorted({seeds for config in found.configs for seeds in config.runs})
    training, draws = (sorted({pair[place] for pair in seeds}) for place in (0, 1))
    rounds = f", in rounds of up to {plan.at_most} seeds" if plan.seeds == AUTO else ""
    yield (
        f"In the confirmation the best configs of up to {plan.top} methods and the baseline are trained again with "
        f"fresh seeds of training ({_ranged(training)}) and of the draw of observed labels ({_ranged(draws)}){rounds}; "
        "the configs were chosen before, and the best epoch is that of the validation images."
    )
    yield from _statistics(found)


def _statistics(found: Confirmation) -> Iterator[str]:
    yield f"Intervals are {_interval()} over {found.resampled}."
    if found.comparisons:
        margin = "" if found.plan.margin is None else f", equivalence within {found.plan.margin:g} points is tested too"
        yield (
            f"The p values are those{found.test.removeprefix('p')}{cite('holm1979simple')}, at an error rate of "
            f"{found.plan.alpha:g}{margin}."
        )


def _interval() -> str:
    return (
        f"{100 * CONFIDENCE:g} % percentile bootstrap intervals of {RESAMPLES:,} resamples at the expanded level"
        f"{cite('hesterberg2015what')}"
    )


def _environment(record: StudyRecord) -> Iterator[str]:
    environment = record.environment
    if not environment:
        yield "The versions of the software were not recorded."
        return
    packages = dict(environment.get("packages", {}))
    own = packages.pop("wsml-study", "of an unrecorded version")
    marks = {"ray": "moritz2018ray", "optuna": "akiba2019optuna", "torch": "paszke2019pytorch"}
    versions = ", ".join(f"{name} {version}{cite(marks.get(name))}" for name, version in packages.items())
    yield (
        f"Software: wsml-study {own}{cite('wsmlstudy')} under Python {environment.get('python', 'unrecorded')}"
        f"{f' with {versions}' if versions else ''}."
    )
    devices = ", ".join(environment.get("gpus", [])) or "no GPU"
    count = environment.get("num_cpus")
    cores = f"{count} core{'' if count == 1 else 's'} of {environment.get('cpu')}"
    yield f"Machine: {environment.get('platform')}, {cores}, {devices}."
    facts = {
        "git revision": environment.get("git_revision"),
        "fingerprint of the data": record.history.runs[-1].get("data_fingerprint"),
    }
    if known := {name: value for name, value in facts.items() if value}:
        yield f"Record: {_listed(known)}."


def _open(study: Study, key: str) -> str | None:
    """What a key is varied over; None if it has one value."""
    parameter = study.varied.get(key)
    return None if parameter is None else f"one of {_domain(parameter)}"


def _value(study: Study, key: str, value: Any) -> str:
    """The value of a key, or what it is varied over; with the base config's value where a condition leaves it."""
    parameter = study.varied.get(key)
    if parameter is None:
        return _text(value)
    base = f"{_text(value)}, or " if parameter.when else ""
    return f"({base}{_domain(parameter)})"


def _factor(study: Study, section: str) -> str:
    keys = [key for key in study.factors or {} if key.startswith(f"{section}.")]
    return f" ({', '.join(keys)} varied, see below)" if keys else ""


def _domain(parameter: Parameter) -> str:
    match parameter.domain:
        case FloatRange(low=low, high=high, log=log, step=step) | IntRange(low=low, high=high, log=log, step=step):
            steps = "" if step is None else f" in steps of {_text(step)}"
            text = f"[{_text(low)}, {_text(high)}]{steps}{', on a logarithmic scale' if log else ''}"
        case choices:
            text = f"{{{', '.join(map(_text, choices))}}}"
    when = parameter.when or {}
    conditions = " and ".join(f"{key} is {' or '.join(map(_text, values))}" for key, values in when.items())
    return f"{text}, where {conditions}" if conditions else text


def _text(value: Any) -> str:
    """A value as in a study file; whole numbers without decimals."""
    return value if isinstance(value, str) else flow(value).removesuffix(".0")


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_text(value)}" for key, value in values.items())


def _ranged(numbers: list[int]) -> str:
    """Numbers as a list, or as a range where they follow each other."""
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))
