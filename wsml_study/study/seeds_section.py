"""Section `seeds`: each config runs over several seeds, and is judged by their mean."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from wsml_study.description import Description


class Seeds(Description):
    """Each config runs over several seeds, and is judged by the mean; a bad one loses after one seed."""

    training: Annotated[int, Field(ge=2, le=100)] = Field(
        description="Number of seeds of the training per config: `training.seed` and those after it."
    )
    draws: bool = Field(
        default=False,
        description="Each seed has a draw of the hidden labels of its own: `data.observe.seed` and those after it.",
    )


def _from_number(value: Any) -> Any:
    return {"training": value} if isinstance(value, int) and not isinstance(value, bool) else value


SeedsKey = Annotated[
    Seeds | None,
    BeforeValidator(_from_number),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer", "minimum": 2, "maximum": 100}, Seeds.model_json_schema(), {"type": "null"}],
            "default": None,
        }
    ),
]
"""`seeds: 3` is short for `seeds: {training: 3}`."""
