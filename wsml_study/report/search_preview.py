"""What a study searches, as lines of text: keys, ranges, priors, runs of a config, what the search begins with."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from wsml_study.record.line_width import NARROW
from wsml_study.results.warm_start import read_warm_start
from wsml_study.study.factors import combinations, num_runs
from wsml_study.study.new_study import resolved_start_points
from wsml_study.study.sampler_record import WINDOW, WINDOWED_FROM
from wsml_study.study.search_section import FloatRange, IntRange
from wsml_study.study.search_space import SearchedKey, SearchSpace
from wsml_study.study.spec import Study
from wsml_study.study.writing import flow

"""Characters of a line."""


def search_lines(study: Study, num_combinations: int | None) -> list[str]:
    """What is searched, and which configs come first.

    Args:
        study: of the search.
        num_combinations: how many the search space holds; None if it is infinite.
    """
    if not study.search:
        return [] if study.factors else ["search: nothing; the study is one trial"]
    number = "" if num_combinations is None else f"{num_combinations:,} combinations, "
    of_several_runs = study.seeds is not None or study.factors
    trials = "configs" if of_several_runs else "trials"
    if not study.is_unbounded:
        trials = (
            f"{study.trials} config{'s' if study.trials > 1 else ''}" if of_several_runs else trials_text(study.trials)
        )
    width = max(map(len, study.search))
    lines = [f"search: {number}{trials} proposed by {study.sampler.name}, seed {study.sampler.seed}"]
    keys = {key.path: key for key in SearchSpace.from_study(study).keys}
    for key in (keys[path] for path in study.search):
        text = f"  {key.path:<{width}}  {_domain(key)}{_prior(study, key)}{_condition(study, key)}"
        lines += textwrap.wrap(text, NARROW, subsequent_indent=" " * (width + 4), break_on_hyphens=False)
    return [*lines, *_window_lines(study), *_seed_lines(study), *_start_lines(study), *_warm_start_lines(study)]


def factor_lines(study: Study) -> list[str]:
    """The levels that every config runs at, and how many trials that makes."""
    if not study.factors:
        return []
    levels = len(combinations(study))
    configs = f"{study.trials} config{'s' if study.trials > 1 else ''}"
    lines = [f"factors: {levels} combinations of levels; {configs}, so {trials_text(num_runs(study, study.trials))}"]
    width = max(map(len, study.factors))
    for key, values in study.factors.items():
        text = f"  {key:<{width}}  {', '.join(map(flow, values))}"
        lines += textwrap.wrap(text, NARROW, subsequent_indent=" " * (width + 4), break_on_hyphens=False)
    if study.search:
        lines.append("  the sampler is told the mean of a config over all levels")
    return lines


def _window_lines(study: Study) -> list[str]:
    if study.is_unbounded or study.trials <= WINDOWED_FROM or not study.sampler_sees_window:
        return []
    return [
        f"  {study.sampler.name} looks at all earlier trials for each proposal, which takes seconds with 100,000 of",
        f"  them: from proposal {WINDOWED_FROM:,} on it is shown {WINDOW:,}, the best and the newest",
    ]


def _seed_lines(study: Study) -> list[str]:
    if study.seeds is None:
        return []
    number, draws = study.seeds.training, " and draws of the hidden labels" if study.seeds.draws else ""
    return [
        f"each config is judged by its mean over {number} seeds{draws}: at most {study.trials * number} runs",
        "    a config that is plausibly not among the best gets no further seed, often after its first",
    ]


def _warm_start_lines(study: Study) -> Iterator[str]:
    for note in read_warm_start(study).notes:
        yield f"  {note}"


def _start_lines(study: Study) -> Iterator[str]:
    """The configs that the search begins with."""
    points = resolved_start_points(study)
    if points:
        yield f"  begins with {len(points)} config{'s' if len(points) > 1 else ''} (start_from)"
    width = max((len(point.origin) for point in points), default=0)
    for point in points:
        text = (
            f"    {point.origin:<{width}}  {', '.join(f'{key} {flow(value)}' for key, value in point.values.items())}"
        )
        yield from textwrap.wrap(text, NARROW, subsequent_indent=" " * (width + 6), break_on_hyphens=False)
        if point.differs:
            yield f"      not searched, so the base config's value counts: {', '.join(point.differs)}"


def _domain(key: SearchedKey) -> str:
    match key.domain:
        case FloatRange(low=low, high=high, log=log, step=step) | IntRange(low=low, high=high, log=log, step=step):
            steps = "" if step is None else f" in steps of {flow(step)}"
            return f"{flow(low)} to {flow(high)}{steps}{', logarithmic' if log else ''}"
        case choices:
            return ", ".join(map(flow, choices))


def _prior(study: Study, key: SearchedKey) -> str:
    match key.domain:
        case FloatRange() | IntRange():
            prior = key.domain.normal_prior
            if prior is None:
                return ""
            spread = f"a factor of {prior.deviation:.3g}" if key.domain.log else f"{prior.deviation:.3g}"
            return f", probably near {flow(prior.mean)}, give or take {spread}"
        case _:
            weights = study.search[key.path].weights or ()
            return f", with weights {', '.join(f'{weight:g}' for weight in weights)}" if weights else ""


def _condition(study: Study, key: SearchedKey) -> str:
    when = study.search[key.path].when or {}
    conditions = (f"{other} is {' or '.join(map(flow, values))}" for other, values in when.items())
    return f", when {' and '.join(conditions)}" if when else ""


def trials_text(number: int) -> str:
    """`1 trial`, `2 trials`."""
    return f"{number} trial{'s' if number > 1 else ''}"
