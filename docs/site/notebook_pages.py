"""Notebooks as pages of the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def notebook_page(notebook: Mapping[str, Any]) -> str:
    """A notebook as a page: its text, its code, and what the code showed."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif source:
            parts += [f"```python\n{source}\n```", *map(output, cell["outputs"])]
    return "\n\n".join(parts) + "\n"


def output(shown: Mapping[str, Any]) -> str:
    """An output of a cell: HTML, or text."""
    if shown["output_type"] == "stream":
        return f"```text\n{''.join(shown['text']).rstrip()}\n```"
    data = shown["data"]
    if "text/html" in data:
        shown_html = "".join(data["text/html"])
        # A blank line would end the HTML in Markdown; in preformatted text a line end is kept as an entity.
        on_one_line = shown_html.replace("\n", "&#10;" if "<pre>" in shown_html else " ")
        return f'<div class="output" style="overflow-x: auto">{on_one_line}</div>'
    return f"```text\n{''.join(data['text/plain'])}\n```"
