"""Checks across the keys of a study: contradictions, and searches that cannot run.

Every key is already known to be valid on its own. Each check yields problems. Before the next check, entries of
`search` with a problem are removed, and later problems about keys that already have one are dropped: they would only
be consequences of the first.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

from wsml_study.description import Scalar
from wsml_study.methods.catalogue import METHODS
from wsml_study.registry import Requirement
from wsml_study.study.backbone_library import library_of
from wsml_study.study.backbone_record import BACKBONES
from wsml_study.study.budget_checks import check_budget
from wsml_study.study.compile_checks import check_compile
from wsml_study.study.config_keys import (
    ConfigKey,
    config_keys,
    config_sections,
    expectation,
    kinds,
    mismatch,
    suggestion,
)
from wsml_study.study.config_runs import runs_of
from wsml_study.study.factors import factor_problems, idle_levels, impossible_levels, only_as_factor
from wsml_study.study.key_rules import KEY_RULES, BrokenRule, KeyRule, broken_rules
from wsml_study.study.objective_checks import check_objective
from wsml_study.study.population_keys import PERTURBED
from wsml_study.study.problems import Path, Problem, closest, listed, shown
from wsml_study.study.rate_ranges import auto_problems
from wsml_study.study.sampler_record import SAMPLERS
from wsml_study.study.search_section import FloatRange, IntRange, Parameter
from wsml_study.study.search_space import (
    CircularConditionsError,
    SearchedKey,
    SearchSpace,
    Values,
    base_value,
    longest_training,
    rules_above,
    same,
    trial_content,
)
from wsml_study.study.spec import Draft, clashes_of
from wsml_study.study.start_points import start_points
from wsml_study.study.tracker_record import TRACKERS

MOST_BRANCHES = 20_000
"""Combinations of methods, shapes and conditions to check at most; bounds the time that a pathological study takes."""

WHOLE_SEARCH = "the search as a whole"
"""Pseudo-key: marks conclusions about the search as a whole as unreliable, once any entry has a problem."""


def check_study(draft: Draft, unsound: set[str]) -> list[Problem]:
    """All problems across keys.

    Args:
        draft: the study; invalid keys have been removed or replaced by placeholders.
        unsound: dotted keys that already have a problem; no further problem is reported for them.
    """
    problems = [problem for problem in factor_problems(draft) if not problem.may_follow_from(unsound)]
    factors = set(draft.factors or {})
    bad_factors = {problem.label for problem in problems}
    unsound = unsound | bad_factors
    # Factors are checked as choices of the search, and their problems placed where they stand.
    draft = _with_entries(draft, {key: entry for key, entry in draft.varied.items() if key not in bad_factors})
    for check in CHECKS:
        found = list(check(draft))
        problems += [_at_factor(one, factors) for one in found if not one.may_follow_from(unsound)]
        unsound = unsound.union(*map(_unsound, found))
        bad_entries = {str(problem.path[1]) for problem in found if problem.path[0:1] == ("search",)}
        if bad_entries:
            unsound |= bad_entries | {WHOLE_SEARCH}
            sound = {key: parameter for key, parameter in draft.search.items() if key not in bad_entries}
            draft = _with_entries(draft, sound)
    return problems


def _with_entries(draft: Draft, entries: dict[str, Parameter]) -> Draft:
    """The draft with these entries of search and factors, all in its search; its factors are those among them."""
    factors = {key: levels for key, levels in (draft.factors or {}).items() if key in entries}
    return draft.model_copy(update={"search": entries, "factors": factors or None})


def _at_factor(problem: Problem, factors: set[str]) -> Problem:
    """A problem with its place under `factors` if it is about one of them."""
    if problem.path[0:1] != ("search",) or problem.path[1] not in factors:
        return problem
    return replace(problem, path=("factors", *(part for part in problem.path[1:] if part != "choice")))


def _unsound(problem: Problem) -> set[str]:
    """Keys about which nothing can be concluded.

    An entry that wrongly searches a section does not discredit the keys inside it.
    """
    return problem.unsound - config_sections().keys() if problem.path[0:1] == ("search",) else problem.unsound


def _base_config(draft: Draft) -> Iterator[Problem]:
    """Keys that the base config must or must not have, regardless of the search."""
    for broken in draft.broken_rules():
        key = broken.rule.key
        yield Problem(
            label=key, message=broken.message, path=_path(key), at_key=True, about=(key, broken.rule.controlling_key)
        )


def _searched_keys(draft: Draft) -> Iterator[Problem]:
    """Entries of `search` that are not keys of a trial config, or must not vary."""
    factors = draft.factors or {}
    for key in draft.search:
        fixed = None if key in factors and only_as_factor(key) else _not_searchable(key)
        reason = fixed or _changes_the_objective(draft, key)
        if reason is not None:
            yield _entry_problem(key, reason, at_key=True, meant=suggestion(key))


def _entry_problem(
    key: str, message: str, *inside: str | int, at_key: bool = False, meant: str | None = None
) -> Problem:
    """A problem of a search entry on its own: it holds even where the base config has problems too."""
    path = ("search", key, *inside)
    return Problem(label=key, message=message, path=path, at_key=at_key, about=(f"search.{key}",), meant=meant)


def _not_searchable(key: str) -> str | None:
    known = config_keys().get(key)
    if known is not None:
        return known.not_searched_because and f"cannot be searched: {known.not_searched_because}"
    if key.partition(".")[0] in Draft.model_fields.keys() - _trial_sections():
        return "cannot be searched: it says how the study runs, not what a trial computes"
    return unknown_key(key, "to search")


def _changes_the_objective(draft: Draft, key: str) -> str | None:
    if key.startswith("data.observe.") and not draft.data.validation.by_truth:
        return (
            f"cannot be searched while data.validation.labels is `{draft.data.validation.labels}`: it would change the "
            f"labels that trials are evaluated on"
        )
    return None


def unknown_key(key: str, purpose: str) -> str:
    """The message for a dotted key that is not a single value of a trial config.

    Args:
        key: as the study file has it.
        purpose: what the file uses the key for, as in `keys to search`.
    """
    if key in config_sections():
        inside = [path for path in config_keys() if path.startswith(f"{key}.")]
        return f"a section, not a single value; keys {purpose}: {listed(inside)}"
    meant = suggestion(key)
    return f"unknown key{f'; did you mean `{meant}`?' if meant else f'; keys {purpose} look like `training.epochs`'}"


def _trial_sections() -> set[str]:
    return {path.partition(".")[0] for path in config_keys()}


def _searched_values(draft: Draft) -> Iterator[Problem]:
    """Values of a search entry that its key does not accept."""
    for path, parameter in draft.search.items():
        key = config_keys()[path]
        if parameter.choice is not None:
            yield from _choices(key, parameter.choice)
        elif parameter.float is not None:
            yield from _range(key, parameter.float, "float")
        elif parameter.int is not None:
            yield from _range(key, parameter.int, "int")


def _choices(key: ConfigKey, choices: tuple[Scalar, ...]) -> Iterator[Problem]:
    for position, value in enumerate(choices):
        if not key.takes(value):
            yield _entry_problem(key.path, mismatch(key.schema, value), "choice", position)
        elif any(same(value, earlier) for earlier in choices[:position]):
            yield _entry_problem(key.path, f"the choice {shown(value)} is listed twice", "choice", position)


def _range(key: ConfigKey, searched: FloatRange | IntRange, name: str) -> Iterator[Problem]:
    taken = kinds(key.schema)
    if not taken & ({"number"} if name == "float" else {"number", "integer"}):
        way_out = "use `int`" if "integer" in taken else "use `choice`"
        message = f"expected {expectation(key.schema)}, got a range of `{name}`; {way_out}"
        yield _entry_problem(key.path, message, name, at_key=True)
        return
    for end, value in (("low", searched.low), ("high", searched.high)):
        if not key.takes(value):
            yield _entry_problem(key.path, f"expected {expectation(key.schema)}, got {end}={value}", name, end)


def _conditions(draft: Draft) -> Iterator[Problem]:
    """Conditions on unknown keys, and on values that their key never has."""
    keys = {path: SearchedKey(path=path, domain=parameter.domain) for path, parameter in draft.search.items()}
    for path, parameter in draft.search.items():
        for other, values in (parameter.when or {}).items():
            for message, position in _condition(draft, keys, path, other, values):
                inside = () if position is None else (position,)
                yield Problem(
                    label=path,
                    message=f"when {other}: {message}",
                    path=("search", path, "when", other, *inside),
                    at_key=position is None,
                    about=(path, other),
                )


def _condition(
    draft: Draft, keys: dict[str, SearchedKey], path: str, other: str, values: tuple[Scalar, ...]
) -> Iterator[tuple[str, int | None]]:
    """What is wrong with one condition, and at which of its values."""
    if other not in config_keys():
        yield unknown_key(other, "for conditions"), None
    elif other == path:
        yield "a key cannot be its own condition", None
    elif not values:
        yield "never holds: it lists no value", None
    elif other in keys:
        for position, value in enumerate(values):
            if reason := _never_has(keys[other], value):
                yield reason, position
    else:
        yield from _condition_on_fixed(draft, config_keys()[other], values)


def _never_has(key: SearchedKey, value: Scalar) -> str | None:
    if key.num_values is None:
        return f"expected a key with a `choice` or steps, since a continuous range almost never is {shown(value)}"
    if key.contains(value):
        return None
    if not isinstance(key.domain, tuple):
        return f"never holds: the search never tries {shown(value)}"
    texts = [choice for choice in key.domain if isinstance(choice, str)]
    meant = closest(value, texts) if isinstance(value, str) else None
    known = f"did you mean `{meant}`?" if meant else f"it tries {', '.join(map(shown, key.domain))}"
    return f"never holds: the search never tries {shown(value)}; {known}"


def _condition_on_fixed(draft: Draft, key: ConfigKey, values: tuple[Scalar, ...]) -> Iterator[tuple[str, int | None]]:
    misspelt = [(position, value) for position, value in enumerate(values) if not key.takes(value)]
    for position, value in misspelt:
        yield mismatch(key.schema, value), position
    fixed = base_value(draft, key.path)
    if not misspelt and (fixed is None or not any(same(fixed, value) for value in values)):
        yield f"never holds: it is not searched, and fixed to {shown(fixed)}", None


def _circles(draft: Draft) -> Iterator[Problem]:
    """Keys whose conditions form a circle."""
    remaining = dict(draft.search)
    while remaining:
        try:
            SearchSpace.from_study(draft.model_copy(update={"search": remaining}))
        except CircularConditionsError as error:
            for path in dict.fromkeys(error.circle):
                yield Problem(label=path, message=str(error), path=("search", path, "when"), at_key=True)
            remaining = {key: parameter for key, parameter in remaining.items() if key not in error.circle}
        else:
            return


def _pointless_keys(draft: Draft) -> Iterator[Problem]:
    """Searched keys that no trial would use."""
    space = SearchSpace.from_study(draft)
    for key in space.keys:
        if not space.reaches(key):
            about = (key.path, *(condition.key for condition in key.conditions))
            message = f"makes no difference: {_why_pointless(draft, key)}"
            yield Problem(label=key.path, message=message, path=("search", key.path), at_key=True, about=about)


def _why_pointless(draft: Draft, key: SearchedKey) -> str:
    idle = [rule for rule in rules_above(key.path) if not _is_ever_allowed(draft, rule)]
    if idle:
        return f"only {idle[0].called} {' or '.join(idle[0].allowed_values)} takes it, and no trial has that"
    return "its conditions never hold together"


def _is_ever_allowed(draft: Draft, rule: KeyRule) -> bool:
    searched = draft.search.get(rule.controlling_key)
    fixed = base_value(draft, rule.controlling_key) or rule.by_default
    decisions = (fixed,) if searched is None else searched.choice or ()
    return any(decision in rule.allowed_values for decision in decisions)


def _unmet_needs(draft: Draft) -> Iterator[Problem]:
    """Keys that some trial needs and neither the base config nor the search gives it."""
    space = SearchSpace.from_study(draft)
    decisive = {rule.controlling_key for rule in KEY_RULES} | {key.path for key in space.keys if rules_above(key.path)}
    # Only keys that decide about other keys matter here; branching over all keys would multiply the combinations.
    for values in itertools.islice(space.branches(decisive & set(draft.search)), MOST_BRANCHES):
        for broken in broken_rules(trial_content(draft, values)):
            if broken.missing:
                yield _unmet_need(draft, values, broken)


def _unmet_need(draft: Draft, values: Values, broken: BrokenRule) -> Problem:
    key, controlling_key = broken.rule.key, broken.rule.controlling_key
    about = (key, controlling_key, *values)
    if key in draft.search:
        message = f"some trials take it without searching it, and the base config has no value: {broken.message}"
        return Problem(label=key, message=message, path=("search", key), at_key=True, about=about)
    choices = draft.search[controlling_key].choice or () if controlling_key in draft.search else ()
    message = f"{broken.message}; give it in the base config, or search it"
    if broken.decision not in choices:
        return Problem(label=key, message=message, path=_path(key), at_key=True, about=about)
    path = ("search", controlling_key, "choice", choices.index(broken.decision))
    return Problem(label=controlling_key, message=message, path=path, about=about)


def _clashing_values(draft: Draft) -> Iterator[Problem]:
    """Values that some trial would get and that contradict each other."""
    keys = ("model.backbone", "model.weights", "model.head", "training.mode", "training.mixup", "method.name")
    decisive = {key for key in draft.search if key in keys or key.startswith("model.lora.")}
    for values in itertools.islice(SearchSpace.from_study(draft).branches(decisive), MOST_BRANCHES):
        for clash in clashes_of(trial_content(draft, values)):
            searched = sorted(clash.about & draft.search.keys(), key=lambda key: key != clash.key)
            message = f"some trials get it: {clash.message}" if searched else clash.message
            path = ("search", searched[0]) if searched else _path(clash.key)
            about = tuple(clash.about | values.keys())
            yield Problem(label=clash.key, message=message, path=path, at_key=bool(searched), about=about)


def _weights_of_backbones(draft: Draft) -> Iterator[Problem]:
    """Weights that are listed for a backbone which no trial has."""
    varied = draft.varied.get("model.backbone")
    at_levels = [level.set["model.backbone"] for level in draft.fidelity or () if "model.backbone" in level.set]
    here = (draft.model.backbone,) if varied is None else varied.choice or ()
    backbones = [str(one) for one in (*here, *at_levels)]
    for backbone in draft.weights_of or {}:
        if backbone not in backbones:
            message = f"no trial has this backbone; the study's: {listed(backbones)}"
            about = ("weights_of", "model.backbone")
            yield Problem(label=backbone, message=message, path=("weights_of", backbone), at_key=True, about=about)


def _sampler(draft: Draft) -> Iterator[Problem]:
    """Samplers that do not support the search."""
    continuous = [key.path for key in SearchSpace.from_study(draft).keys if key.num_values is None]
    if draft.sampler.record.exhaustive:
        for key in continuous:
            message = f"the sampler `{draft.sampler.name}` needs a `step` in a range of real numbers"
            yield Problem(label=key, message=message, path=("search", key, "float"), about=(key, "sampler.name"))
    if not draft.sampler.record.takes_priors:
        for key, parameter in draft.search.items():
            if parameter.has_prior:
                message = f"the sampler `{draft.sampler.name}` takes no priors; use tpe or random, or remove them"
                yield Problem(
                    label=key, message=message, path=("search", key), about=(key, "sampler.name"), at_key=True
                )
    ranges = [parameter for parameter in draft.search.values() if parameter.choice is None]
    if draft.sampler.record.needs_numbers and not ranges:
        message = f"{draft.sampler.name} models numbers, and the search has no range `float` or `int`; use tpe"
        yield Problem(
            label="sampler.name", message=message, path=("sampler", "name"), about=("sampler.name", WHOLE_SEARCH)
        )


def _start_from(draft: Draft) -> Iterator[Problem]:
    """Start points without a search, that the search does not hold, or more than there are trials."""
    if draft.start_from is None:
        return
    about = ("start_from", WHOLE_SEARCH)
    if not draft.search.keys() - (draft.factors or {}).keys():
        message = "without `search` there is one config: put these values into it, and remove `start_from`"
        yield Problem(label="start_from", message=message, path=("start_from",), at_key=True, about=about)
        return
    found = start_points(draft, None)
    yield from (replace(problem, about=about) for problem in found.problems)
    if len(found.points) > draft.trials:
        message = f"expected at least the {len(found.points)} configs of start_from, got {draft.trials}"
        yield Problem(label="trials", message=message, path=("trials",), about=("trials", *about))


def _warm_start(draft: Draft) -> Iterator[Problem]:
    """Earlier trials that the search has no use for."""
    if draft.warm_start is None:
        return
    if draft.factors:
        message = (
            "earlier trials have a value at one level, and a config here has the mean over all; remove one of them"
        )
        yield Problem(label="warm_start", message=message, path=("warm_start",), at_key=True)
        return
    takers = [name for name, record in SAMPLERS.items() if record.takes_given_trials]
    if not draft.search.keys() - (draft.factors or {}).keys():
        message = "without `search` there is no sampler to inform; remove it"
    elif draft.fidelity is not None:
        message = (
            "earlier values are of whole trainings, and the sampler searches the first level of `fidelity`; remove one"
        )
    elif not draft.sampler.record.takes_given_trials:
        message = f"the sampler `{draft.sampler.name}` does not learn from given trials; use {' or '.join(takers)}"
    else:
        return
    about = ("warm_start", "sampler.name", "fidelity", WHOLE_SEARCH)
    yield Problem(label="warm_start", message=message, path=("warm_start",), at_key=True, about=about)


def _requirements(draft: Draft) -> Iterator[Problem]:
    """Packages that the study asks for and that are not installed on this machine."""
    searched = draft.search.get("method.name")
    names = (draft.method.name,) if searched is None else tuple(map(str, searched.choice or ()))
    asked: list[tuple[str, str, tuple[Requirement, ...]]] = [
        ("data.dataset", draft.data.dataset, draft.data.record.requires),
        *(("model.backbone", name, _required_by(name)) for name in _backbones(draft)),
        *(("method.name", name, METHODS[name].requires) for name in names if name in METHODS),
        ("sampler.name", draft.sampler.name, draft.sampler.record.requires),
        ("early_stopping.name", draft.early_stopping.name, draft.early_stopping.record.requires),
        *(
            (f"tracking.{name}", name, record.requires)
            for name, record in TRACKERS.items()
            if getattr(draft.tracking, name) not in (None, False)
        ),
    ]
    for key, name, requirements in asked:
        for one in requirements:
            if not one.is_met:
                message = f"{name} needs the package {one.module}, which is not installed: {one.install}"
                yield Problem(label=key, message=message, path=_path(key), about=(key,))


def _backbones(draft: Draft) -> tuple[str, ...]:
    searched = draft.search.get("model.backbone")
    return (draft.model.backbone,) if searched is None else tuple(map(str, searched.choice or ()))


def _required_by(backbone: str) -> tuple[Requirement, ...]:
    if (library := library_of(backbone)) is not None:
        return (library.requires,)
    return BACKBONES[backbone].requires if backbone in BACKBONES else ()


def _trials(draft: Draft) -> Iterator[Problem]:
    """Several trials without a search."""
    if not draft.search.keys() - (draft.factors or {}).keys() and draft.trials > 1 and not draft.is_unbounded:
        runs = "there is one config, which runs at each level" if draft.factors else "all trials would be the same"
        message = f"expected 1, got {draft.trials}: without `search` {runs}"
        yield Problem(label="trials", message=message, path=("trials",), about=("trials", WHOLE_SEARCH))


def _seeds(draft: Draft) -> Iterator[Problem]:
    """Several runs per config beside what runs a config otherwise, or changes what their mean would mean."""
    if draft.seeds is None:
        return
    path = ("seeds",)
    if draft.fidelity is not None:
        yield Problem(label="seeds", message="cannot be combined with `fidelity`: remove one of them", path=path)
    if draft.early_stopping.record.is_population:
        message = f"cannot be combined with early_stopping {draft.early_stopping.name}: its trials share networks"
        yield Problem(label="seeds", message=message, path=path)
    for key in {key for run in runs_of(draft) for key in run} & draft.search.keys():
        message = "cannot be searched with `seeds`, which gives each run of a config its own"
        yield _entry_problem(key, message, at_key=True)
    if draft.seeds.draws and draft.data.validation.labels in ("observed", "estimated"):
        message = (
            f"expected false while data.validation.labels is `{draft.data.validation.labels}`: each draw would change "
            "the labels that trials are evaluated on"
        )
        yield Problem(label="seeds.draws", message=message, path=("seeds", "draws"))


def _early_stopping(draft: Draft) -> Iterator[Problem]:
    """A grace period, or an interval of population based training, not shorter than the longest trial."""
    key, first = draft.early_stopping.record.first_decision, draft.early_stopping.first_decision_epoch
    if key is None or first is None or first < longest_training(draft):
        return
    by_default = " (the default)" if getattr(draft.early_stopping, key) is None else ""
    message = f"expected fewer than the {longest_training(draft)} epochs of a trial, got {first}{by_default}"
    label = f"early_stopping.{key}"
    yield Problem(label=label, message=message, path=_path(label), about=(label, "training.epochs"))


def _population(draft: Draft) -> Iterator[Problem]:
    """Population based training: keys that cannot change in mid-training, and model-based samplers.

    A model-based sampler would credit the final result to the values that a trial began with.
    """
    if not draft.early_stopping.record.is_population:
        return
    for key in draft.search:
        if key not in PERTURBED:
            message = (
                f"a population (early_stopping {draft.early_stopping.name}) cannot change it in mid-training; it can "
                f"change {listed(PERTURBED)}"
            )
            yield _entry_problem(key, message, at_key=True)
    if draft.sampler.record.model_based:
        message = (
            f"expected `random` or `grid` with early_stopping {draft.early_stopping.name}, got "
            f"`{draft.sampler.name}`: a population changes values during training, and a model-based sampler "
            "only knows the initial ones"
        )
        yield Problem(label="sampler.name", message=message, path=("sampler", "name"))


def _final_training(draft: Draft) -> Iterator[Problem]:
    """Keys of final training in a study that compares trials: without validation images they have no objective."""
    compared = draft.search.keys() - {"training.seed"}
    for key, given in (
        ("data.train_on", not draft.data.holds_out),
        ("training.stop_after_epoch", draft.training.stop_after_epoch is not None),
    ):
        if given and compared:
            message = "belongs to final training, after the search: remove it here, or all of `search`"
            yield Problem(label=key, message=message, path=_path(key), at_key=True, about=(key, WHOLE_SEARCH))
    epochs, last = draft.training.total_epochs, draft.training.stop_after_epoch
    if not compared and last is not None and last > epochs:
        key = "training.stop_after_epoch"
        message = f"expected at most the {epochs} epochs of the training, got {last}"
        yield Problem(label=key, message=message, path=_path(key), about=(key, "training.epochs"))


def _batches(draft: Draft) -> Iterator[Problem]:
    """Batches too small to give every worker an image."""
    key, num_workers = "training.batch_size", draft.resources.workers_per_trial
    for path, size in _batch_sizes(draft):
        if size < num_workers:
            message = f"expected an image for each of the {num_workers} workers of a trial, got a batch of {size}"
            yield Problem(label=key, message=message, path=path, about=(key, "resources.workers_per_trial"))


def _batch_sizes(draft: Draft) -> Iterator[tuple[Path, int]]:
    """Every batch size, of a range the smallest, and where it is written."""
    match draft.search.get("training.batch_size"):
        case None:
            yield ("training", "batch_size"), draft.training.batch_size
        case Parameter(int=IntRange(low=low)):
            yield ("search", "training.batch_size", "int", "low"), low
        case parameter:
            for position, size in enumerate(parameter.choice or ()):
                yield ("search", "training.batch_size", "choice", position), int(size)


def _path(key: str) -> Path:
    return tuple(key.split("."))


CHECKS: tuple[Callable[[Draft], Iterator[Problem]], ...] = (
    _base_config,
    _searched_keys,
    _weights_of_backbones,
    auto_problems,
    _searched_values,
    _conditions,
    _circles,
    _pointless_keys,
    idle_levels,
    impossible_levels,
    _unmet_needs,
    _clashing_values,
    _sampler,
    _start_from,
    _warm_start,
    _requirements,
    _trials,
    _seeds,
    check_budget,
    check_objective,
    _early_stopping,
    _population,
    _final_training,
    _batches,
    check_compile,
)
"""In this order: later checks rely on what the earlier ones have verified."""
