"""The command that finds training labels which are probably missing or wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from wsml_study.cli.arguments import DataRoot, Storage, StudyOrFolder, read_or_recall
from wsml_study.cli.models import Device, OnDevice
from wsml_study.cli.output import FormatOption, OutputFile, deliver, say
from wsml_study.record.formats import Format, rendered

if TYPE_CHECKING:
    from wsml_study.record.storage import StudyStorage
    from wsml_study.study.spec import Study

PANEL = "Results"

app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def audit(
    study: StudyOrFolder,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Parts that the training images are divided into.")] = 5,
    top: Annotated[int, typer.Option(min=1, max=10, help="Methods whose best trials judge.")] = 3,
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
    from wsml_study.cli.progress import counting
    from wsml_study.inference.model import device_of
    from wsml_study.inference.study_audit import AUDIT, audit_labels, plan_audit

    description = read_or_recall(study, storage, data_root)
    place = _storage_of(description)
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


def _storage_of(description: Study) -> StudyStorage:
    """Storage of a study that has results.

    Raises:
        ResultsError: it has none.
    """
    from wsml_study.errors import ResultsError
    from wsml_study.record.storage import open_storage

    place = open_storage(description.storage, description.name)
    if not place.exists():
        raise ResultsError(
            f"{place.described}: no results of study {description.name} yet; `wsml-study run` makes them"
        )
    return place
