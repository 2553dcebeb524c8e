"""Adds the options of a registry's records to a section as pydantic fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, create_model

from wsml_study.description import Description
from wsml_study.options import Kind, Limits, Value, WithOptions, explain_key, limits_by_key

S = TypeVar("S", bound=Description)


def with_options(registry: Mapping[str, WithOptions]) -> Callable[[type[S]], type[S]]:
    """Decorator: adds one field per option of the records. None, the default, stands for the record's default.

    Which record takes which option is checked by `KEY_RULES`, not here, since a base config may hold keys that only
    some of the searched trials use.

    Args:
        registry: name -> record.

    Raises:
        PluginError: two records declare an option with different limits, or an option is named as a key of the section.
    """

    def decorate(section: type[S]) -> type[S]:
        records = list(registry.values())
        fields: dict[str, Any] = {
            key: (
                annotation_of(limits) | None,
                Field(default=None, description=explain_key(key, records)),
            )
            for key, limits in limits_by_key(records).items()
            if key not in section.model_fields
        }
        extended: type[S] = create_model(
            section.__name__, __base__=section, __doc__=section.__doc__, __module__=section.__module__, **fields
        )
        return extended

    return decorate


def annotation_of(limits: Limits) -> Any:
    """The pydantic annotation of a value within limits."""
    match limits.kind:
        case Kind.CHOICE:
            return Literal[tuple(limits.choices)]
        case Kind.FLAG:
            return bool
        case Kind.TEXT:
            return str
    bounds: dict[str, Any] = {}
    if limits.least is not None:
        bounds["gt" if limits.without_least else "ge"] = limits.least
    if limits.most is not None:
        bounds["lt" if limits.without_most else "le"] = limits.most
    return Annotated[int if limits.kind is Kind.WHOLE else float, Field(**bounds)]


def given_options(section: Description, record: WithOptions) -> dict[str, Value | None]:
    """A record's options as the section has them; None for defaults."""
    return {option.key: getattr(section, option.key) for option in record.options}


def option_values(section: Description, record: WithOptions) -> dict[str, Value | None]:
    """All options of a record, with defaults filled in."""
    given = given_options(section, record)
    return {one.key: one.default if given[one.key] is None else given[one.key] for one in record.options}
