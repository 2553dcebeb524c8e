"""Commands that ask people about validation photos and take their answers into a study."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsml_study.cli.arguments import DataRoot, Storage, StudyOrFolder, argument, place_of, read_or_recall
from wsml_study.cli.output import FormatOption, OutputFile, deliver, say

if TYPE_CHECKING:
    from wsml_study.record.answer_log import AnswerLog
    from wsml_study.record.questions import QuestionSet
    from wsml_study.record.storage import StudyStorage
    from wsml_study.study.data_section import Data

PANEL = "Results"

app = typer.Typer()


class QuestionForm(StrEnum):
    """How questions are asked."""

    HTML = "html"
    CSV = "csv"
    LABEL_STUDIO = "label-studio"
    CVAT = "cvat"


@app.command(rich_help_panel=PANEL)
def ask(
    study: StudyOrFolder,
    answers: Annotated[int, typer.Option(min=1, max=5000, help="Number of questions.")] = 50,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The file to write, or the folder for the files of label-studio and cvat. Default: "
            "NAME-questions-NUMBER.html in the current folder.",
        ),
    ] = None,
    form: Annotated[
        QuestionForm | None,
        typer.Option("--format", help="Default: html, or csv by the suffix of the output file."),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve the page on this machine, and keep every answer as it is given.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="With --serve: the port, by default any free one.")] = 0,
    again: Annotated[bool, typer.Option("--again", help="Also ask what was asked before and is still open.")] = False,
    number: Annotated[
        int | None, typer.Option("--set", min=1, help="Show this set of questions again, in place of new ones.")
    ] = None,
    storage: Storage = None,
    data_root: DataRoot = None,
) -> None:
    """Ask people about the validation photos whose unknown labels decide most between the trials.

    Writes one HTML file that works offline: photo, "Is there a dog?", yes, no, cannot say.
    """
    from wsml_study.record.answer_log import AnswerLog
    from wsml_study.report.question_files import next_set, question_pictures, refuse_existing, write_questions
    from wsml_study.report.question_tasks import TaskForm

    place = _storage_of(study, storage)
    folder, log = place.fetch(), AnswerLog(place)
    form = form or (QuestionForm.CSV if output is not None and output.suffix.lower() == ".csv" else QuestionForm.HTML)
    if output is not None and form in PAGE_SUFFIXES and output.suffix.lower() not in PAGE_SUFFIXES[form]:
        wanted = " or ".join(PAGE_SUFFIXES[form])
        raise typer.BadParameter(f"expected a {wanted} file for {form.value}, got {output}", param_hint="--output")
    if serve and (form is not QuestionForm.HTML or output is not None):
        raise typer.BadParameter("serves the page and writes no file", param_hint="--serve")
    if number is None:
        asked = next_set(folder, log, name=folder.name, num=answers, again=again)
    else:
        asked = _earlier_set(log, number)
    suffix = {QuestionForm.HTML: ".html", QuestionForm.CSV: ".csv"}.get(form, "")
    output = output or Path(f"{folder.name}-questions-{asked.number}{suffix}")
    if not serve:
        refuse_existing(output)
    data = _data_of(folder, data_root)
    pictures = {} if form is QuestionForm.CSV else question_pictures(data, asked)
    if number is None:
        log.add_set(asked)  # first: a page whose set the log does not have would be answered in vain
    named = argument(study, storage)
    if serve:
        _serve(asked, pictures, log, folder=folder, study_argument=named, port=port)
        return
    task_form = None if form is QuestionForm.HTML else TaskForm(form.value)
    paths = write_questions(asked, pictures, output, task_form, study_argument=named)
    num_images = len({question.image for question in asked.questions})
    num = f"{len(asked.questions):,} {'question' if len(asked.questions) == 1 else 'questions'}"
    say(f"Set {asked.number}: {num} about {num_images:,} validation images, the most useful first")
    for path in paths:
        say(f"wrote {path} ({_size_text(path.stat().st_size)})")
    say(HOW_TO_ANSWER[form])
    say(f"Then: wsml-study answers {named} FILE")


def _size_text(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.2f} MB" if num_bytes >= 100_000 else f"{num_bytes / 1e3:.1f} KB"


PAGE_SUFFIXES = {QuestionForm.HTML: (".html", ".htm"), QuestionForm.CSV: (".csv",)}
"""What the file of a form that is one file may end in."""

HOW_TO_ANSWER = {
    QuestionForm.HTML: "Open it in a browser, here or elsewhere; answer by y, n, u or by tap; download the answers.",
    QuestionForm.CSV: "Fill in its column `answer`: yes, no or unsure; `by` is who answers. Save it as CSV.",
    QuestionForm.LABEL_STUDIO: "Import tasks.json into Label Studio, with labeling_config.xml; export it as JSON.",
    QuestionForm.CVAT: "Create a CVAT task with labels.json and images.zip, upload annotations.xml; export it as "
    "CVAT for images.",
}


@app.command(rich_help_panel=PANEL)
def answers(
    study: StudyOrFolder,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Answers: the page's download, the filled-in CSV, an export of Label Studio or CVAT. Without a file "
            "the command shows how things stand.",
            show_default=False,
        ),
    ] = None,
    earlier: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="STUDY",
            help="Also take the answers that an earlier study on the same photos has, where they are about labels that "
            "are unknown here.",
            show_default=False,
        ),
    ] = None,
    listed: Annotated[bool, typer.Option("--show", help="List every answer, with who gave it and when.")] = False,
    form: FormatOption = None,
    output: OutputFile = None,
    storage: Storage = None,
) -> None:
    """Take people's answers into a study, and show what they change; files are taken whole or not at all."""
    from wsml_study.record.answer_files import read_answers
    from wsml_study.record.answer_log import AnswerLog
    from wsml_study.report.answer_summary import reply_counts
    from wsml_study.results.earlier_answers import earlier_answers

    place = _storage_of(study, storage)
    folder, log = place.fetch(), AnswerLog(place)
    given = [(file, read_answers(file, log.question_sets())) for file in files or ()]
    for file, found in given:
        num_new = log.append(found)
        rest = "" if num_new == len(found) else f", {num_new:,} of them new"
        say(f"{file}: {reply_counts([answer.answer for answer in found])}{rest}")
    if earlier is not None:
        taken = earlier_answers(folder, log, AnswerLog(_storage_of(earlier, None)), name=folder.name)
        log.add_set(taken.asked)
        log.append(taken.answers)
        rest = f"; {taken.num_elsewhere:,} more are not about unknown labels here" if taken.num_elsewhere else ""
        say(f"{earlier}: {reply_counts([answer.answer for answer in taken.answers])} taken over{rest}")
    if listed or output is not None or form is not None:
        import pyarrow as pa

        rows = [answer.model_dump(mode="json") for answer in log.read()]
        names = ["set_number", "image", "class_name", "answer", "by", "at"]
        deliver(pa.table({name: [row[name] for row in rows] for name in names}), form, output)
        return
    _show_state(place.fetch() if given or earlier else folder, log, argument(study, storage))


def _show_state(folder: Path, log: AnswerLog, named: str) -> None:
    """Print how far the questions are answered, and the ranking by the answers."""
    from wsml_study.report.answer_summary import answered_lines, hidden_lines, log_lines
    from wsml_study.report.summary import trials_table
    from wsml_study.results.ranking import ranked_trials

    lines = log_lines(log)
    by_answers = answered_lines(folder, study_argument=named)
    if by_answers:
        lines += ["", *trials_table(ranked_trials(folder).head(10)), "", *by_answers, *hidden_lines(folder)]
    elif not log.question_sets():
        lines.append(f"  wsml-study ask {named} --answers 50")
    for line in lines:
        say(line)


def _storage_of(study: Path, storage: str | None) -> StudyStorage:
    """Storage of a study that has results.

    Raises:
        ResultsError: it has none.
    """
    from wsml_study.errors import ResultsError

    if study.is_dir() and not (study / "study.yaml").exists():
        raise ResultsError(f"{study}: no results of a study; `wsml-study run` writes them")
    return place_of(study, storage)


def _data_of(folder: Path, data_root: str | None) -> Data:
    return read_or_recall(folder, None, data_root).data


def _earlier_set(log: AnswerLog, number: int) -> QuestionSet:
    from wsml_study.errors import ResultsError

    sets = log.question_sets()
    if number > len(sets):
        raise ResultsError(
            f"--set {number}: the study has asked {len(sets)} {'set' if len(sets) == 1 else 'sets'} so far"
        )
    return sets[number - 1]


def _serve(
    asked: QuestionSet, pictures: dict[str, bytes], log: AnswerLog, *, folder: Path, study_argument: str, port: int
) -> None:
    """Serve the page until Ctrl-C, and show what has come of it."""
    from wsml_study.report.question_page import question_page
    from wsml_study.report.question_server import served_questions

    def page(reply_to: str) -> str:
        return question_page(asked, pictures, answers=log.read(), reply_to=reply_to)

    with served_questions(asked, page, log.append, port=port) as (address, complete):
        print(f"Set {asked.number}: {len(asked.questions):,} questions at {address}", flush=True)
        print(f"Every answer is kept at once. Ctrl-C ends; `--set {asked.number}` goes on later.", flush=True)
        try:
            complete.wait()
            print("Every question is answered. Ctrl-C ends.", flush=True)
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            print()
    _show_state(folder, log, study_argument)
