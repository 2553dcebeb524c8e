"""Commands that make models and use them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsml_study.cli.arguments import Address, DataRoot, progress_of, read, screen, show

PANEL = "Models"

app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="An exported config.", show_default=False)],
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Train with so many seeds, one model each.")] = 1,
    output: Annotated[str, typer.Option("-o", "--output", help="Folder that receives a folder per config.")] = "models",
    restart: Annotated[bool, typer.Option("--restart", help="Set earlier models aside and start anew.")] = False,
    address: Address = None,
    data_root: DataRoot = None,
) -> None:
    """Train a config for good: all epochs, test mAP of the best validation epoch, a model folder per seed."""
    from wsml_study.results.summary import training_summary
    from wsml_study.tuning.final_training import final_training

    console = screen()
    description = read(config, output, data_root)
    with progress_of(console, description) as progress:
        outcome = final_training(description, progress, num_seeds=seeds, restart=restart, address=address)
    show(console, training_summary(outcome.folder))
    if not outcome.finished:
        raise typer.Exit(130)
