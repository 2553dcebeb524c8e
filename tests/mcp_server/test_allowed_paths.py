"""Which paths the server touches: those in its root folder, and those that studies may read data from."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsml_study.errors import ResultsError, StudyFileError
from wsml_study.mcp_server.allowed_paths import AllowedPaths

STUDY = "name: tried\ndata: {dataset: digit_scenes}\nmethod: {name: AN}\n"
TABLE = "name: tried\ndata: {{dataset: table, root: {root}, labels: {{file: {file}}}}}\nmethod: {{name: AN}}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def write(folder: Path, text: str) -> str:
    (folder / "study.yaml").write_text(text)
    return "study.yaml"


def test_results_are_in_the_storage_of_the_study_file(root: Path) -> None:
    assert AllowedPaths(root).results_of(write(root, STUDY)) == root / "results/tried"


def test_a_folder_of_results_stands_for_itself(root: Path) -> None:
    (root / "kept").mkdir()
    assert AllowedPaths(root).results_of("kept") == root / "kept"


@pytest.mark.parametrize("path", ["../study.yaml", "/etc/passwd", "inside/../../study.yaml", "a\0b", "link"])
def test_paths_outside_are_refused(root: Path, path: str) -> None:
    (root / "link").symlink_to(root.parent)
    with pytest.raises(ResultsError, match="outside of"):
        AllowedPaths(root).results_of(path)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("storage: /tmp/elsewhere", "storage /tmp/elsewhere"),
        ("storage: s3://bucket/studies", "storage s3://bucket/studies"),
        ("model: {backbone: resnet50, weights: ../w.pth}", "model.weights ../w.pth"),
        ("warm_start: [link/earlier]\nsearch: {training.seed: {choice: [1, 2]}}", "warm_start link/earlier"),
        ("start_from: [../c.yaml]\nsearch: {training.seed: {choice: [1, 2]}}", "start_from ../c.yaml"),
    ],
)
def test_a_study_that_names_a_path_outside_is_refused(root: Path, line: str, key: str) -> None:
    (root / "link").symlink_to(root.parent)
    with pytest.raises(StudyFileError, match=key):
        AllowedPaths(root).study(write(root, STUDY + line))


def test_data_elsewhere_are_read_where_the_command_line_allows_it(root: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    study = write(root, TABLE.format(root=photos, file=photos / "labels.csv"))
    with pytest.raises(StudyFileError, match="--data FOLDER"):
        AllowedPaths(root).study(study)
    assert AllowedPaths(root, [photos]).study(study).data.root == str(photos)


def test_results_do_not_go_where_only_data_are_read(root: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    with pytest.raises(StudyFileError, match="storage"):
        AllowedPaths(root, [photos]).study(write(root, f"{STUDY}storage: {photos}\n"))


def test_the_root_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="expected a folder"):
        AllowedPaths(tmp_path / "missing")
