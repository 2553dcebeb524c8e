"""Notebooks for tests: executed in a folder, by Jupyter's own client."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest import mock

import nbformat
from nbclient import NotebookClient

LIMIT_S = 300
"""Of one cell."""


def executed(notebook: Path, folder: Path) -> nbformat.NotebookNode:
    """A notebook after all of its cells ran in a folder; the first error of a cell fails the test."""
    content = nbformat.read(notebook, as_version=4)
    nbformat.validate(content)
    # Jupyter's kernels keep their connection files in the folder of the user.
    with mock.patch.dict(
        os.environ, {"JUPYTER_RUNTIME_DIR": str(folder / "jupyter"), "IPYTHONDIR": str(folder / "ipython")}
    ):
        NotebookClient(content, timeout=LIMIT_S, resources={"metadata": {"path": str(folder)}}).execute()
    return content


def shown(content: nbformat.NotebookNode) -> list[dict[str, Any]]:
    """What its cells show, by media type."""
    outputs = (output for cell in content.cells for output in cell.get("outputs", []))
    return [dict(output.data) for output in outputs if "data" in output]


def without_details(content: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """A notebook as the repository keeps it: no times, no paths of this machine, no Vega-Lite beside a picture."""
    for cell in content.cells:
        cell.metadata.pop("execution", None)
        outputs = cell.get("outputs", [])
        outputs[:] = [one for one in outputs if one.get("data", {}).get("text/html") != ""]  # Ray Tune shows nothing
        for output in outputs:
            output.get("data", {}).pop("application/vnd.vegalite.v6+json", None)
            for kind, text in output.get("data", {}).items():
                output.data[kind] = text.replace(f"{folder}/", "") if isinstance(text, str) else text
            if "text" in output:
                output.text = output.text.replace(f"{folder}/", "")
    return content
