"""The server: its tools, and as resources what one needs to write study files and queries."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable
from functools import wraps
from importlib.metadata import version
from pathlib import Path
from typing import ParamSpec, TypeVar

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp_types import ToolAnnotations

from wsml_study.errors import WsmlStudyError, printable
from wsml_study.mcp_server.allowed_paths import AllowedPaths
from wsml_study.mcp_server.study_tools import StudyTools
from wsml_study.methods.explanation import explain, overview
from wsml_study.record.table_docs import tables_page
from wsml_study.study.example_studies import example_for, example_names, example_title
from wsml_study.study.schema import schema_text

P = ParamSpec("P")
R = TypeVar("R")

LARGEST_SHOWN = 1_000_000
"""Bytes; a larger file in the root folder is no study file."""

INSTRUCTIONS = """\
wsml-study finds out by experiment how a weakly supervised multi-label image classifier should treat its unobserved
labels. A study file (YAML) says what to try; `check` validates it, `run` starts it in the background, `status` follows
it, `results`, `query` and `report` read what it found. Everything happens in {root}; paths are relative to it.
Resources: wsml-study://studies (study files and results there), wsml-study://study/PATH (a study file's text),
wsml-study://schema, wsml-study://methods, wsml-study://methods/NAME, wsml-study://tables, wsml-study://examples,
wsml-study://examples/NAME."""

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
STARTS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)


def study_server(allowed: AllowedPaths) -> MCPServer:
    """The server of a root folder; `run("stdio")` serves a client by standard input and output."""
    server = MCPServer(
        name="wsml-study",
        version=version("wsml-study"),
        instructions=INSTRUCTIONS.format(root=allowed.root),
        log_level="WARNING",
    )
    tools = StudyTools(allowed)
    _add_tool(server, tools.check, READS)
    _add_tool(server, tools.run, STARTS)
    _add_tool(server, tools.stop, STARTS)
    _add_tool(server, tools.status, READS)
    _add_tool(server, tools.results, READS)
    _add_tool(server, tools.query, READS)
    _add_tool(server, tools.report, STARTS)
    _add_documentation(server)
    _add_studies(server, allowed)
    return server


def _add_tool(server: MCPServer, tool: Callable[P, Awaitable[R]], annotations: ToolAnnotations) -> None:
    server.add_tool(_told(tool), description=inspect.getdoc(tool), annotations=annotations)


def _told(tool: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """A tool whose errors that the user can mend reach the model as text."""

    @wraps(tool)
    async def telling(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await tool(*args, **kwargs)
        except WsmlStudyError as error:
            raise ToolError(printable(str(error))) from error

    return telling


def _add_documentation(server: MCPServer) -> None:
    def schema() -> str:
        """JSON Schema of study files: every key with its meaning, limits and default."""
        return schema_text()

    def methods() -> str:
        """The ways to treat unobserved labels, a line each."""
        return "\n".join(overview())

    def method(name: str) -> str:
        """A method explained: formula, source, options, published figures."""
        return _or_error(lambda: "\n".join(explain(name)))

    def tables() -> str:
        """The tables that `query` sees: every column with its type, unit and meaning."""
        return tables_page()

    def examples() -> str:
        """The example studies, a line each."""
        return "\n".join(f"{name}: {example_title(name)}" for name in example_names())

    def example(name: str) -> str:
        """The text of an example study."""
        return _or_error(lambda: example_for(name, Path("study.yaml")))

    server.resource("wsml-study://schema", mime_type="application/json")(schema)
    server.resource("wsml-study://methods", mime_type="text/plain")(methods)
    server.resource("wsml-study://methods/{name}", mime_type="text/plain")(method)
    server.resource("wsml-study://tables", mime_type="text/markdown")(tables)
    server.resource("wsml-study://examples", mime_type="text/plain")(examples)
    server.resource("wsml-study://examples/{+name}", mime_type="application/yaml")(example)


def _add_studies(server: MCPServer, allowed: AllowedPaths) -> None:
    def studies() -> str:
        """Study files and folders of results in the root folder, down to two folders deep."""
        folders = {path.parent for path in _found(allowed, "study.yaml") if (path.parent / "events.jsonl").exists()}
        files = [path for path in _found(allowed, "*.yaml") if not any(path.is_relative_to(one) for one in folders)]
        shown = {"files": files, "results": sorted(folders)}
        return json.dumps(
            {name: [str(path.relative_to(allowed.root)) for path in them] for name, them in shown.items()}
        )

    def study(path: str) -> str:
        """The text of a study file in the root folder."""
        return _or_error(lambda: _text(allowed, path))

    server.resource("wsml-study://studies", mime_type="application/json")(studies)
    server.resource("wsml-study://study/{+path}", mime_type="application/yaml")(study)


def _found(allowed: AllowedPaths, pattern: str) -> list[Path]:
    levels = ("", "*/", "*/*/")
    found = [path for level in levels for path in sorted(allowed.root.glob(f"{level}{pattern}"))]
    return [path for path in found if path.resolve().is_relative_to(allowed.root) and path.is_file()]


def _text(allowed: AllowedPaths, path: str) -> str:
    file = allowed.inside(path)
    if file.suffix not in (".yaml", ".yml") or not file.is_file() or file.stat().st_size > LARGEST_SHOWN:
        raise ResourceError(f"{path}: expected a study file (.yaml) of at most {LARGEST_SHOWN:,} bytes")
    return file.read_text(encoding="utf-8", errors="replace")


def _or_error(read: Callable[[], str]) -> str:
    try:
        return read()
    except WsmlStudyError as error:
        raise ResourceError(printable(str(error))) from error
