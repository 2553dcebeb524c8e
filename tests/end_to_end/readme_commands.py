"""The commands of README, and a folder in which each can run as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.data.noise_photos import write_photo
from wsml_study.data.voc2012 import CLASSES

PROJECT = Path(__file__).parents[2]
COMMAND = re.compile(r"(wsml-study|make|pip|uvx|mkdir|\.) ")
EDITS = (
    ("  dataset: digit_scenes # needs no download; voc2007 and voc2012 need `root`\n", "  dataset: voc2012\n"),
    ("  # root: data/VOCdevkit/VOC2012\n", "  root: VOC2012\n  image_size: 32\n"),
    ("epochs: 10, batch_size: 32", "epochs: 1, batch_size: 16"),
    ("\nsearch:\n", "\nsearch:\n  training.learning_rate: {float: {low: 1e-4, high: 1e-2, log: true}}\n"),
    ("trials: 12", "test_trials: true\ntrials: 3"),
    ("warmup_epochs: 1}", "warmup_epochs: 0}"),
    ("early_stopping: {name: asha, grace_epochs: 3, reduction_factor: 3}", "early_stopping: {name: none}"),
    ("# confirm: {top: 3, seeds: 5} # then", "confirm: {top: 1, seeds: 2} # then"),
)
"""What makes the study that `init` writes one of seconds, on photos in the layout of VOC 2012."""


def commands() -> list[str]:
    """The lines of README's blocks that are commands, without their comments."""
    text = (PROJECT / "README.md").read_text()
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    shown = [line for language, block in blocks if not language for line in block.splitlines()]
    lines = [line.partition(" #")[0].rstrip() for line in shown]
    return [line for line in lines if COMMAND.match(line)]


class Folder:
    """A user's folder: photos in the layout of VOC 2012 with boxes, and the study that `init` wrote, made short."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environment = os.environ | {
            "WSML_CACHE": str(path / "cache"),
            "HOME": str(path / "home"),
            "OMP_NUM_THREADS": "1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        self.environment.pop("RAY_ADDRESS", None)
        (path / "home").mkdir()
        voc_photos(path / "VOC2012", 30)
        shutil.copytree(path / "VOC2012/JPEGImages", path / "photos")
        shutil.copy(path / "photos/0.jpg", path / "photo.jpg")

    def edit_study(self) -> None:
        """Make `my_study.yaml`, as `init` wrote it, a study of seconds, and `other.yaml` another of its kind."""
        text = (self.path / "my_study.yaml").read_text()
        for before, after in EDITS:
            assert before in text, before
            text = text.replace(before, after)
        (self.path / "my_study.yaml").write_text(text)
        (self.path / "other.yaml").write_text(text.replace("name: my_study", "name: other"))

    def filled_in(self, command: str) -> str:
        """A command with its placeholders replaced."""
        configs, models = (
            [path.relative_to(self.path) for path in sorted(self.path.glob(pattern))]
            for pattern in ("configs/*.yaml", "models/*/seed_0")
        )
        words = {
            "SELECT ...": "SELECT trial, value FROM trials",
            "[NAME]": "LL-R",
            "http://HEAD:8265": "http://127.0.0.1:1",
        }
        words |= {"configs/<one of them>.yaml": str(configs[0])} if configs else {}
        words |= {"models/.../seed_0": str(models[0])} if models else {}
        for placeholder, word in words.items():
            command = command.replace(placeholder, word)
        return command

    def run(self, command: str, *, folder: Path | None = None, status: int = 0) -> str:
        """What a command prints; it must end with the status."""
        done = subprocess.run(
            ["bash", "-c", self.filled_in(command)],
            cwd=folder or self.path,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,
            check=False,
        )
        assert "Traceback" not in done.stdout, done.stdout
        assert done.returncode == status, f"{command}\n{done.stdout}"
        return done.stdout

    def start(self, command: str) -> subprocess.Popen[str]:
        """Start a command in the background."""
        return subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self.path,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def voc_photos(root: Path, num_photos: int) -> None:
    """Photos of noise for each image set; a photo shows two classes, each with a box."""
    for folder in ("ImageSets/Main", "JPEGImages", "Annotations"):
        (root / folder).mkdir(parents=True)
    shown = {str(number): {number % len(CLASSES), (number + 7) % len(CLASSES)} for number in range(2 * num_photos)}
    for name, classes in shown.items():
        write_photo(root / "JPEGImages" / f"{name}.jpg", seed=int(name))
        objects = "".join(
            f"<object><name>{CLASSES[index]}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>15</xmax><ymax>10</ymax>"
            "</bndbox></object>"
            for index in classes
        )
        size = "<size><width>30</width><height>20</height></size>"
        (root / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><filename>{name}.jpg</filename>{size}{objects}</annotation>"
        )
    for image_set, names in (("train", list(shown)[:num_photos]), ("val", list(shown)[num_photos:])):
        for index, name in enumerate(CLASSES):
            lines = (f"{photo} {1 if index in shown[photo] else -1:>2}\n" for photo in names)
            (root / "ImageSets/Main" / f"{name}_{image_set}.txt").write_text("".join(lines))
