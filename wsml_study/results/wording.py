"""Values and times in a few words."""

from __future__ import annotations


def describe(values: dict[str, object]) -> str:
    """Suggested values in a few words: the last part of each key, the method's name bare."""
    parts = []
    for key, value in values.items():
        short = f"{value:.4g}" if isinstance(value, float) else str(value)
        parts.append(short if key == "method.name" else f"{key.rpartition('.')[2]} {short}")
    return ", ".join(parts) or "the base config"


def duration(seconds: float) -> str:
    """Seconds in the largest units that matter."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
