"""The catalogue as text: a line per method, or one method in full, with its curves."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from wsml_study.methods.catalogue import DATASETS, HEADS, METHODS, HeadDescription, describe
from wsml_study.methods.method_record import KIM, MethodRecord
from wsml_study.methods.published_numbers import BOOSTLU, WITH_BOOSTLU
from wsml_study.options import Option

WIDEST = 80
PLOT_WIDTH, PLOT_HEIGHT = 30, 8


def overview() -> list[str]:
    """Every method and head, and the command that explains one."""
    width = max(map(len, [*METHODS, *HEADS])) + 2
    return [
        "methods (method.name)",
        *(line for name, method in METHODS.items() for line in _entry(name, method.title, width)),
        "",
        "heads (model.head)",
        *(line for name, head in HEADS.items() for line in _entry(name, head.title, width)),
        "",
        "`wsml-study methods NAME` explains one: formula, source, defaults, published",
        "mAP, loss and gradient over p",
    ]


def _entry(name: str, title: str, width: int) -> list[str]:
    return textwrap.wrap(
        f"  {name:<{width}}{title}", WIDEST, subsequent_indent=" " * (width + 2), break_on_hyphens=False
    )


def explain(name: str) -> list[str]:
    """Everything about a method or a head; names of any case.

    Raises:
        MethodError: there is no such method or head.
    """
    known = {one.lower(): one for one in (*METHODS, *HEADS)}
    name = known.get(name.lower(), name)
    return _explain_head(HEADS[name]) if name in HEADS else _explain_method(describe(name))


def _explain_head(head: HeadDescription) -> list[str]:
    return [
        *textwrap.wrap(f"{head.name}: {head.title}", WIDEST, break_on_hyphens=False),
        *_section("logits", head.formula.split("\n")),
        *_section("source", [head.source]),
        *_section(f"published mAP, end to end ({BOOSTLU})", _published_with(head)),
    ]


def _explain_method(method: MethodRecord) -> list[str]:
    return [
        *textwrap.wrap(f"{method.name}: {method.title}", WIDEST, break_on_hyphens=False),
        *_section(f"loss, {method.reduction} over the {method.reduced_over} of a batch", method.formula.split("\n")),
        *_section("source", [method.source]),
        *_section("keys of the section `method`", list(_keys(method))),
        *_section(_published_heading(method), _published(method)),
        *_curves(method),
    ]


def _section(heading: str, lines: Sequence[str]) -> list[str]:
    """A heading with its lines, wrapped and indented; empty without lines."""
    folded = [part for line in lines for part in _folded(line)]
    return ["", *_folded_heading(heading), *(f"  {line}".rstrip() for line in folded)] if lines else []


def _folded_heading(heading: str) -> list[str]:
    return textwrap.wrap(heading, WIDEST, break_on_hyphens=False)


def _folded(line: str) -> list[str]:
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.wrap(line, WIDEST - 2, subsequent_indent=indent, break_on_hyphens=False)


def _keys(method: MethodRecord) -> Iterator[str]:
    if method.takes_schedule:
        rates = ", ".join(f"{DATASETS[name]} {rate:g}" for name, rate in method.rate_by_dataset.items())
        yield "schedule: the rejection rate over the epochs, as a fraction"
        yield f"    the paper's: {{shape: linear, rate_per_epoch: R, warmup_epochs: 1}} with R {rates}"
        yield "    worth searching: method.schedule.rate_per_epoch: {float: {low: 0.0005, high: 0.03, log: true}}"
    for one in method.options:
        yield f"{one.key} ({one.symbol}): {one.meaning}" if one.symbol != one.key else f"{one.key}: {one.meaning}"
        yield f"    default {_default(one)}"
        yield from (f"    {name}: {meaning}" for name, meaning in one.limits.choices.items() if meaning)
        if one.search:
            yield f"    worth searching: method.{one.key}: {one.search}"


def _default(one: Option) -> str:
    own = [f"{DATASETS.get(name, name)} {value}" for name, value in one.by_dataset.items()]
    general = one.computed or one.default
    elsewhere = ["none elsewhere: give it" if general is None else f"{general}{' elsewhere' if own else ''}"]
    return ", ".join(own + elsewhere)


def _published_heading(method: MethodRecord) -> str:
    if method.published_source == KIM:
        return "published mAP, end to end / LinearInit"
    return f"published mAP, end to end: {method.published_source}"


def _published(method: MethodRecord) -> list[str]:
    figure = "{:.1f}".format if method.published_source == KIM else "{:.2f}".format
    groups = ", ".join(f"G{number} {value:.1f}" for number, value in enumerate(method.published_groups, start=1))
    return [
        *(
            f"{DATASETS[name]:<12}{figure(end_to_end)}{'' if linear_init is None else f' / {figure(linear_init)}'}"
            for name, (end_to_end, linear_init) in method.published_map.items()
        ),
        *([f"OpenImages' groups of classes by number of training labels: {groups}"] if groups else []),
    ]


def _published_with(head: HeadDescription) -> list[str]:
    if head.name != "boostlu":
        return []
    return [
        f"{method:<7}{', '.join(f'{DATASETS[dataset]} {one.text}' for dataset, one in results.items())}"
        for method, results in WITH_BOOSTLU.items()
    ]


def _curves(method: MethodRecord) -> list[str]:
    """Nothing for a loss of a class, which one image does not have."""
    if method.reduced_over != "entries":
        return []
    from wsml_study.methods.curves import SETTING, curve  # imports torch

    lines = _section("one label over its p: its part of the loss, and the gradient in its logit", [SETTING])
    for state, words in ((0, "unobserved"), (1, "observed positive")):
        points = curve(method.name, state, PLOT_WIDTH)
        loss = plot(points.loss, f"{words}: loss")
        gradient = plot(points.gradient, f"{words}: gradient")
        width = max(map(len, loss)) + 3
        lines += ["", *(f"  {left:<{width}}{right}".rstrip() for left, right in zip(loss, gradient, strict=True))]
    return lines


def plot(values: Sequence[float], title: str) -> list[str]:
    """Values over p from 0 to 1 as a plot of characters, one column each; dots are at 0 where values have both signs.

    >>> plot([0.0, 1.0, 2.0], "loss")[:2]
    ['         loss', ' 2.00 |  *']
    """
    largest, least = max(values), min(values)
    step = (largest - least) / (PLOT_HEIGHT - 1) or 1.0
    heights = [round((value - least) / step) for value in values]
    zero = round(-least / step) if least < 0 < largest else None
    rows = [
        "".join("*" if height == row else "." if row == zero else " " for height in heights)
        for row in reversed(range(PLOT_HEIGHT))
    ]
    names = [f"{largest:5.2f}", *[""] * (PLOT_HEIGHT - 2), f"{least:5.2f}"]
    axis = f"p = 0{'1':>{len(values) - 5}}" if len(values) > 6 else "p"
    return [
        f"{'':9}{title}",
        *(f"{name:>5} |{row}".rstrip() for name, row in zip(names, rows, strict=True)),
        f"{'':6}+{'-' * len(values)}",
        f"{'':7}{axis}",
    ]
