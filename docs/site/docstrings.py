"""The reference page of Python: what programs call, from the docstrings, without importing it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "wsml_study"

INTRODUCTION = (
    "What `import wsml_study` and `from wsml_study import losses` offer; [From Python](../python.md) shows how it is "
    "used."
)

API = {
    "Studies": {"python_api": ("Study", "run")},
    "Results": {"report/loading": ("load", "StudyResults"), "report/notebook": ("StudyFigure",)},
    "Models": {
        "inference/model": ("load_model", "Model"),
        "inference/thresholds": ("choose_thresholds",),
        "inference/pointing_game": ("play_pointing_game",),
    },
    "Losses": {"losses": ()},
}
"""Heading -> module -> what of it users call; all that is public where nothing is named."""

SECTION = re.compile(r"^(Args|Returns|Raises|Attributes|Yields):$")


def python_page() -> str:
    """What Python programs use, from the docstrings."""
    parts = [
        "# Python",
        INTRODUCTION,
    ]
    for heading, modules in API.items():
        parts.append(f"## {heading}")
        for module, names in modules.items():
            parts += list(_documented(PACKAGE / f"{module}.py", names))
    return "\n\n".join(parts) + "\n"


def _documented(path: Path, names: tuple[str, ...]) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        if names and node.name not in names:
            continue
        yield f"### {node.name}"
        yield from _entry(node)
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                    yield f"#### {node.name}.{method.name}"
                    yield from _entry(method)


def _entry(node: ast.FunctionDef | ast.ClassDef) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef):
        is_value = any("property" in ast.unparse(one) for one in node.decorator_list)
        returns = ast.unparse(node.returns) if node.returns else "None"
        called = f"{node.name}({_arguments(node)}) -> {returns}"
        yield f"```python\n{f'{node.name}: {returns}' if is_value else called}\n```"
    yield markdown_of(ast.get_docstring(node) or "")


def _arguments(node: ast.FunctionDef) -> str:
    text = ast.unparse(node.args)
    return re.sub(r"^(self|cls)(, )?", "", text)


def markdown_of(docstring: str) -> str:
    """A docstring as Markdown: its sections as lists, its examples as code."""
    lines: list[str] = []
    for block in docstring.split("\n\n"):
        first, *rest = block.splitlines() or [""]
        if SECTION.match(first):
            lines += ["", f"**{first.removesuffix(':')}**", ""]
            for line in rest:
                entry = re.match(r"^    (\S[^:]*): (.*)$", line)
                lines.append(f"- `{entry[1]}`: {entry[2]}" if entry else f"  {line.strip()}")
        elif first.startswith(">>>"):
            lines += ["", "```python", first, *rest, "```"]
        else:
            lines += ["", first, *rest]
    return "\n".join(lines).strip()
