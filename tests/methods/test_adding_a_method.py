"""The walk of docs/adding_a_method.md, taken with its own text on a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "adding_a_method.md"

TRAIN = """
from dataclasses import replace
from wsml_study.methods.skip_likely import SkipLikely
from wsml_study.study.reading import read_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import open_trial_data

study = read_study("skip_likely.yaml")
data = open_trial_data(study.data)
few = replace(data, train=replace(data.train, rows_M=data.train.rows_M[:64], truth_MC=data.train.truth_MC[:64],
                                  observed_MC=data.train.observed_MC[:64]))
config = SearchSpace.from_study(study).resolve(study, {"method.name": "SkipLikely", "method.positive_threshold": 0.5})
trial = TrialTraining(config, few)
assert isinstance(trial.method, SkipLikely) and trial.method.positive_threshold == 0.5
first, second = trial.run_epoch(), trial.run_epoch()
assert second.num_distrusted > 0
resumed = TrialTraining(config, few)
resumed.load_state_dict(trial.state_dict())
by_default = TrialTraining(SearchSpace.from_study(study).resolve(study, {"method.name": "SkipLikely"}), few)
assert by_default.method.positive_threshold == 0.8
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with the page's code where the page says that it goes."""
    folder = tmp_path_factory.mktemp("walk")
    for name in ("wsml_study", "tests/methods"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", folder)
    python_file, entry = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    (folder / "wsml_study" / "methods" / "skip_likely.py").write_text(python_file)
    (folder / "wsml_study" / "methods" / "skip_likely_entry.py").write_text(entry)
    (study,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    (folder / "skip_likely.yaml").write_text(study)
    return folder


def python(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in the copy, which comes before the project wherever that is installed."""
    environment = os.environ | {"PYTHONPATH": str(copy), "WSML_CACHE": str(copy / "cache")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_a_trial_trains_with_it_and_takes_its_hyperparameter(copy: Path) -> None:
    python(copy, "-c", TRAIN)


def test_a_study_file_knows_it_and_check_says_what_it_will_run(copy: Path) -> None:
    checked = python(copy, "-c", "from wsml_study.cli import main; main()", "check", "skip_likely.yaml").stdout
    assert "AN, SkipLikely" in checked


def test_it_is_listed_and_explained(copy: Path) -> None:
    methods = ("-c", "from wsml_study.cli import main; main()", "methods")
    assert "  SkipLikely  skip-likely: an unobserved label" in python(copy, *methods).stdout
    explained = python(copy, *methods, "skiplikely").stdout
    assert "default 0.8" in explained
    assert "unobserved: gradient" in explained


def test_the_contract_suite_runs_on_it_without_another_line(copy: Path) -> None:
    command = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "SkipLikely", "tests/methods/test_contract.py")
    assert re.search(r"3\d passed", python(copy, *command).stdout)
