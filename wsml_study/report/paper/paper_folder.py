"""Writes the folder of a paper: a document in LaTeX and in Markdown, its tables and figures, references, and data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsml_study.errors import ResultsError
from wsml_study.record.files import write_whole
from wsml_study.record.markup import latex_text, long_latex, markdown, markdown_text
from wsml_study.report.figures.all_figures import SECTIONS
from wsml_study.report.figures.drawing import drawn
from wsml_study.report.figures.figure import Figure
from wsml_study.report.paper.chosen_rows import columns_where
from wsml_study.report.paper.citations import as_latex, as_markdown, bibliography, cited_in, reference_lines
from wsml_study.report.paper.dataset_folder import dataset_files
from wsml_study.report.paper.difference_table import difference_columns
from wsml_study.report.paper.methods_text import methods_text
from wsml_study.report.paper.result_table import ResultTable
from wsml_study.report.paper.settings_table import config_columns, setting_columns
from wsml_study.report.paper.study_columns import columns_of
from wsml_study.results.study_results import StudyRecord, read_record

DOCUMENT = "paper.tex"
ALWAYS_CITED = ("kim2022large",)

PREAMBLE = r"""% Written by wsml-study paper; --overwrite writes it anew.
% Compile with pdflatex, bibtex, pdflatex, pdflatex; where names have letters that pdfLaTeX does not know, with lualatex
% or xelatex in place of pdflatex.
\documentclass{article}
\usepackage{iftex}
\ifpdftex
  \IfFileExists{lmodern.sty}{\usepackage[T1]{fontenc}\usepackage{lmodern}}{}
\else
  \usepackage{fontspec}
\fi
\usepackage[a4paper,margin=2.5cm]{geometry}
\usepackage{array}
\usepackage{booktabs}
\usepackage{longtable}
\usepackage{graphicx}
\setlength{\belowcaptionskip}{6pt}
\newcommand{\fitted}[1]{\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{#1}}
"""


@dataclass(frozen=True, kw_only=True)
class Paper:
    """What was written.

    Attributes:
        folder: that has it all.
        files: in it, relative to it.
        unconfirmed: studies whose numbers are those of a search alone.
        notes: of the table of results.
    """

    folder: Path
    files: tuple[Path, ...]
    unconfirmed: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Content:
    """All that goes into the folder.

    Attributes:
        records: of the studies.
        table: of results.
        texts: the paragraph on the methods of each study, with marks of citations.
        figures: of each study, by its name.
    """

    records: tuple[StudyRecord, ...]
    table: ResultTable
    texts: tuple[str, ...]
    figures: dict[str, tuple[Figure, ...]]

    @property
    def title(self) -> str:
        return f"Results of {', '.join(self.figures)}"

    @property
    def cited(self) -> list[str]:
        return cited_in(" ".join(self.texts))

    def result_parts(self) -> dict[str, str]:
        """The table of results as one tabular, or as several where it is wide."""
        parts = self.table.latex_parts()
        return {"results" if len(parts) == 1 else f"results_{place}": part for place, part in enumerate(parts, start=1)}

    def tables(self) -> dict[str, dict[str, list[str]]]:
        """The tables beside that of results, by name; without those that have no row."""
        found = {
            "differences": difference_columns(self.table.columns),
            "configs": config_columns(self.table.columns),
            "settings": setting_columns([record.study for record in self.records]),
        }
        return {name: columns for name, columns in found.items() if any(columns.values())}


CAPTIONS = {
    "differences": "Confirmed configs against the baseline of their study, in points of test mAP, seed by seed.",
    "configs": "The configs behind the numbers.",
    "settings": "Every key of the studies, defaults included. Searched keys and factors also have lines of their own.",
}
"""Table -> what it shows."""


def write_paper(folders: Sequence[Path], output: Path, *, where: str | None = None, overwrite: bool = False) -> Paper:
    """Write what a paper takes from studies.

    Args:
        folders: of the studies' results.
        output: folder to write to.
        where: a condition on the rows of the table of results, as `columns_where` takes it; None for all.
        overwrite: replace the files of an earlier paper in it.

    Raises:
        ResultsError: a folder holds no study, two studies have one name, no trial has a value yet, the condition is
            invalid or nothing meets it, or the output has something else in it.
        StudyFileError: a study file is damaged.
    """
    content = _content(folders, where)
    files = dict(_files(content))
    _check_output(output, files, overwrite=overwrite)
    for path, written in files.items():
        write_whole(output / path, written)
    return Paper(
        folder=output,
        files=tuple(files),
        unconfirmed=tuple(dict.fromkeys(column.study for column in content.table.unconfirmed())),
        notes=tuple(content.table.notes()),
    )


def _content(folders: Sequence[Path], where: str | None) -> _Content:
    records = tuple(read_record(folder) for folder in folders)
    names = [record.study.name for record in records]
    if again := next((name for name in names if names.count(name) > 1), None):
        raise ResultsError(f"expected studies of different names, got {again!r} twice; name each study once")
    columns = tuple(column for record in records for column in columns_of(record))
    if empty := next((column for column in columns if not column.cells), None):
        raise ResultsError(f"{empty.study}: no trial has a value yet; leave the study out, or let it run")
    if where is not None:
        columns = columns_where(columns, where)
    return _Content(
        records=records,
        table=ResultTable(columns=columns),
        texts=tuple(methods_text(record) for record in records),
        figures={record.study.name: tuple(_figures(record)) for record in records},
    )


def _figures(record: StudyRecord) -> Iterator[Figure]:
    made = (make(record) for section in SECTIONS for make in section.figures)
    return (figure for figure in made if isinstance(figure, Figure))


def _files(content: _Content) -> Iterator[tuple[Path, bytes]]:
    """Path in the folder -> content."""
    yield Path(DOCUMENT), _latex_document(content).encode()
    yield Path("paper.md"), _markdown_document(content).encode()
    yield Path("references.bib"), bibliography(dict.fromkeys([*content.cited, *ALWAYS_CITED])).encode()
    yield Path("methods.tex"), "\n\n".join(map(as_latex, content.texts)).encode() + b"\n"
    yield Path("methods.md"), "\n\n".join(map(as_markdown, content.texts)).encode() + b"\n"
    for name, part in content.result_parts().items():
        yield Path(f"tables/{name}.tex"), part.encode()
    yield Path("tables/results.md"), content.table.markdown().encode()
    yield Path("tables/notes.tex"), latex_text(_sentences(content.table.notes())).encode() + b"\n"
    for name, columns in content.tables().items():
        yield Path(f"tables/{name}.tex"), f"{long_latex(columns)}\n".encode()
        yield Path(f"tables/{name}.md"), f"{markdown(columns)}\n".encode()
    for study, figures in content.figures.items():
        for figure in figures:
            yield Path(f"figures/{study}/{figure.name}.pdf"), drawn(figure, "pdf")
    for name, written in dataset_files(content.records, content.table.columns, title=content.title).items():
        yield Path(f"dataset/{name}"), written


def _check_output(output: Path, files: dict[Path, bytes], *, overwrite: bool) -> None:
    if output.exists() and not output.is_dir():
        raise ResultsError(f"{output}: expected a folder to write to, got a file")
    # Drawing a figure twice gives PDFs of other bytes, and nobody edits one.
    there = [path for path in files if path.suffix != ".pdf" and (output / path).exists()]
    differ = [path for path in there if not (output / path).is_file() or (output / path).read_bytes() != files[path]]
    if differ and not overwrite:
        raise ResultsError(
            f"{output / differ[0]} exists and differs from what would be written; name another folder, or give "
            "--overwrite, which loses what you changed in it"
        )


def _latex_document(content: _Content) -> str:
    parts = [
        PREAMBLE,
        rf"\title{{{latex_text(content.title)}}}",
        "\\date{}\n\\begin{document}\n\\maketitle\n",
        "\\section{Methods}\n\\input{methods}\n",
        "\\section{Results}",
        *_latex_results(content),
        "\\section{Figures}",
        *_latex_figures(content),
        *_latex_tables(content),
        "\\bibliographystyle{plain}\n\\bibliography{references}\n\\end{document}\n",
    ]
    return "\n".join(parts)


def _latex_results(content: _Content) -> Iterator[str]:
    """The table of results with its notes."""
    yield r"\begin{table}[tp]\centering"
    yield r"\caption{Methods by datasets. What the numbers are, and how they were tested, is below.}\label{tab:results}"
    for name in content.result_parts():
        yield rf"\fitted{{\input{{tables/{name}}}}}\par\medskip"
    yield "\\begin{minipage}{\\linewidth}\\footnotesize\\input{tables/notes}\\end{minipage}\n\\end{table}"


def _latex_tables(content: _Content) -> Iterator[str]:
    """The other tables, which go on over pages."""
    yield "\\section{Tables}\n\\footnotesize\\setlength{\\tabcolsep}{4pt}"
    for name in content.tables():
        yield rf"\noindent {latex_text(CAPTIONS[name])} \input{{tables/{name}}}"
    yield r"\normalsize"


def _latex_figures(content: _Content) -> Iterator[str]:
    """The figures of each study; LaTeX keeps 52 floats at a time, so they are set before those of the next."""
    for study, figures in content.figures.items():
        for figure in figures:
            path = f"figures/{study}/{figure.name}.pdf"
            yield r"\begin{figure}[p]\centering"
            yield rf"\includegraphics[width=\linewidth,height=.6\textheight,keepaspectratio]{{{path}}}"
            yield rf"\caption{{{latex_text(f'{study}: {figure.title}. {figure.caption}')}}}"
            yield r"\end{figure}"
        yield r"\clearpage"


def _markdown_document(content: _Content) -> str:
    parts = [f"# {markdown_text(content.title)}", "## Methods", *map(as_markdown, content.texts), "## Results"]
    parts += [content.table.markdown(), "\n".join(f"- {markdown_text(note)}." for note in content.table.notes())]
    parts.append("## Figures")
    for study, figures in content.figures.items():
        for figure in figures:
            link = f"[{markdown_text(f'{study}: {figure.title}')}](figures/{study}/{figure.name}.pdf)"
            parts.append(f"{link}. {markdown_text(figure.caption)}")
    parts.append("## Tables")
    for name, columns in content.tables().items():
        parts += [markdown_text(CAPTIONS[name]), markdown(columns)]
    return "\n\n".join([*parts, "## References", "\n".join(reference_lines(content.cited))]) + "\n"


def _sentences(notes: Sequence[str]) -> str:
    return " ".join(f"{note}." for note in notes)
