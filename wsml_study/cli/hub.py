"""The command that publishes a model or a study on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsml_study.cli.arguments import Storage, folder_of
from wsml_study.cli.output import say

app = typer.Typer()


@app.command(rich_help_panel="Models")
def push(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL_OR_STUDY",
            help="Folder of a trained model; or a study file, or the folder of its results.",
            show_default=False,
        ),
    ],
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository.", show_default=False)],
    private: Annotated[bool, typer.Option("--private", help="Only its owner sees a new repository.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be uploaded, upload nothing.")] = False,
    strip_paths: Annotated[
        bool, typer.Option("--strip-paths", help="Leave only the last part of absolute paths, which are refused else.")
    ] = False,
    storage: Storage = None,
) -> None:
    """Publish a model with its card, or a study's tables as a data set with its card, on the Hugging Face hub.

    Secrets and absolute paths are refused. HF_TOKEN, or `hf auth login`, gives the token.
    """
    from wsml_study.record.model_folder import WEIGHTS_FILE
    from wsml_study.report.hub_push import planned_upload
    from wsml_study.report.hub_push import push as upload

    is_model = (source / WEIGHTS_FILE).exists()
    planned = planned_upload(source if is_model else folder_of(source, storage), repo, strip_paths=strip_paths)
    for line in planned.lines():
        say(line)
    if dry_run:
        say("nothing was uploaded")
        return
    say(f"published: {upload(planned, private=private)}")
