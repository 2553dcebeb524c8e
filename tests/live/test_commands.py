"""The buttons of the live page: what they offer, and that they run what was confirmed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.live.served import Served, served, wait_until
from wsml_study.live.commands import CommandRuns
from wsml_study.record.storage import StudyStorage
from wsml_study.record.study_folder import locked


def offered(page: Served, name: str) -> dict[str, dict[str, Any]]:
    return {offer["action"]: offer for offer in page.get(f"api/study/{page.key(name)}")["offers"]}


def shown(page: Served, name: str, **order: Any) -> str:
    query = "&".join(f"{key}={value}" for key, value in order.items())
    return str(page.get(f"api/study/{page.key(name)}/command?{query}")["command"])


def ended(page: Served, name: str) -> dict[str, Any]:
    """The newest command of a study, once it has ended."""
    path = f"api/study/{page.key(name)}"
    wait_until(lambda: page.get(path)["commands"][0]["state"] != "running")
    return dict(page.get(path)["commands"][0])


def test_a_study_that_has_ended_can_go_on_and_one_at_work_can_be_stopped(page: Served, results: Path) -> None:
    before = offered(page, "confirmed")
    assert {action for action, offer in before.items() if offer["why_not"]} == {"stop"}
    assert [(field["name"], field["value"]) for field in before["run"]["fields"]] == [("trials", 19)]
    assert before["export"]["fields"] == [{"name": "by", "value": "confirmed"}]
    assert offered(page, "interrupted")["run"]["label"] == "Go on"
    with locked(StudyStorage(folder=results / "confirmed", remote=None), print):
        at_work = {"run", "confirm"}
        wait_until(lambda: {key for key, one in offered(page, "confirmed").items() if one["why_not"]} == at_work)


COMMANDS: list[tuple[dict[str, Any], str]] = [
    ({"action": "stop"}, "stop results/confirmed/study.yaml --storage results"),
    ({"action": "run", "trials": 20}, "run results/confirmed/study.yaml --storage results --trials 20"),
    ({"action": "run", "budget": "2h"}, "run results/confirmed/study.yaml --storage results --budget 2h"),
    ({"action": "confirm", "top": 2, "seeds": "auto"}, "confirm results/confirmed --top 2 --seeds auto"),
    ({"action": "export", "by": "confirmed"}, "export results/confirmed --by confirmed -o configs/"),
    ({"action": "report"}, "report results/confirmed"),
]


def test_the_command_is_shown_as_one_would_type_it(page: Served) -> None:
    assert [shown(page, "confirmed", **order) for order, _ in COMMANDS] == [f"wsml-study {one}" for _, one in COMMANDS]


def test_a_button_runs_the_command_and_shows_its_output(page: Served, results: Path) -> None:
    key, order = page.key("confirmed"), {"action": "export", "by": "confirmed"}
    status, text = page.post(f"api/study/{key}/commands", order | {"command": shown(page, "confirmed", **order)})
    assert (status, json.loads(text)["started"]) == (
        202,
        "wsml-study export results/confirmed --by confirmed -o configs/",
    )
    run = ended(page, "confirmed")
    assert (run["state"], run["status"]) == ("done", 0)
    exported = run["output"].split()
    assert exported
    assert all((results.parent / name).is_file() for name in exported)


@pytest.mark.slow
def test_a_command_that_fails_shows_why(page: Served, results: Path) -> None:
    (results.parent / "configs").write_text("in the way")
    order = {"action": "export"}
    page.post(f"api/study/{page.key('confirmed')}/commands", order | {"command": shown(page, "confirmed", **order)})
    run = ended(page, "confirmed")
    assert (run["state"], run["status"]) == ("failed", 1)
    assert run["output"].startswith("wsml-study: configs/")


REFUSED: list[tuple[dict[str, Any], int]] = [
    ({"action": "export", "command": "wsml-study export results/confirmed"}, 409),  # not what was shown
    ({"action": "export"}, 409),
    ({"action": "stop", "command": "wsml-study stop results/confirmed/study.yaml --storage results"}, 409),
    ({"action": "train"}, 400),
    ({"action": "run", "trials": 0}, 400),
    ({"action": "run", "budget": "2 weeks; rm -rf /"}, 400),
    ({"action": "confirm", "seeds": 1}, 400),
    ({"action": "export", "output": "/etc"}, 400),
]


def test_what_was_not_offered_or_confirmed_is_not_run(page: Served) -> None:
    key = page.key("confirmed")
    statuses = [page.post(f"api/study/{key}/commands", order)[0] for order, _ in REFUSED]
    assert statuses == [status for _, status in REFUSED]
    assert page.get(f"api/study/{key}")["commands"] == []


def test_a_folder_of_another_name_cannot_be_run_from_the_page(results: Path) -> None:
    shutil.move(results / "confirmed", results / "copy of; it")
    with served("results") as page:
        assert "has another name than its study" in offered(page, "copy of; it")["run"]["why_not"]
        assert shown(page, "copy of; it", action="report") == "wsml-study report 'results/copy of; it'"


@pytest.mark.slow
def test_commands_outlive_the_server(results: Path) -> None:
    order = {"action": "report"}
    with served("results") as page:
        command = shown(page, "confirmed", **order)
        page.post(f"api/study/{page.key('confirmed')}/commands", order | {"command": command})
    with served("results") as page:
        run = ended(page, "confirmed")
        assert (run["state"], run["command"]) == ("done", command)
        assert page.get(f"api/study/{page.key('confirmed')}")["report"]
        assert "wrote results/confirmed/report.html" in run["output"]


def test_a_command_that_was_killed_is_called_lost(tmp_path: Path) -> None:
    runs = CommandRuns(tmp_path)
    runs.start("a", "report", ["schema"])
    [folder] = (tmp_path / "a").iterdir()
    wait_until(lambda: runs.of_study("a")[0].state != "running")
    assert runs.of_study("a")[0].output.endswith("}\n")
    (folder / "status").unlink()
    assert runs.of_study("a")[0].state == "lost"
