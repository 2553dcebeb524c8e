"""How a study runs, as lines of text: limits, levels, early stopping, the length of a trial, confirmation."""

from __future__ import annotations

from wsml_study.report.expected_power import expected_power
from wsml_study.report.model_preview import model_line
from wsml_study.report.search_preview import trials_text
from wsml_study.study.budget_section import Budget
from wsml_study.study.early_stopping_section import EarlyStopping
from wsml_study.study.fidelity import at_level, heading, num_levels
from wsml_study.study.key_rules import value_at
from wsml_study.study.new_defaults import HAND_OVER
from wsml_study.study.recipes import RECIPES
from wsml_study.study.resources_section import Resources
from wsml_study.study.search_space import longest_training
from wsml_study.study.spec import Study
from wsml_study.study.training_section import LINEAR_EPOCHS, RECIPE_KEYS
from wsml_study.study.writing import flow


def run_lines(study: Study) -> list[str]:
    """What limits the search, how trials are judged and end, what each takes, and what follows."""
    epochs = longest_training(study)
    return [
        *_limit_lines(study),
        *_level_lines(study),
        f"early stopping: {_stopping(study.early_stopping, epochs)}",
        *_pausing_lines(study),
        _objective(study),
        model_line(study),
        f"each trial: {_length(study)}, {_workers(study.resources)}",
        *_recipe_lines(study),
        f"a trial that fails is retried {study.retries} time{'s' if study.retries != 1 else ''}",
        *(["each complete trial is evaluated on the test images, which choose nothing"] if study.test_trials else []),
        *_confirmation_lines(study),
        f"results: {study.storage.rstrip('/')}/{study.name}",
    ]


def _recipe_lines(study: Study) -> list[str]:
    """What the optimization has beyond the published one, and that such linear probes are not trained together."""
    lines = _named_recipe_lines(study)
    given = study.training.recipe
    searched = study.varied.keys() & {"training.optimizer", *(f"training.{key}" for key in RECIPE_KEYS)}
    if "training.optimizer" in searched and "adamw" not in (study.varied["training.optimizer"].choice or ()):
        searched -= {"training.optimizer"}
    keys = sorted(key.removeprefix("training.") for key in searched)
    if not given and not keys:
        return lines
    parts = [f"{key} {flow(value)}" for key, value in given.items() if key not in keys]
    parts += [f"{', '.join(keys)} as searched"] if keys else []
    lines.append(f"beyond the published protocol: {', '.join(parts)}")
    if study.training.mode == "linear" or study.data.features is not None:
        lines.append("  linear probes with these keys are trained one by one, others together in one batch")
    return lines


def _named_recipe_lines(study: Study) -> list[str]:
    """The recipe that the study file names: its source, each value that it sets, and what is otherwise here."""
    if study.recipe is None:
        return []
    recipe, content = RECIPES[study.recipe], study.model_dump(mode="json", exclude_none=True)
    values = recipe.values_for(study.data.dataset.value)
    here = {key: value_at(content, key) for key in values if key not in study.varied}
    names = {key: key.removeprefix("training.") for key in values}
    told = {
        "sets": [f"{names[key]} {flow(value)}" for key, value in values.items() if here.get(key) == value],
        "the study has instead": [
            f"{names[key]} {flow(here[key])} (recipe: {flow(value)})"
            for key, value in values.items()
            if here.get(key) not in (None, value)
        ],
        "the study searches": [names[key] for key in values if key in study.varied],
        "left out, as it does not go with other keys of the study": [
            names[key] for key in values if here.get(key, 0) is None
        ],
    }
    return [
        f"recipe {study.recipe}: {recipe.source}",
        *(f"  {words}: {', '.join(keys)}" for words, keys in told.items() if keys),
        f"  not in the recipe, and as the study says: {recipe.beside}",
    ]


def _pausing_lines(study: Study) -> list[str]:
    """What it takes on disk that paused trials can go on."""
    if not study.early_stopping.options.get("promote") or not any(study.early_stopping.rungs(longest_training(study))):
        return []
    return [
        "a trial that ends there is paused, and goes on once it is among the best there; while it can, its checkpoint "
        "is kept (weights, with Adam three times as much; none of a linear probe)"
    ]


def _limit_lines(study: Study) -> list[str]:
    """What ends the search before its trials do, and how much the budget holds."""
    lines = []
    if study.budget is not None:
        text = f"budget of the search: {study.budget.described}{_holds(study.budget, longest_training(study))}"
        later = "; the confirmation comes on top" if study.confirm is not None else ""
        lines.append(f"{text}{later}")
    if study.stop_when is not None:
        limit = f"{study.stop_when.expected_regret:g} of {study.objective.metric}"
        lines.append(f"the search stops when the expected regret of its best config is at most {limit}")
    return lines


def _holds(budget: Budget, epochs: int) -> str:
    """How many trials an epoch budget holds; how long an epoch takes is only known once one has run."""
    if budget.epochs is None:
        return ""
    num = budget.epochs // epochs
    return f" ({num} trial{'s' if num != 1 else ''} of {epochs} epochs, more with early stopping)"


def _level_lines(study: Study) -> list[str]:
    """What runs before full size, level by level."""
    lines = []
    for number in range(1, num_levels(study)):
        there = at_level(study, number)
        stopping = _stopping(there.early_stopping, longest_training(there))
        text = f"{heading(study, number)}: {trials_text(there.trials)} of {_length(there)}, early stopping: {stopping}"
        lines.append(text)
    if study.fidelity is not None:
        lines.append(f"{heading(study, num_levels(study))}: {trials_text(study.full_size_trials)}, as follows")
    return lines


def _length(study: Study) -> str:
    """How long a trial takes, in epochs."""
    epochs = longest_training(study)
    up_to = "up to " if {"training.epochs", "training.linear_epochs", "training.mode"} & study.varied.keys() else ""
    return f"{up_to}{epochs} epoch{'s' if epochs > 1 else ''}{_phases(study)}{_class_wise(study)}"


def _objective(study: Study) -> str:
    if not study.data.holds_out:
        return "objective: none, since no image is held out; train it with `wsml-study train`"
    objective = study.objective
    said = f"objective: {objective.metric} ({objective.mode}), on {study.data.validation.labels} labels"
    if (second := objective.second) is not None:
        mode = "max" if second.greater_is_better else "min"
        said += f"; beside it {objective.beside} ({mode}): the front of both"
    return said + "".join(f"; {name} {bounds}" for name, bounds in objective.bounds.items())


def _confirmation_lines(study: Study) -> list[str]:
    if study.confirm is None:
        return []
    plan, seeds = study.confirm, study.confirm.most_seeds
    name = "the best baseline" if plan.baseline is None else plan.baseline_config or f"the best {plan.baseline}"
    each = f"{seeds} seeds each" if plan.seeds == seeds else f"seeds in rounds, {seeds} at most"
    said = f"then: the best {plan.top} configs and {name}, {each}, up to {(plan.top + 1) * seeds} trials"
    return [said, *expected_power(study, plan)]


def _stopping(early_stopping: EarlyStopping, epochs: int) -> str:
    """Name of the early-stopping rule, and the epochs after which it compares trials."""
    if early_stopping.record.describe is not None:
        return early_stopping.record.describe(early_stopping.options)
    rungs = early_stopping.rungs(epochs)
    if early_stopping.record.rungs is None and early_stopping.record.create is not None:
        return early_stopping.name.value
    if not rungs or not rungs[0]:
        return "none"
    words = "; ".join(", ".join(map(str, some)) if some else "none" for some in rungs)
    return f"{early_stopping.name}, comparing trials after epoch {words}"


def _phases(study: Study) -> str:
    """Phases of training in which only the head is trained; empty if all of it is trained throughout."""
    modes = study.varied["training.mode"].choice or () if "training.mode" in study.varied else (study.training.mode,)
    probe = "of a linear probe: only the head, on frozen features"
    first = "ones" if "training.linear_epochs" in study.varied else study.training.linear_epochs or LINEAR_EPOCHS
    words = {"linear": probe, "linear_init": f"the first {first} {probe}; {_handed_over(study)}"}
    phases = " or ".join(words[str(mode)] for mode in modes if mode in words)
    return f" ({phases})" if phases else ""


def _class_wise(study: Study) -> str:
    """The epochs of category-wise fine-tuning at the end; empty without any."""
    if "training.class_wise_epochs" in study.varied:
        return ", then those of category-wise fine-tuning as searched"
    num_epochs = study.training.class_wise_epochs
    return f", then {num_epochs} of category-wise fine-tuning" if num_epochs else ""


def _handed_over(study: Study) -> str:
    """The head that the end-to-end epochs of linear_init begin with."""
    if HAND_OVER in study.varied:
        return f"the others from its {' or '.join(map(str, study.varied[HAND_OVER].choice or ()))} head"
    best = study.training.hand_over == "best" and study.data.holds_out
    return f"the others from its {'best' if best else 'last'} head"


def _workers(resources: Resources) -> str:
    num, cpus, gpus = resources.workers_per_trial, resources.cpus_per_worker, resources.gpus_per_worker
    gpu_words = "a GPU where there is any" if gpus == "auto" else f"{gpus:g} GPU{'s' if gpus != 1 else ''}"
    return f"{num} worker{'s' if num > 1 else ''} of {cpus} CPU{'s' if cpus > 1 else ''} and {gpu_words}"
