"""Short texts for values, names, p values, durations and paths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

INTERRUPTED = "interrupted"
"""What an unfinished trial is called while its study does not run."""
TAKEN = frozenset({"rank"})
"""Last parts of keys that mean something else in a table of trials."""


def describe(values: Mapping[str, object]) -> str:
    """Suggested values in a short text, such as `LL-R, rate_per_epoch 0.004`."""
    short = short_names(values)
    parts = []
    for key, value in values.items():
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        parts.append(text if key == "method.name" else f"{short[key]} {text}")
    return ", ".join(parts) or "the base config"


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Dotted key -> its last part, or the last two parts if other keys or columns of tables are called like the last.

    >>> short_names(["training.seed", "data.observe.seed", "training.epochs"])
    {'training.seed': 'training.seed', 'data.observe.seed': 'observe.seed', 'training.epochs': 'epochs'}
    >>> short_names(["model.lora.rank"])
    {'model.lora.rank': 'lora.rank'}
    """
    parts = {key: key.split(".") for key in keys}
    last = [words[-1] for words in parts.values()]
    shared = {word for word in last if last.count(word) > 1} | TAKEN
    return {key: ".".join(words[-2:]) if words[-1] in shared else words[-1] for key, words in parts.items()}


def spaced(text: str) -> str:
    """Text with underscores replaced by spaces, for sentences and figures.

    >>> spaced("LL-R, rate_per_epoch 0.004")
    'LL-R, rate per epoch 0.004'
    """
    return text.replace("_", " ")


def p_text(value: float) -> str:
    """A p value as written after the letter p: `0.012` or `< 0.001`."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: float) -> str:
    """A duration as hours and minutes, minutes and seconds, or seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def short_path(place: str) -> str:
    """A path relative to the working directory, if it is inside."""
    path = Path(place)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else place
