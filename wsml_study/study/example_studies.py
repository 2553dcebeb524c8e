"""The example studies that come with the package, one of which is the demo: no download, a few minutes on two cores."""

from __future__ import annotations

import difflib
import re
import shlex
from pathlib import Path

from wsml_study.errors import ResultsError

DEMO = "rejection_rate"
HEADER = """\
# yaml-language-server: $schema=study.schema.json
# For completion in your editor: wsml-study schema > study.schema.json
"""
"""In place of the first line of an example, which names the schema of the folder that the examples are in."""


def example_names() -> list[str]:
    """As `init --from` takes them: `voc2012`, `paper/voc2012`."""
    folder = _folder()
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def example_title(name: str) -> str:
    """The first sentence of the comment at the top of an example."""
    comment = _text(name).partition("\n")[2].partition("\nname:")[0].replace("\n# ", " ").removeprefix("# ")
    return re.split(r"(?<=[.?])\s", comment, maxsplit=1)[0]


def example_file(name: str) -> Path:
    """An example where it is installed.

    Raises:
        ResultsError: there is none of that name; the message has all names.
    """
    names = example_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise ResultsError(f"no example study {name!r}; {hint}there are {', '.join(names)}")
    return _folder() / f"{name}.yaml"


def example_for(name: str, path: Path) -> str:
    """The text of an example as a user's file: commands in its comments name that file.

    Raises:
        ResultsError: there is none of that name.
    """
    _, _, text = _text(name).partition("\n")
    return HEADER + text.replace(f"studies/{name}.yaml", shlex.quote(str(path)))


def _text(name: str) -> str:
    return example_file(name).read_text(encoding="utf-8")


def _folder() -> Path:
    """`studies` in an installed package; in a checkout it lies beside the package."""
    package = Path(__file__).parents[1]
    installed = package / "studies"
    return installed if installed.is_dir() else package.parent / "studies"
