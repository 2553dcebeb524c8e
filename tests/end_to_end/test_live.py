"""What others see of a study that was killed and went on: Optuna's dashboard, TensorBoard, the report."""

from __future__ import annotations

import re

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tests.browser import opened
from tests.end_to_end.interrupted_study import LOG, STUDY
from tests.end_to_end.processes import kill_driver
from tests.end_to_end.progress import wait_for_epochs
from tests.tuning.dashboards import assert_dashboards_show
from wsml_study.results.study_results import read_record
from wsml_study.study.objective_section import Objective

DRAWN = "document.documentElement.dataset.figures === 'drawn'"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_that_was_killed_is_shown_whole_and_once_by_every_dashboard_and_by_the_report(cli):
    cli.write("study.yaml", STUDY)
    process = cli.start("run", "study.yaml")
    wait_for_epochs(process, cli.folder / LOG, 5)
    folder = cli.folder / "results" / "interrupted"
    running = optuna.load_study(
        study_name=None, storage=JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    )
    assert any(trial.state.name == "RUNNING" for trial in running.trials)
    assert "This study is not finished" in prose(cli("report", "study.yaml"), folder)
    kill_driver(process)
    cli("run", "study.yaml")
    assert_dashboards_show(folder, "interrupted", 8)
    record = read_record(folder)
    shown = optuna.load_study(study_name=None, storage=JournalStorage(JournalFileBackend(str(folder / "journal.log"))))
    assert [trial.number for trial in shown.trials] == list(range(8))
    for trial in shown.trials:
        history = record.history.trials[trial.number]
        assert trial.intermediate_values == history.values_by_epoch(Objective())
        assert trial.params == history.values
    assert "8 trials" in prose(cli("report", "study.yaml", "--figures", "figures", "--format", "png"), folder)
    assert {path.suffix for path in (cli.folder / "figures").iterdir()} == {".png"}
    with opened((folder / "report.html").as_uri(), width=390) as page:
        page.wait_until(DRAWN)
        assert page.complaints == []
        assert page.requests == [(folder / "report.html").as_uri()]


def prose(printed: str, folder) -> str:
    """The text of the report that a command says it has written."""
    assert f"wrote {folder / 'report.html'}: " in printed
    return re.sub(r"<[^>]+>", " ", (folder / "report.html").read_text())
