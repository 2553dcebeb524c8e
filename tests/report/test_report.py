"""The report as a file: its answer, what it holds, that it loads nothing, its size."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest
from pyarrow import fs

from tests.sample_studies.stories import small_study, told_events
from tests.sample_studies.synthetic import (
    synthetic_confirmation,
    synthetic_events,
    synthetic_study,
    write_events,
    write_folder,
)
from wsml_study.errors import ResultsError
from wsml_study.record.label_tables import CORRECTIONS
from wsml_study.report.html_report import write_report
from wsml_study.results.study_results import read_record
from wsml_study.results.verdicts import Verdict

MOST_BYTES = 5e6


@pytest.fixture
def told(tmp_path) -> Path:
    study, folder = small_study(), tmp_path / "told"
    write_folder(folder, study, told_events(study))
    return folder


def written(folder: Path, **options) -> str:
    """The text of a report as a reader sees it."""
    report = write_report(folder, folder / "report.html", address=str(folder), **options)
    text = re.sub(r"<(script|style).*?</\1>", "", report.path.read_text(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text)))


def confirmed(tmp_path: Path) -> Path:
    study, folder = synthetic_study(40), tmp_path / "synthetic"
    history = write_folder(folder, study, synthetic_events(study))
    write_events(folder / "confirm", synthetic_confirmation(study, history))
    return folder


def test_the_best_of_a_search_is_not_the_answer(told):
    text = written(told)
    assert "The search leads with LL-R, rate per epoch 0.01 (trial 1), which is not confirmed yet." in text
    assert "Significance: unknown; its apparent lead over AN, 10.00 points, is the best of 3 values" in text
    assert "This study is not finished: 3 of 4 trials have ended." in text
    assert "1 of 4 trials failed" in text
    assert "the worker group stopped" in text


def test_a_confirmed_answer_says_how_much_better_and_how_sure(tmp_path):
    folder = confirmed(tmp_path)
    confirmation = read_record(folder).confirmation
    best, baseline = confirmation.configs[0], confirmation.baseline
    difference = confirmation.against(best)
    text = written(folder)
    assert difference.verdict is Verdict.ABOVE
    interval = f"{best.test.low:.2f} to {best.test.high:.2f}"
    assert f"reaches {best.test.mean:.2f} % test mAP (95 % interval {interval}, 5 seeds)" in text
    assert f"{difference.points.mean:.2f} points ({difference.points.low:.2f} to" in text
    assert f"above {baseline.called}. Significance: p" in text
    assert "Holm-corrected for 3 comparisons with AN" in text
    assert "5 seeds find a difference of" in text


def test_a_config_under_ten_names_is_said_to_be_one(tmp_path):
    """Ten trials of one config, which only their seeds tell apart."""
    study, folder = small_study(), tmp_path / "null"
    events = [event for event in told_events(study) if event.get("trial", 0) == 0]
    again = []
    for number in range(1, 10):
        for event in json.loads(json.dumps(events[1:])):
            if event["event"] == "created":
                event["config"]["training"]["seed"] = number
            if event["event"] == "epoch":
                event["result"]["val_map"] += number / 10
            again.append(event | {"trial": number})
    write_folder(folder, study, [*events, *again])
    text = written(folder)
    assert "These 10 trials are one config with other seeds: 60.45 % validation mAP on average" in text
    assert "none of them is better than another" in text
    assert "The search leads" not in text


def test_a_study_is_reported_before_its_first_tables_are_written(told):
    for path in told.glob("*.parquet"):
        path.unlink()
    assert "This study is not finished: 3 of 4 trials have ended." in written(told)


def test_a_folder_without_a_study_is_named(tmp_path):
    with pytest.raises(ResultsError, match="no results of a study; `wsml-study run` writes them"):
        write_report(tmp_path, tmp_path / "report.html", address="x")


def test_the_page_names_what_to_repeat_it_with(tmp_path):
    text = written(confirmed(tmp_path))
    for said in (
        "git revision 0123456789abcdef",
        "data fingerprint 0123456789abcdef",
        "torch 2.11.0, ray 2.60.0",
        "wsml-study run synthetic.yaml",
        "sampler: {name: tpe, seed: 0}",
    ):
        assert said in text


def test_names_in_the_data_end_neither_a_script_nor_a_tag(told):
    events = [json.loads(line) for line in (told / "events.jsonl").read_text().splitlines()]
    events[0]["classes"] = ["</script><b>cat", "<img src=x>"]
    for event in events:
        if event["event"] == "epoch":
            event["result"]["val_ap_C"] = [50.0, 60.0]
    write_folder(told, small_study(), events)
    page = write_report(told, told / "report.html", address="<b>x").path.read_text()
    assert "</script><b>" not in page
    assert "<img src=x>" not in page
    assert "<b>x" not in page
    assert "\\u003c/script>\\u003cb>cat" in page


def test_the_page_forbids_itself_to_load_anything(told):
    page = write_report(told, told / "report.html", address="told").path.read_text()
    assert "default-src 'none'" in page
    assert not re.search(
        r"""(?:src|href)\s*=\s*["'](?!#)""", re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    )


def test_a_report_replaces_a_report_and_nothing_else(told, tmp_path):
    path = tmp_path / "mine.html"
    path.write_text("<html>mine</html>")
    with pytest.raises(ResultsError, match=r"mine\.html exists and is no report"):
        write_report(told, path, address="told")
    assert path.read_text() == "<html>mine</html>"
    with pytest.raises(ResultsError, match="expected a file for the report, got a folder"):
        write_report(told, tmp_path, address="told")
    path.unlink()
    first = write_report(told, path, address="told").path.read_bytes()
    assert len(first) == len(write_report(told, path, address="told").path.read_bytes())


def test_each_figure_is_also_a_file(told, tmp_path):
    report = write_report(told, tmp_path / "r.html", address="told", figures=tmp_path / "figures", file_format="svg")
    assert len(report.files) == report.num_figures == 7
    assert all(path.read_text().startswith("<svg") for path in report.files)
    again = write_report(told, tmp_path / "r.html", address="told", figures=tmp_path / "figures", file_format="png")
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in again.files)
    assert {path.stem for path in report.files} == {path.stem for path in again.files}
    assert len(report.left_out) == 8


def test_a_thousand_trials_make_a_page_of_at_most_five_megabytes(tmp_path):
    study, folder = synthetic_study(1000), tmp_path / "large"
    history = write_folder(folder, study, synthetic_events(study))
    write_events(folder / "confirm", synthetic_confirmation(study, history))
    corrected = {"image": ["a", "b"], "class": ["cat", "dog"], "epoch": [2, 3], "right": [True, False]}
    one = next(number for number, trial in history.trials.items() if trial.config["method"]["name"] == "LL-Cp")
    CORRECTIONS.write(fs.LocalFileSystem(), str(folder / "corrections"), one, corrected)
    report = write_report(folder, tmp_path / "report.html", address="large")
    assert report.num_bytes == report.path.stat().st_size < MOST_BYTES
    assert report.left_out == {}
    page = report.path.read_text()
    assert "Drawn are 60 of 1000" in page
    assert "Drawn are 150 of them" in page
    assert "The best 100 of 1000; all are in trials.parquet." in page
