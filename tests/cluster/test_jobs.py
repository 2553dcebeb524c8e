"""What is sent with a job; that it runs there is in tests/end_to_end/test_jobs.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsml_study.cluster import jobs
from wsml_study.cluster.jobs import JobServer, _output, _working_directory
from wsml_study.errors import ResourcesError, StudyFileError
from wsml_study.study.reading import parse_study, read_study
from wsml_study.study.spec import Study


def study_with(**changes) -> Study:
    content = {
        "name": "sent",
        "data": {"dataset": "table", "root": "/data/photos", "labels": {"file": "labels/all.csv"}},
        "model": {"backbone": "resnet18", "weights": "/models/resnet18.pth"},
        "method": {"name": "AN"},
        "storage": "/shared",
    }
    return parse_study(content | changes, source="test")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/all.csv").write_text("image,cat\na.jpg,1\n")
    (tmp_path / "photos").mkdir()
    return tmp_path


@pytest.mark.usefixtures("here")
def test_the_study_its_files_and_our_sources_go_and_nothing_else() -> None:
    study = study_with()
    with _working_directory(study) as folder:
        files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert read_study(folder / "sent.yaml") == study
    ours = {file for file in files if file.startswith("wsml_study/")}
    assert files - ours == {"sent.yaml", "labels/all.csv"}
    assert {"wsml_study/__main__.py", "wsml_study/cluster/jobs.py"} <= ours
    assert not any("__pycache__" in file for file in ours)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"storage": "results"}, "storage: results is relative"),
        ({"data": {"dataset": "voc2007", "root": "VOC2007"}}, "data.root: VOC2007 is relative"),
        ({"model": {"backbone": "resnet18", "weights": "nowhere.pth"}}, r"model.weights: no file nowhere.pth"),
        ({"model": {"backbone": "resnet18", "weights": "../w.pth"}}, r"model.weights: ../w.pth lies outside"),
    ],
)
@pytest.mark.usefixtures("here")
def test_paths_that_exist_only_on_this_machine_are_refused(changes, message: str) -> None:
    with pytest.raises(StudyFileError, match=message), _working_directory(study_with(**changes)):
        pass


def test_too_much_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MAX_BYTES", 10**6)
    (here / "labels/all.csv").write_bytes(b"x" * 10**6)
    with pytest.raises(ResourcesError, match="put large files on the machines"), _working_directory(study_with()):
        pass


def test_an_address_that_is_no_dashboards_is_refused() -> None:
    with pytest.raises(ResourcesError, match="expected the address of a cluster's dashboard"):
        JobServer("HEAD:6379")


def test_a_commands_output_is_what_follows_rays_own_words() -> None:
    log = "2026 INFO Runtime env is setting up.\nRunning entrypoint for job sent-status-1: python -m x\nsent: running\n"
    assert _output(log) == "sent: running"
    assert _output("no such line\n") == "no such line"
