"""The demo study in place of a study file: `wsml-study check --demo`, `wsml-study run --demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsml_study.errors import ResultsError

StudyOrDemo = Annotated[
    Path | None, typer.Argument(metavar="STUDY", help="A study file (YAML), unless --demo.", show_default=False)
]
Demo = Annotated[
    bool,
    typer.Option("--demo", help="The demo study in place of a file of yours: no download, a few minutes on two cores."),
]


def study_to_check(study: Path | None, demo: bool) -> Path:
    """The study file that a command was given, or that of the demo where it is installed."""
    from wsml_study.study.example_studies import DEMO, example_file

    return example_file(DEMO) if _wants_demo(study, demo) or study is None else study


def study_to_run(study: Path | None, demo: bool) -> Path:
    """The study file that a command was given, or the demo's, written to this folder for the commands that follow.

    Raises:
        ResultsError: another file of its name is here.
    """
    from wsml_study.record.files import write_whole
    from wsml_study.study.example_studies import DEMO, example_for

    if not _wants_demo(study, demo) and study is not None:
        return study
    path = Path(f"{DEMO}.yaml")
    text = example_for(DEMO, path).encode()
    if not path.exists():
        write_whole(path, text)
        print(f"wrote {path}, the demo study")
    elif path.read_bytes() != text:
        raise ResultsError(
            f"{path} is here already and is not the demo study as it comes with this version; `wsml-study run {path}` "
            f"runs it, and in another folder --demo writes its own"
        )
    return path


def _wants_demo(study: Path | None, demo: bool) -> bool:
    if demo == (study is not None):
        raise typer.BadParameter(
            "both a study file and --demo" if demo else "Missing argument: a study file, or --demo", param_hint="STUDY"
        )
    return demo
