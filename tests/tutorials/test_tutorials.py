"""docs/tutorials: their commands run on files such as they describe, print what they show, and mistakes are told."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tutorials.raw_files import chest_xrays, own_photos
from wsml_study.errors import WsmlStudyError
from wsml_study.report.study_preview import preview
from wsml_study.study.reading import read_study

PAGES = Path(__file__).parents[2] / "docs/tutorials"
FENCE = re.compile(r"(?:^`(?P<file>[\w.]+)`:\n\n)?^```(?P<language>\w*)\n(?P<block>.*?)^```", re.DOTALL | re.MULTILINE)
STARTS_RAY = ("wsml-study run", "wsml-study train", "wsml-study confirm")
RAW_FILES = {"chest_xrays": chest_xrays, "own_photos": own_photos}


class Tutorial:
    """A page and a folder in which its commands run."""

    def __init__(self, page: str, folder: Path) -> None:
        self.text = (PAGES / f"{page}.md").read_text()
        self.folder = folder
        RAW_FILES[page](folder)
        binaries = str(Path(sys.executable).parent)
        self.environment = os.environ | {
            "WSML_CACHE": str(folder / "cache"),
            "COLUMNS": "120",
            "OMP_NUM_THREADS": "1",
            "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        }
        self.environment.pop("RAY_ADDRESS", None)

    def blocks(self) -> Iterator[re.Match[str]]:
        return FENCE.finditer(self.text)

    def follow(self, *, until: Callable[[str], bool] = lambda _: False) -> None:
        """Write the files and run the commands in the order of the page, up to one that ends it."""
        printed: str | None = None
        for found in self.blocks():
            if found["file"]:
                (self.folder / found["file"]).write_text(found["block"])
            elif found["language"] == "text" and printed is not None:
                assert_shown(found["block"], printed)
            elif found["language"] == "":
                printed = ""
                for command in found["block"].splitlines():
                    if until(command):
                        return
                    printed += self.run(command)

    def run(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,
            check=False,
        )
        assert "Traceback" not in done.stdout, done.stdout
        assert (done.returncode == 0) == (command.rpartition("# ")[2] != "refused"), f"{command}\n{done.stdout}"
        return done.stdout

    def said_of(self, edit: Callable[[str], str], study: str) -> str:
        """What `check` would say of a study file after a change, as one line."""
        (self.folder / "changed.yaml").write_text(edit((self.folder / study).read_text()))
        try:
            return " ".join(" ".join(preview(read_study(self.folder / "changed.yaml")).lines()).split())
        except WsmlStudyError as error:
            return " ".join(str(error).split())


def assert_shown(block: str, printed: str) -> None:
    """Check that each line of an excerpt was printed; ` ...` stands for the rest of a line, `...` for lines.

    Figures of training and the number of trials at a time differ between machines and are not compared.
    """
    lines = [line.rstrip() for line in printed.splitlines()]
    for line in block.splitlines():
        if line == "..." or re.search(r"best_val_map|\d +complete$|at a time$|^\S+ +\d[.]\d{4}$", line):
            continue
        start, dots, _ = line.partition(" ...")
        found = [one for one in lines if one.startswith(start)] if dots else line in lines
        assert found, f"{line}\nis not in\n{printed}"


def shown_on(page: str, message: str) -> bool:
    return message.replace("|", "\\|") in page


@pytest.fixture
def tutorial(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tutorial:
    monkeypatch.chdir(tmp_path)
    made = Tutorial(request.param, tmp_path)
    made.follow(until=lambda command: command.startswith("wsml-study data"))
    return made


CHEST = {
    "no column of lists": (
        lambda text: re.sub(r"    (positives_column|separator|no_class|unlisted):.*\n", "", text),
        "if 'Finding Labels' lists the classes of an image, say",
    ),
    "no separator": (
        lambda text: text.replace('    separator: "|"\n', ""),
        "Finding Labels: no cell holds ';', 56 of 146 hold '|'",
    ),
    "no quotes": (
        lambda text: text.replace('"|"', "|"),
        "quote a character that means something in YAML, as in '|'",
    ),
    "no unlisted": (
        lambda text: re.sub("    unlisted:.*\n", "", text),
        "is a class that is not listed `negative`, or `unobserved`?",
    ),
    "no no_class": (
        lambda text: re.sub("    no_class:.*\n", "", text),
        "'No Finding' is a class; if it says that an image shows none of the others, say",
    ),
    "no group": (
        lambda text: re.sub("    group_column:.*\n", "", text),
        "images of one 'Patient ID' may be in training and in test",
    ),
    "another group": (
        lambda text: text.replace("group_column: Patient ID", "group_column: Patient"),
        "no column Patient; it has Image Index, Finding Labels,",
    ),
    "patients on both sides": (
        lambda text: text.replace("test_list.txt", "both.txt"),
        "its group '31' is in another split too",
    ),
    "no suffix": (
        lambda text: text.replace("test_list.txt", "bare.txt"),
        "'00000031_000' has no row, and '00000031_000.png' has one",
    ),
    "another root": (
        lambda text: text.replace("root: images", "root: pictures"),
        "expected a folder with the images; give it as data.root",
    ),
    "a root above": (lambda text: text.replace("root: images", "root: above"), "give `root: above/images` under data"),
}


@pytest.mark.parametrize("tutorial", ["chest_xrays"], indirect=True)
def test_each_mistake_with_chest_xrays_is_told_as_the_page_says(tutorial: Tutorial) -> None:
    names = (tutorial.folder / "test_list.txt").read_text().splitlines()
    (tutorial.folder / "both.txt").write_text("\n".join(names[1:]))
    (tutorial.folder / "bare.txt").write_text("\n".join(name.removesuffix(".png") for name in names))
    shutil.copytree(tutorial.folder / "images", tutorial.folder / "above/images", symlinks=True)
    for edit, message in CHEST.values():
        assert message in tutorial.said_of(edit, "chest.yaml")
        assert shown_on(tutorial.text, message), message


Edit = Callable[[list[str]], list[str]]
PHOTOS: dict[str, tuple[Edit, str]] = {
    "no folder": (lambda lines: [re.sub(".*/", "", line) for line in lines], "(names differ in their folder)"),
    "case": (
        lambda lines: [line.replace(".JPG", ".jpg") for line in lines],
        "(names differ in upper and lower case)",
    ),
    "no suffix": (
        lambda lines: [re.sub(r"(IMG_000\d)[.]\w+", r"\1", line) for line in lines],
        "(names differ in their suffix, or have none)",
    ),
    "twice": (lambda lines: [*lines, lines[-1]], "is listed more than once: "),
}
PHOTOS_STUDY = {
    "encoding": (
        lambda text: text.replace("classes.txt}", "classes.txt, encoding: ascii}"),
        "expected text in ascii, as `encoding` says",
    ),
    "root": (
        lambda text: text.replace("root: photos", "root: fotos"),
        "expected a folder with the images; give it as data.root",
    ),
    "class twice": (lambda text: text.replace("classes.txt", "twice.txt"), "'Hund' is listed more than once"),
    "no such class": (
        lambda text: text.replace("classes.txt", "another.txt"),
        "no column for the classes Katze; it has Datei, Strand, Hund,",
    ),
}


@pytest.mark.parametrize("tutorial", ["own_photos"], indirect=True)
def test_each_mistake_with_own_photos_is_told_as_the_page_says(tutorial: Tutorial) -> None:
    lines = (tutorial.folder / "labels.csv").read_text().splitlines()
    (tutorial.folder / "twice.txt").write_text("Strand\nHund\nHund\n")
    (tutorial.folder / "another.txt").write_text("Strand\nKatze\n")
    for change, message in PHOTOS_STUDY.values():
        assert message in tutorial.said_of(change, "photos.yaml")
        assert shown_on(tutorial.text, message), message
    for edit, message in PHOTOS.values():
        (tutorial.folder / "changed.csv").write_text("\n".join(edit(lines)))
        assert message in tutorial.said_of(lambda text: text.replace("labels.csv", "changed.csv"), "photos.yaml")
        assert shown_on(tutorial.text, message), message


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", RAW_FILES)
def test_a_tutorial_works_from_its_first_command_to_its_last(page: str, tmp_path: Path) -> None:
    Tutorial(page, tmp_path).follow()
