"""Fields of a section for the options that records of its registry take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, create_model

from wsml_study.description import Description
from wsml_study.options import Kind, Limits, Value, WithOptions, explain_key, limits_by_key

S = TypeVar("S", bound=Description)


def with_options(registry: Mapping[str, WithOptions]) -> Callable[[type[S]], type[S]]:
    """Decorator: adds a field per option of the records, absent by default, which means the record's own default.

    Which record takes which key is for `KEY_RULES` to say, since a base config may hold keys that only some of the
    searched trials take.

    Args:
        registry: of the records.

    Raises:
        PluginError: two records take a key within different limits, or a key of the section itself.
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
    """What a section says of a record's options; None for what it leaves to the default."""
    return {option.key: getattr(section, option.key) for option in record.options}


def option_values(section: Description, record: WithOptions) -> dict[str, Value | None]:
    """Every option of a record: the section's value, or the default where it has none."""
    given = given_options(section, record)
    return {one.key: one.default if given[one.key] is None else given[one.key] for one in record.options}
