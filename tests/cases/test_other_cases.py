"""The inputs from the field that are about pictures, long studies, records, models and the command line."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.cases.label_cases import CLASSES, REFUSED
from wsml_study.cli.entry import app
from wsml_study.data.pixels import open_decoded
from wsml_study.errors import WsmlStudyError

CaseCopy = Callable[[str], Path]
Tamper = Callable[[Path], object]

PROGRAM = str(Path(sys.executable).with_name("wsml-study"))
RECORDED = Path(__file__).parents[1] / "recorded"
FINISHED = RECORDED / "finished" / "results" / "finished"
TRAINED = RECORDED / "trained" / "models" / "finished-LL-R-trial2" / "seed_0"
STUDY = """\
name: base
data: {dataset: digit_scenes, observe: {positives: 1, seed: 1200}}
method: {name: LL-R, schedule: {shape: linear, rate_per_epoch: 0.01}}
training: {epochs: 2, batch_size: 32}
"""
HERE = {
    "clock_back",
    "closed_pipe",
    "empty_log",
    "epochs_million",
    "exif_orientation",
    "fifo_image",
    "folder_deleted",
    "gray16_png",
    "last_batch_of_one",
    "log_damage",
    "long_tmpdir",
    "model_files",
    "query_files",
    "secret_in_uri",
}


def test_every_case_has_a_test(cases: Path) -> None:
    assert {path.name for path in cases.iterdir() if path.is_dir()} == {*REFUSED, *CLASSES, *HERE}


def refused(*arguments: object) -> str:
    """The message of a command that is refused without a traceback."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(done.exception, WsmlStudyError), f"{done.exception!r}\n{done.output}"
    message = str(done.exception)
    assert len(message.splitlines()) <= 20
    return message


def printed(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, f"{done.exception!r}\n{done.output}"
    return done.output


def run_program(*arguments: str, status: int, **environment: str) -> str:
    done = subprocess.run(
        [PROGRAM, *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == status, done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    return done.stdout


def test_a_photo_stored_sideways_has_the_pixels_of_the_upright_one(cases: Path) -> None:
    phone, upright = (
        np.asarray(open_decoded(cases / "exif_orientation" / f"{name}.png")) for name in ("phone", "upright")
    )
    np.testing.assert_array_equal(phone, upright)


def test_16_bits_are_scaled(case_copy: CaseCopy) -> None:
    folder = case_copy("gray16_png")
    for file in sorted((folder / "images").iterdir()):
        deep_HW, seen_HW = np.asarray(Image.open(file)), np.asarray(open_decoded(file))
        assert deep_HW.max() > 255
        assert np.abs(seen_HW - deep_HW / 257).max() <= 1
    assert "the same picture" not in CliRunner().invoke(app, ["data", "verify", "study.yaml"]).output


@pytest.mark.timeout(120)
def test_a_fifo_is_refused(case_copy: CaseCopy) -> None:
    photos = case_copy("fifo_image") / "fifo" / "photos"
    photos.mkdir(parents=True)
    names = [f"{number}.png" for number in range(8)]
    (photos / "labels.csv").write_text("image,cat\n" + "".join(f"{name},{n % 2}\n" for n, name in enumerate(names)))
    for number, name in enumerate(names[1:]):
        Image.effect_noise((20, 20), 40 + number).save(photos / name)
    os.mkfifo(photos / names[0])
    assert "0.png: a FIFO, not an image file" in refused("data", "prepare", "s.yaml")
    assert "a FIFO, not an image file" in CliRunner().invoke(app, ["data", "verify", "s.yaml"]).output


@pytest.mark.timeout(60)
def test_a_million_epochs_are_described(case_copy: CaseCopy) -> None:
    case_copy("epochs_million")
    assert "the first 1,000 of 1,000,000" in " ".join(printed("check", "epochs1e6.yaml").split())


def test_a_secret_is_refused_and_not_told(case_copy: CaseCopy) -> None:
    case_copy("secret_in_uri")
    message = refused("check", "secret.yaml")
    assert "AWS_SECRET_ACCESS_KEY" in message
    assert "SECRETSECRET" not in message


def test_a_last_batch_of_one_is_told(case_copy: CaseCopy) -> None:
    case_copy("last_batch_of_one")
    assert "the last batch of an epoch is joined to the one before" in printed("check", "study.yaml")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_last_batch_of_one_is_trained(case_copy: CaseCopy) -> None:
    folder = case_copy("last_batch_of_one")
    run_program("run", "study.yaml", status=0)
    trials = pq.read_table(folder / "results" / "last_batch_of_one" / "trials.parquet").to_pylist()
    assert [trial["state"] for trial in trials] == ["complete"]


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
def test_a_long_temporary_folder_is_refused_in_one_line(
    variable: str, cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "base.yaml").write_text(STUDY)
    found = re.search(rf"\b{variable}=(\S+)", (cases / "long_tmpdir" / "run.sh").read_text())
    assert found is not None
    folder = tmp_path / found[1].removeprefix("/TMP/")
    folder.mkdir(parents=True)
    monkeypatch.setenv(variable, str(folder))
    message = refused("run", tmp_path / "base.yaml", "--storage", tmp_path)
    assert message.startswith(f"{variable}={folder}")
    assert "set RAY_TMPDIR to" in message
    assert len(message.splitlines()) == 1


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A finished study, as the cases call it."""
    return Path(shutil.copytree(FINISHED, tmp_path / "results" / "finished"))


def lines_of(folder: Path) -> list[bytes]:
    return (folder / "events.jsonl").read_bytes().splitlines(keepends=True)


DAMAGE: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "invalid UTF-8": lambda lines: [*lines[:3], b'{"event": "\xff\xfe"}\n', *lines[3:]],
    "trial 99": lambda lines: [*lines, b'{"event": "attempt", "time": 1, "trial": 99, "attempt": 1}\n'],
    "no result": lambda lines: [*lines, b'{"event": "epoch", "time": 1, "trial": 0, "attempt": 1}\n'],
    "unknown state": lambda lines: [line.replace(b'"state": "complete"', b'"state": "great"') for line in lines],
    "no created line": lambda lines: [line for line in lines if b'"event": "created"' not in line],
    "NaN": lambda lines: [line.replace(b'"train_loss": ', b'"train_loss": NaN, "was": ', 1) for line in lines],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_log_is_named_with_its_line(damage: str, cases: Path, finished: Path) -> None:
    damaged = b"".join(DAMAGE[damage](lines_of(finished)))
    (finished / "events.jsonl").write_bytes(damaged)
    study = finished.parents[1] / "study.yaml"
    shutil.copy(finished / "study.yaml", study)
    for command in (["status", study], ["run", study]):
        message = refused(*command, "--storage", finished.parent)
        assert re.search(r"events.jsonl:\d+: expected .*; the log is damaged: restore it", message), message
    assert (finished / "events.jsonl").read_bytes() == damaged


def test_status_and_stop_take_the_folder_of_results_and_run_says_what_it_wants(finished: Path) -> None:
    shown = CliRunner().invoke(app, ["status", str(finished)], catch_exceptions=False)
    assert shown.stdout.startswith(f"finished in {finished}: finished\n")
    assert "there is nothing to stop" in refused("stop", finished)
    assert f"its study is `{finished}/study.yaml --storage {finished.parent}`" in refused("run", finished)


def test_a_folder_in_place_of_the_log_is_named(cases: Path, finished: Path) -> None:
    (finished / "events.jsonl").unlink()
    (finished / "events.jsonl").mkdir()
    for command in ("status", "run"):
        message = refused(command, finished / "study.yaml", "--storage", finished.parent)
        assert "events.jsonl" in message


def test_an_emptied_log_is_no_empty_study(cases: Path, finished: Path) -> None:
    (finished / "events.jsonl").write_bytes(b"")
    for command in ("status", "run"):
        message = refused(command, finished / "study.yaml", "--storage", finished.parent)
        assert "events are lost; restore events.jsonl" in message


@pytest.mark.slow  # tests/record/test_damaged_logs.py has a quick one
def test_a_clock_that_went_back_spoils_no_report(cases: Path, finished: Path, tmp_path: Path) -> None:
    """The events after the first ended trial are moved one day back."""
    events = [json.loads(line) for line in lines_of(finished)]
    first_end = next(place for place, event in enumerate(events) if event["event"] == "ended")
    moved = [event | {"time": event["time"] - 86400 * (place > first_end)} for place, event in enumerate(events)]
    (finished / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in moved))
    printed("report", finished, "-o", tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size > 100_000


@pytest.mark.parametrize(
    "sql", ["COPY (SELECT 1) TO '{folder}/x.csv'; SELECT 1", "SELECT * FROM read_csv('/etc/passwd')"]
)
def test_a_query_reaches_no_file(sql: str, cases: Path, finished: Path) -> None:
    pytest.importorskip("duckdb")
    before = sorted(path.name for path in finished.iterdir())
    message = refused("query", finished, sql.format(folder=finished))
    assert "root:" not in message
    assert sorted(path.name for path in finished.iterdir()) == before


def put(name: str, key: str | None, value: object) -> Tamper:
    """Writes a file anew, or one key of it."""

    def tamper(folder: Path) -> object:
        path = folder / name
        content = value if key is None else json.loads(path.read_text()) | {key: value}
        return path.write_text(content if isinstance(content, str) else json.dumps(content))

    return tamper


def cut_weights(folder: Path) -> object:
    path = folder / "model.safetensors"
    return path.write_bytes(path.read_bytes()[:-100])


def tag_in_config(folder: Path) -> object:
    path = folder / "config.yaml"
    return path.write_text(path.read_text() + f"x: !!python/object/apply:os.mkdir ['{folder}/made']\n")


TAMPERED: dict[str, tuple[str, Tamper]] = {
    **{
        f"image_size {value!r}": ("preprocessing.json", put("preprocessing.json", "image_size", value))
        for value in (10**9, -5, "abc", None)
    },
    "preprocessing is a list": ("preprocessing.json", put("preprocessing.json", None, [1])),
    "preprocessing is empty": ("preprocessing.json", put("preprocessing.json", None, {})),
    "classes are 7": ("classes.json", put("classes.json", None, 7)),
    "classes are numbers": ("classes.json", put("classes.json", None, [1, 2])),
    "classes are brackets": ("classes.json", put("classes.json", None, "[" * 100_000)),
    "weights are cut": ("model.safetensors", cut_weights),
    "the config has a tag": ("config.yaml", tag_in_config),
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_a_model_edited_by_hand_is_refused_with_the_file(kind: str, cases: Path, tmp_path: Path) -> None:
    file, tamper = TAMPERED[kind]
    folder = Path(shutil.copytree(TRAINED, tmp_path / "model"))
    tamper(folder)
    Image.effect_noise((20, 20), 40).save(tmp_path / "a.png")
    assert file in refused("predict", folder, tmp_path / "a.png", "-o", tmp_path / "p.csv")
    assert not (folder / "made").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_reader_that_closes_the_output_ends_no_study(cases: Path, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(STUDY)
    script = 'set -o pipefail; "$0" run base.yaml | head -1'
    done = subprocess.run(["bash", "-c", script, PROGRAM], cwd=tmp_path, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert pq.read_table(tmp_path / "results" / "base" / "trials.parquet")["state"].to_pylist() == ["complete"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kept", [False, True])
def test_a_folder_that_vanishes_ends_the_run_with_an_error(kept: bool, case_copy: CaseCopy, tmp_path: Path) -> None:
    folder = case_copy("folder_deleted")
    process = subprocess.Popen(
        [PROGRAM, "run", "six.yaml", "--storage", str(tmp_path / "S")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
    )
    log, deadline = tmp_path / "S" / "base" / "events.jsonl", time.monotonic() + 300
    while not (log.exists() and b'"event": "ended"' in log.read_bytes()):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    if kept:
        log.parent.rename(tmp_path / "elsewhere")
    else:
        shutil.rmtree(log.parent)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 1, said
    assert "Traceback" not in said, said
    assert "was deleted, moved or replaced while the study ran" in said
