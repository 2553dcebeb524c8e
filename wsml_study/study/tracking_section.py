"""Section `tracking`: experiment trackers that show the study while it runs."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, create_model, model_validator

from wsml_study.description import Description
from wsml_study.study.credentials import without_secret
from wsml_study.study.option_fields import annotation_of
from wsml_study.study.tracker_record import TRACKERS


def _with_trackers(section: type[Description]) -> Any:
    fields: dict[str, Any] = {
        name: (
            annotation_of(record.limits) if record.default is not None else annotation_of(record.limits) | None,
            Field(default=record.default, description=record.meaning),
        )
        for name, record in TRACKERS.items()
    }
    return create_model(
        section.__name__, __base__=section, __doc__=section.__doc__, __module__=section.__module__, **fields
    )


@_with_trackers
class Tracking(Description):
    """Experiment trackers that show the study while it runs; without effect on results."""

    @model_validator(mode="after")
    def _no_secrets(self) -> Self:
        for name in type(self).model_fields:
            if isinstance(value := getattr(self, name), str):
                try:
                    without_secret(value)
                except ValueError as error:
                    raise ValueError(f"{name} {error}") from None
        return self
