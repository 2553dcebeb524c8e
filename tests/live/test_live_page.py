"""What the live page shows: the figures of `status`, `results` and `report`, as they change."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.live.served import Served, served, wait_until
from tests.sample_studies.synthetic import synthetic_events, synthetic_study, write_folder
from wsml_study.errors import ResourcesError, ResultsError
from wsml_study.live.serving import served_studies
from wsml_study.record.storage import StudyStorage
from wsml_study.record.study_folder import locked
from wsml_study.record.tables import write_tables
from wsml_study.report.summary import trial_columns
from wsml_study.results.ranking import ranked_trials
from wsml_study.results.study_results import read_record
from wsml_study.tuning.status import study_status

HOSTILE = "</script><img src=x onerror=alert(1)>"


def test_all_studies_are_listed_with_their_state(page: Served) -> None:
    studies = {study["name"]: study for study in page.get("api/studies")["studies"]}
    assert {name: study["state"] for name, study in studies.items()} == {
        "confirmed": "finished",
        "interrupted": "interrupted",
        "levels": "interrupted",
    }
    assert (studies["confirmed"]["ended"], studies["confirmed"]["num_trials"]) == (13, 13)
    assert studies["confirmed"]["confirmation"] == {"num_trials": 6, "ended": 6}


def test_studies_in_folders_of_a_folder_are_found_and_parts_of_studies_are_not(results: Path) -> None:
    (results / "team").mkdir()
    (results / "interrupted").rename(results / "team" / "interrupted")
    with served("results") as page:
        names = [study["name"] for study in page.get("api/studies")["studies"]]
    assert names == ["confirmed", "levels", "team/interrupted"]


def test_one_study_can_be_served_alone(results: Path) -> None:
    with served("results/confirmed") as page:
        assert [study["name"] for study in page.get("api/studies")["studies"]] == ["confirmed"]


@pytest.mark.parametrize("name", ["confirmed", "interrupted", "levels"])
def test_a_study_has_the_lines_of_status_and_the_ranking_of_results(page: Served, results: Path, name: str) -> None:
    key = page.key(name)
    assert page.get(f"api/study/{key}")["lines"] == study_status(str(results), name).lines()
    shown = page.get(f"api/study/{key}/results")["ranking"]
    record = read_record(results / name)
    write_tables(results / name, record.study, record.history)  # those of an interrupted study lag behind its log
    trials = ranked_trials(results / name)
    expected = trial_columns(trials, running=False) if len(trials) else {}
    assert shown["head"] == list(expected)
    assert [list(column) for column in zip(*shown["body"], strict=True)] == list(expected.values())


def test_the_figures_are_those_of_the_report(page: Served) -> None:
    key = page.key("confirmed")
    first = page.get(f"api/study/{key}/results")["figures"]
    sections = page.get(f"api/study/{key}/figures")["sections"]
    names = [figure["name"] for figure in first] + [figure["name"] for one in sections for figure in one["figures"]]
    assert names[:2] == ["learning_curves", "best_so_far"]
    assert {"confirmed", "trials_by_method", "slots", "importance"} <= set(names)
    assert len(names) == len(set(names))
    assert all(figure["html"].lstrip().startswith("<figure") for figure in first)


def test_what_has_not_changed_is_not_sent_again(page: Served) -> None:
    for path in ("api/studies", f"api/study/{page.key('confirmed')}", f"api/study/{page.key('confirmed')}/results"):
        reply, _ = page.ask("GET", f"{page.path}{path}")
        again, text = page.ask("GET", f"{page.path}{path}", headers={"If-None-Match": reply.headers["ETag"]})
        assert (again.status, text) == (304, "")


def test_a_study_is_followed_as_its_log_grows(results: Path) -> None:
    study = synthetic_study(12)
    events = synthetic_events(study)
    log = results / "synthetic" / "events.jsonl"
    write_folder(results / "synthetic", study, events[:81])
    lines = [json.dumps(event) + "\n" for event in events]
    with served("results") as page:
        key = page.key("synthetic")
        with locked(StudyStorage(folder=log.parent, remote=None), print):
            follow_a_driver(page, key, log, lines, results)
        assert wait(page, key, lambda now: now["state"] == "interrupted")["running"] == []
        log.write_text("".join(lines))  # by a driver that came and went unseen
        assert wait(page, key, lambda now: now["state"] == "finished")["ended"] == 12
        wait_until(lambda: page.get(f"api/study/{key}/results")["ranking"]["total"] == 12 or looked(page, key))


def looked(page: Served, key: str) -> bool:
    """Asks as the page does, which has the ranking made anew; says that it is not there yet."""
    page.get(f"api/study/{key}")
    return False


def follow_a_driver(page: Served, key: str, log: Path, lines: list[str], results: Path) -> None:
    before = wait(page, key, lambda now: now["state"] == "running")
    assert before["left_s"] > 0
    assert sorted(trial["slot"] for trial in before["running"]) == [1, 2, 3, 4]
    with log.open("a") as file:
        file.write("".join(lines[81:100]) + lines[100][:40])  # the driver is writing the last one right now
    after = wait(page, key, lambda now: now["ended"] > before["ended"])
    assert after["lines"][1] == study_status(str(results), "synthetic").lines()[1]
    log.write_text("".join(lines))
    assert wait(page, key, lambda now: now["ended"] == 12)["counts"]["running"] == 0
    (log.parent / "trials.parquet").unlink()
    log.write_text("".join(lines[:1]))  # another study in the same place
    assert wait(page, key, lambda now: now["ended"] == 0)["best"] is None


def wait(page: Served, key: str, condition) -> dict:
    """The state of a study once a condition holds."""
    wait_until(lambda: condition(page.get(f"api/study/{key}")))
    return dict(page.get(f"api/study/{key}"))


def test_a_damaged_study_is_told_and_does_not_hide_the_others(results: Path) -> None:
    (results / "interrupted" / "events.jsonl").write_text("{]\n")
    with served("results") as page:
        found = {study["name"]: study for study in page.get("api/studies")["studies"]}
        assert found["interrupted"]["state"] == "unreadable"
        assert "the log is damaged" in found["interrupted"]["error"]
        assert found["confirmed"]["state"] == "finished"
        key = found["interrupted"]["key"]
        assert "the log is damaged" in page.get(f"api/study/{key}/results")["error"]


def test_names_from_a_study_come_as_text(results: Path) -> None:
    study = synthetic_study(12)
    events = synthetic_events(study)
    events[0]["classes"][0] = HOSTILE
    write_folder(results / "synthetic", study, events)
    (results / "synthetic").rename(results / "<b>synthetic")
    with served("results") as page:
        key = page.key("<b>synthetic")
        sections = page.get(f"api/study/{key}/figures")["sections"]
        shown = "".join(figure["html"] for section in sections for figure in section["figures"])
        assert "onerror" in shown
        assert "<img" not in shown
        assert "</script><" not in shown.replace("</script></div>", "")
        assert HOSTILE not in page.ask("GET", f"{page.path}study/{key}")[1]


def test_notes_are_kept_beside_the_study_and_only_added(page: Served, results: Path) -> None:
    key = page.key("confirmed")
    assert page.post(f"api/study/{key}/notes", {"text": " LL-R looks <b>good</b>\n", "by": "Ann"})[0] == 201
    assert page.post(f"api/study/{key}/notes", {"text": "agreed"})[0] == 201
    notes = page.get(f"api/study/{key}")["notes"]
    assert [(note["by"], note["text"]) for note in notes] == [("Ann", "LL-R looks <b>good</b>"), ("", "agreed")]
    assert len((results / "confirmed" / "notes.jsonl").read_text().splitlines()) == 2
    for wrong in ({"text": "  "}, {"text": "x" * 4001}, {"by": "Ann"}, [], "note"):
        assert page.post(f"api/study/{key}/notes", wrong)[0] == 400


def test_a_server_that_is_started_again_has_the_same_address(results: Path, cache: Path) -> None:
    with served("results") as page:
        first = page.address
        with pytest.raises(ResourcesError, match=f"served already at {re.escape(first)}"), served_studies("results"):
            pass
    with served(results) as page:
        assert page.address == first
    token = urlsplit(first).path.strip("/")
    [kept] = [path for path in (cache / "serve").glob("*/access.json") if token in path.read_text()]
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700


def test_another_place_has_another_token(results: Path) -> None:
    with served("results") as page, served("results/confirmed") as other:
        assert page.path != other.path


def test_a_place_that_is_not_there_is_refused(results: Path) -> None:
    with pytest.raises(ResultsError, match="nowhere: expected a folder of results"), served_studies("nowhere"):
        pass


def test_a_study_that_is_moved_away_is_said_to_be_gone(page: Served, results: Path) -> None:
    key = page.key("levels")
    shutil.move(results / "levels", results.parent / "levels")
    wait_until(lambda: page.ask("GET", f"{page.path}api/study/{key}")[0].status == 404)
    assert "moved or deleted" in page.ask("GET", f"{page.path}api/study/{key}")[1]


def test_a_report_is_shown_without_access_to_the_page(page: Served, results: Path) -> None:
    key = page.key("confirmed")
    (results / "confirmed" / "report.html").write_text("<p>no report</p>")
    assert page.get(f"api/study/{key}")["report"] is None
    (results / "confirmed" / "report.html").write_text('<meta name="generator" content="wsml-study report"><p>it')
    address = page.get(f"api/study/{key}")["report"]
    reply, text = page.ask("GET", address)
    assert text.endswith("<p>it")
    assert reply.headers["Content-Security-Policy"].startswith("sandbox allow-scripts allow-downloads; default-src 'no")
    token = address.split("/")[1]  # which the report's own scripts can read
    assert token != page.path.strip("/")
    for path in (f"/{token}/", f"/{token}/api/studies", f"/{token}/study/{key}", f"{page.path}study/{key}/report"):
        assert page.ask("GET", path)[0].status == 404
    assert page.ask("POST", f"/{token}/api/study/{key}/notes", {"text": "a"})[0].status == 404
