"""The command that finds training labels which are probably missing or wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsml_study.cli.arguments import DataRoot, Storage, StudyOrFolder, argument, read_or_recall
from wsml_study.cli.models import Device, OnDevice
from wsml_study.cli.output import FormatOption, OutputFile, deliver, say
from wsml_study.record.formats import Format, rendered

if TYPE_CHECKING:
    import pyarrow as pa

    from wsml_study.record.storage import StudyStorage
    from wsml_study.study.spec import Study

PANEL = "Results"
PAGE_SUFFIXES = (".html", ".htm", ".csv")

app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def audit(
    study: StudyOrFolder,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Parts that the training images are divided into.")] = 5,
    top: Annotated[int, typer.Option(min=1, max=10, help="Methods whose best trials judge.")] = 3,
    page: Annotated[
        Path | None,
        typer.Option(
            help="Write a page (.html), or a table (.csv), that asks a person about the most doubtful labels."
        ),
    ] = None,
    answers: Annotated[int, typer.Option(min=1, max=5000, help="With --page: number of questions.")] = 100,
    apply: Annotated[
        list[Path] | None,
        typer.Option(
            help="Answers to such questions, from the page or the table: nothing is trained, and the labels with all "
            "answers so far are written to the new table that -o names.",
            show_default=False,
        ),
    ] = None,
    form: FormatOption = None,
    output: OutputFile = None,
    device: OnDevice = Device.AUTO,
    storage: Storage = None,
    data_root: DataRoot = None,
) -> None:
    """Find unobserved training labels that are probably positive, and given ones that are probably wrong.

    The best trials' configs are trained again without each fold of the images and judge its labels. The table
    audit.parquet in the study's folder has the doubtful labels, the most doubtful first; -o writes it as CSV too.
    """
    from wsml_study.record.storage import open_results

    description = read_or_recall(study, storage, data_root)
    place = open_results(description.storage, description.name)
    if apply:
        _apply(apply, description, place, output)
        return
    from wsml_study.cli.progress import counting
    from wsml_study.inference.model import device_of
    from wsml_study.inference.study_audit import AUDIT, audit_labels, plan_audit
    from wsml_study.report.question_files import refuse_existing

    if page is not None:
        if page.suffix.lower() not in PAGE_SUFFIXES:
            wanted = " or ".join(PAGE_SUFFIXES)
            raise typer.BadParameter(f"expected a {wanted} file, got {page}", param_hint="--page")
        refuse_existing(page)
    plan = plan_audit(place.fetch(), description.data, top=top, num_folds=folds)
    for line in plan.lines():
        say(line)
    with counting("trainings done") as progress:
        found = audit_labels(plan, device=device_of(device), progress=progress)
    place.write(AUDIT, rendered(found.rows, Format.PARQUET))
    for line in ("", *found.lines(), "", f"{place.described}/{AUDIT}: {found.rows.num_rows:,} labels"):
        say(line)
    if form is not None or output is not None:
        deliver(found.rows, form, output)
    if page is not None:
        _ask(found.rows, page, answers, description, place, argument(study, storage))


def _ask(rows: pa.Table, page: Path, num: int, description: Study, place: StudyStorage, study_argument: str) -> None:
    """Write the page or table of questions."""
    from wsml_study.record.answer_log import AnswerLog
    from wsml_study.record.files import write_whole
    from wsml_study.report.audit_questions import audit_set
    from wsml_study.report.question_files import question_pictures
    from wsml_study.report.question_page import question_page
    from wsml_study.report.question_tasks import TaskForm, question_tasks

    log = AnswerLog(place)
    asked = audit_set(rows, log, name=description.name, num=num)
    if page.suffix.lower() == ".csv":
        [content] = question_tasks(asked, {}, TaskForm.CSV).values()
    else:
        command = f"wsml-study audit {study_argument} --apply {{file}} -o NEW_LABELS.csv"
        content = question_page(asked, question_pictures(description.data, asked), command=command).encode()
    log.add_set(asked)  # first: a page whose set the log does not have would be answered in vain
    write_whole(page, content)
    say(f"wrote {page}: set {asked.number}, {len(asked.questions):,} questions about training images")
    say(f"Then: wsml-study audit {study_argument} --apply FILE -o NEW_LABELS.csv")


def _apply(files: Sequence[Path], description: Study, place: StudyStorage, output: Path | None) -> None:
    """Take answers into the log, and write the labels with all of them."""
    from wsml_study.errors import ResultsError
    from wsml_study.record.agreed_answers import agreed
    from wsml_study.record.answer_files import read_answers
    from wsml_study.record.answer_log import AnswerLog
    from wsml_study.record.formats import write_new
    from wsml_study.report.audit_questions import AUDIT_KIND, audit_answers
    from wsml_study.report.corrected_labels import corrected_labels

    if output is None or output.suffix.lower() != ".csv":
        raise typer.BadParameter("--apply needs the new table, -o NEW_LABELS.csv", param_hint="-o")
    place.fetch()
    log = AnswerLog(place)
    sets = log.question_sets()
    of_audits = {one.number for one in sets if one.kind == AUDIT_KIND}
    given = [(file, read_answers(file, sets)) for file in files]
    for file, answers in given:
        if any(answer.set_number not in of_audits for answer in answers):
            raise ResultsError(
                f"{file}: these answer questions of `ask` about validation images; `wsml-study answers` takes them"
            )
    for _, answers in given:
        log.append(answers)
    found = agreed(audit_answers(log))
    corrected = corrected_labels(description.data, found.replies)
    write_new(output, corrected.text.encode())
    say(f"{len(found.replies):,} labels have answers")
    for what, pairs in (("people disagree", found.disputed), ("one person has said both", found.changed)):
        for image, class_name in pairs:
            say(f"  {what}: {class_name} in {image}")
    for line in corrected.lines():
        say(line)
    say(f"wrote {output}")
    say(f"Next study: another `name`, and this file as `file` under data.labels{_how(corrected.is_own)}")


def _how(is_own: bool) -> str:
    return "" if is_own else ", with `dataset: table` and `split_column: split`"
