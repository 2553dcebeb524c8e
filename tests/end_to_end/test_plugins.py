"""The package of docs/plugins.md: laid out from the page, installed into a fresh environment, used by every command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "plugins.md"

Command = Callable[..., str]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the page, where their first lines say."""
    folder = tmp_path_factory.mktemp("package")
    blocks = re.findall(r"```\w+\n# file: (\S+)\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    for name, content in blocks:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


@pytest.fixture(scope="module")
def python(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment that has the package, and in which everything else is this one's."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    site = next(environment.glob("lib/python*/site-packages"))
    (site / "shared.pth").write_text(f"{PROJECT}\n{sysconfig.get_paths()['purelib']}\n")
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
    ]
    subprocess.run([*install, "--disable-pip-version-check", package], check=True)
    return python


@pytest.fixture(scope="module")
def wsml(package: Path, python: Path) -> Command:
    """The command line in that environment."""

    def run(*arguments: str, fails: bool = False) -> str:
        done = subprocess.run(
            [python, "-m", "wsml_study", *arguments],
            cwd=package,
            env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "WSML_CACHE": str(package / "cache")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_without_the_package_its_names_are_unknown(package: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wsml_study", "check", package / "striped.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "data.dataset: expected one of" in done.stderr


def test_the_package_passes_the_contract_suites(package: Path, python: Path) -> None:
    done = subprocess.run(
        [python, "-m", "pytest", "tests/test_contract.py", "-q", "-p", "no:cacheprovider"],
        cwd=package,
        env=os.environ | {"OMP_NUM_THREADS": "1", "WSML_CACHE": str(package / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "7 passed" in done.stdout, done.stdout + done.stderr


def test_methods_and_data_list_name_what_it_adds(wsml: Command) -> None:
    assert "Soft-AN" in wsml("methods")
    explained = wsml("methods", "soft-an")
    assert "negative_factor (f): weight of an assumed negative in the last epoch" in explained
    assert "striped" in wsml("data", "list")
    assert "negative_factor" in json.loads(wsml("schema"))["$defs"]["Method"]["properties"]


def test_check_knows_all_of_it(wsml: Command) -> None:
    shown = " ".join(wsml("check", "striped.yaml").split())
    for words in (
        "Soft-AN",
        "sobol",
        "plateau, after 2 epochs without a better value",
        "best_val_precision_at_1 (max)",
    ):
        assert words in shown


def test_an_option_of_another_backbone_is_refused(wsml: Command, package: Path) -> None:
    study = (package / "striped.yaml").read_text().replace("backbone: tiny_mlp", "backbone: small_cnn")
    (package / "wrong.yaml").write_text(study)
    assert "backbone small_cnn takes no `hidden_units` (only tiny_mlp)" in wsml("check", "wrong.yaml", fails=True)


@pytest.mark.slow
def test_a_study_runs_with_all_of_it_from_search_to_prediction(wsml: Command, package: Path) -> None:
    assert "3 of 3 trials ended" in wsml("run", "striped.yaml")
    results = package / "results" / "striped"
    lines = pd.read_csv(results / "trials.csv")
    trials = pd.read_parquet(results / "trials.parquet")
    assert sorted(lines["trial"]) == [0, 1, 2]
    assert lines.set_index("trial")["objective"].to_dict() == pytest.approx(
        trials.set_index("trial")["value"].to_dict()
    )
    run = json.loads((results / "events.jsonl").read_text().splitlines()[0])
    assert run["environment"]["packages"]["wsml-study-example"] == "1.0"
    wsml("report", "striped.yaml", "-o", "report.html")
    assert "Soft-AN" in (package / "report.html").read_text()
    wsml("export", "striped.yaml", "--per", "method", "-o", "configs")
    (config,) = (package / "configs").glob("*Soft-AN*.yaml")
    wsml("train", str(config), "--seeds", "1")
    (model,) = (path.parent for path in (package / "models").rglob("model.safetensors"))
    assert "mAP" in wsml("evaluate", str(model))
    from PIL import Image

    Image.new("L", (12, 12), 200).save(package / "photo.png")
    wsml("predict", str(model), "photo.png", "-o", "predictions.parquet")
    assert "stripe_0" in pd.read_parquet(package / "predictions.parquet").columns
