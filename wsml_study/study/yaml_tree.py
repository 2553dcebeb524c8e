"""Parses YAML to plain values with the line and column of each.

Built on the parser's events, not on a loader, so that no tag can construct Python objects. Values are mappings with
text keys, lists, and the scalars of YAML 1.2's core schema (`1e-5` is a float, `off` a string, `2024-01-01` too).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StreamMark, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from wsml_study.study.problems import Path, Place, Problem, dotted

MOST_VALUES = 10_000
DEEPEST = 32

NULL = re.compile(r"|~|null|Null|NULL")
TRUE = re.compile(r"true|True|TRUE")
FALSE = re.compile(r"false|False|FALSE")
# At most 300 digits: int() is slow with many, and raises beyond 4300. A longer number is read as a float, which is
# infinite beyond 308 digits and refused as such.
INTEGER = re.compile(r"[-+]?[0-9]{1,300}")
OCTAL = re.compile(r"0o[0-7]{1,300}")
HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,300}")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INFINITY = re.compile(r"([-+]?)\.(inf|Inf|INF)")
NOT_A_NUMBER = re.compile(r"\.(nan|NaN|NAN)")


class UnreadableYamlError(Exception):
    """The text is not YAML, or exceeds the limits on depth or size; the only argument is the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(kw_only=True)
class Node:
    """A value and its place in the text.

    Attributes:
        value: a scalar, a list of nodes, or nodes by key.
        place: where the value starts.
        key_places: where each key of a mapping is written.
        num_values: number of values in it; an alias counts every time that it is used.
    """

    value: Any
    place: Place
    key_places: dict[str, Place] = field(default_factory=dict)
    num_values: int = 1

    def plain(self) -> Any:
        """The value without places, as dicts, lists and scalars."""
        match self.value:
            case dict():
                return {key: node.plain() for key, node in self.value.items()}
            case list():
                return [node.plain() for node in self.value]
            case scalar:
                return scalar

    def place_of(self, path: Path, *, at_key: bool) -> Place:
        """The place of the path's value, or of its key; of the nearest key above it if the path does not exist."""
        node, place = self, self.place
        for depth, part in enumerate(path):
            child = node.child(part)
            if child is None:
                return place
            key_place = node.key_places.get(str(part), child.place)
            place = child.place if depth == len(path) - 1 and not at_key else key_place
            node = child
        return place

    def child(self, part: str | int) -> Node | None:
        """The node under a key or a list position, or None."""
        if isinstance(self.value, dict):
            return self.value.get(part)
        if isinstance(self.value, list) and isinstance(part, int) and 0 <= part < len(self.value):
            found: Node = self.value[part]
            return found
        return None


def parse_yaml(text: str) -> tuple[Node | None, list[Problem]]:
    """The only document of the text, None for an empty text, and the problems that did not stop the parser.

    Raises:
        UnreadableYamlError: the text is not YAML, or nested too deeply, or expands to too much.
    """
    composer = _Composer(_events(text))
    return composer.document(), composer.problems


def scalar(text: str) -> Any:
    """A plain scalar's value by YAML 1.2's core schema.

    >>> [scalar(text) for text in ("1e-5", "010", "0x1F", "off", "~", "true")]
    [1e-05, 10, 31, 'off', None, True]
    """
    if NULL.fullmatch(text):
        return None
    if TRUE.fullmatch(text) or FALSE.fullmatch(text):
        return text.lower() == "true"
    if INTEGER.fullmatch(text):
        return int(text)
    if OCTAL.fullmatch(text) or HEXADECIMAL.fullmatch(text):
        return int(text, base=0)
    if FLOAT.fullmatch(text) or INFINITY.fullmatch(text) or NOT_A_NUMBER.fullmatch(text):
        return float(INFINITY.sub(r"\1inf", NOT_A_NUMBER.sub("nan", text)))
    return text


def _events(text: str) -> Iterator[Event]:
    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except MarkedYAMLError as error:
        raise UnreadableYamlError(_syntax_problem(error)) from None
    except ReaderError as error:
        before = text[: error.position]
        place = Place(before.count("\n") + 1, error.position - before.rfind("\n"))
        message = f"not valid YAML: the character U+{ord(text[error.position]):04X} is not allowed"
        raise UnreadableYamlError(Problem(message=message, place=place)) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise UnreadableYamlError(Problem(message=f"not valid YAML: {error}", place=Place(1, 1))) from None


def _syntax_problem(error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = Place(1, 1) if mark is None else _place(mark)
    if "'\\t'" in (error.problem or ""):
        return Problem(message="not valid YAML: a tab; indent with spaces", place=place)
    if "mapping values are not allowed" in (error.problem or ""):
        message = (
            "not valid YAML: a key where none can be; look at the indentation, and quote a text that contains `: `"
        )
        return Problem(message=message, place=place)
    if found := re.match(r"found character '(.)' that cannot start any token", error.problem or ""):
        message = f"not valid YAML: {found[1]} cannot begin a text; quote it, as in '{found[1]}'"
        return Problem(message=message, place=place)
    context = ""
    if error.context and error.context_mark is not None:
        context = f", {error.context} that starts at {_place(error.context_mark)}"
    return Problem(message=f"not valid YAML: {error.problem or 'unreadable'}{context}", place=place)


def _place(mark: StreamMark) -> Place:
    return Place(mark.line + 1, mark.column + 1)


class _Composer:
    """Builds nodes from parser events, and records what a study file must not contain."""

    def __init__(self, events: Iterator[Event]) -> None:
        self.events = events
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node | None] = {}

    def document(self) -> Node | None:
        root = None
        for event in self.events:
            if not isinstance(event, DocumentStartEvent):
                continue
            if root is not None:
                self._note((), event, "expected one document, got a second one")
                break
            root = self._node(next(self.events), ())
        return root

    def _node(self, event: Event, path: Path) -> Node:
        if len(path) > DEEPEST:
            raise UnreadableYamlError(Problem(message=f"nested more than {DEEPEST} levels", place=_start(event)))
        if isinstance(event, AliasEvent):
            return self._alias(event)
        assert isinstance(event, NodeEvent)
        if tag := getattr(event, "tag", None):
            short_tag = str(tag).replace("tag:yaml.org,2002:", "!!")
            self._note(path, event, f"expected a plain value, got the tag `{short_tag}`; leave it out")
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        node = self._content(event, path)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _content(self, event: Event, path: Path) -> Node:
        if isinstance(event, MappingStartEvent):
            return self._mapping(event, path)
        if isinstance(event, SequenceStartEvent):
            return self._list(event, path)
        assert isinstance(event, ScalarEvent)
        # Quoted and block scalars are text whatever they look like.
        plain = event.style is None
        return Node(value=scalar(event.value) if plain else event.value, place=_start(event))

    def _alias(self, event: AliasEvent) -> Node:
        if event.anchor not in self.anchors:
            message = f"`*{event.anchor}` has no anchor `&{event.anchor}` above it"
            raise UnreadableYamlError(Problem(message=message, place=_start(event)))
        node = self.anchors[event.anchor]
        if node is None:
            raise UnreadableYamlError(Problem(message=f"`*{event.anchor}` contains itself", place=_start(event)))
        return node

    def _list(self, start: Event, path: Path) -> Node:
        node = Node(value=[], place=_start(start))
        while not isinstance(event := next(self.events), SequenceEndEvent):
            child = self._node(event, (*path, len(node.value)))
            node.value.append(child)
            _count(node, child)
        return node

    def _mapping(self, start: Event, path: Path) -> Node:
        node = Node(value={}, place=_start(start))
        while not isinstance(event := next(self.events), MappingEndEvent):
            key = self._key(event, path)
            value = next(self.events)
            child = self._node(value, (*path, key))
            if isinstance(value, ScalarEvent) and value.style is None and not value.value:
                child.place = _start(event)  # The parser places an empty value at the next token; show its key instead.
            if key in node.key_places:
                self._note((*path, key), event, f"written twice, first at {node.key_places[key]}")
                continue
            if not isinstance(event, ScalarEvent):
                continue
            node.value[key] = child
            node.key_places[key] = _start(event)
            _count(node, child)
        return node

    def _key(self, event: Event, path: Path) -> str:
        if isinstance(event, ScalarEvent):
            return str(event.value)
        self._note(path, event, "expected a word as a key, got a list, a mapping or an alias")
        self._node(event, path)
        return ""

    def _note(self, path: Path, event: Event, message: str) -> None:
        self.problems.append(Problem(label=dotted(path), message=message, path=path, place=_start(event)))


def _count(parent: Node, child: Node) -> None:
    # Aliases of aliases can expand exponentially ("billion laughs"), so expanded values are counted, not written ones.
    parent.num_values += child.num_values
    if parent.num_values > MOST_VALUES:
        raise UnreadableYamlError(Problem(message=f"expands to more than {MOST_VALUES} values", place=parent.place))


def _start(event: Event) -> Place:
    return _place(event.start_mark)
