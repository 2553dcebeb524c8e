"""The command that writes what a paper takes from studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsml_study.cli.arguments import Storage, folder_of
from wsml_study.cli.output import say

app = typer.Typer()


@app.command(rich_help_panel="Results")
def paper(
    studies: Annotated[
        list[Path], typer.Argument(metavar="STUDY...", help="Study files, or folders of results.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write to.", show_default=False)],
    where: Annotated[
        str | None,
        typer.Option(
            help="Only rows of the table of results that meet this condition, such as \"method != 'LL-Cp'\"; what is "
            "left out is said below the table."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier paper in it.")] = False,
    storage: Storage = None,
) -> None:
    """Write a paper's tables, figures, text on the methods, references and data: LaTeX, Markdown, PDF, Parquet.

    The best method of a confirmed study is bold, those that its tests do not tell apart from it are underlined.
    Studies that are not confirmed are said to be, and nothing in them is marked.
    """
    from wsml_study.report.paper.paper_folder import write_paper

    written = write_paper([folder_of(study, storage) for study in studies], output, where=where, overwrite=overwrite)
    for note in written.notes:
        say(f"{note}.")
    say("")
    for study in written.unconfirmed:
        say(f"{study} is not confirmed: nothing of it is marked; `wsml-study confirm` runs its best configs again.")
    say(f"wrote {len(written.files)} files to {written.folder}:")
    say("  paper.tex, paper.md    the document; pdflatex, bibtex, pdflatex, pdflatex make a PDF of it")
    say("  methods, tables/       its parts, as .tex and .md")
    say(f"  figures/               {sum(path.suffix == '.pdf' for path in written.files)} figures as PDF")
    say("  references.bib         what the text cites")
    say("  dataset/               the results as Parquet, with a card")
