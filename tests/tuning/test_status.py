"""What `status` and `stop` say of studies that do not run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from wsml_study.errors import ResultsError
from wsml_study.results.ranking import ranked_trials
from wsml_study.tuning.status import stop_study, study_status

RECORDED = Path(__file__).parents[1] / "recorded"


@pytest.fixture
def storage(tmp_path: Path) -> str:
    for name in ("finished", "interrupted", "confirmed"):
        shutil.copytree(RECORDED / name / "results" / name, tmp_path / name)
    return str(tmp_path)


@pytest.mark.parametrize("name", ["finished", "interrupted"])
def test_the_best_trial_is_the_one_that_results_rank_first(name: str, storage: str) -> None:
    first = ranked_trials(Path(storage) / name).iloc[0]
    assert study_status(storage, name).as_json()["best"] == {"trial": first["trial"], "value": first["value"]}


def test_unfinished_trials_of_a_study_that_does_not_run_are_called_interrupted(storage: str) -> None:
    lines = study_status(storage, "interrupted").lines()
    assert "2 interrupted" in lines[1], lines
    assert not any("running" in line for line in lines)


def test_of_many_trials_at_work_some_have_a_line(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsml_study.tuning.status.MOST_SHOWN", 1)
    status = study_status(storage, "interrupted")
    shown = [line for line in status.lines() if line.startswith("  ")]
    assert len(shown) == 2
    assert shown[0].startswith("  trial 1: ")
    assert shown[1] == "  and 1 more; `--json` has all"
    assert len(status.as_json()["running"]) == 2


@pytest.mark.parametrize(
    ("name", "expected"), [("finished", "has finished .* nothing to stop"), ("interrupted", "run` resumes it")]
)
def test_stop_says_what_became_of_a_study_that_does_not_run(name: str, expected: str, storage: str) -> None:
    with pytest.raises(ResultsError, match=expected):
        stop_study(storage, name, notify=print)


def test_a_confirmation_that_was_cut_short_is_named(storage: str) -> None:
    assert study_status(storage, "confirmed").lines()[0].endswith(": finished")
    log = Path(storage) / "confirmed" / "confirm" / "events.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    first_end = next(number for number, line in enumerate(lines) if '"ended"' in line)
    log.write_text("".join(lines[: first_end + 1]))
    told = study_status(storage, "confirmed").lines()
    assert told[0].endswith(": search finished, confirmation interrupted")
    kept, remedy = told[-1].split("; ")
    assert kept == "What has ended is kept, and the last checkpoint of interrupted trials"
    assert remedy == "`wsml-study confirm` goes on with it."
