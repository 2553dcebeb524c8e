"""Imports point one way: who may know whom, read from the sources."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "wsml_study"

EVERYONE_MAY_KNOW = ("errors",)
MAY_KNOW = {
    "__init__": ("results", "inference"),  # what `import wsml_study` offers, each imported when it is called
    "errors": (),
    "methods": ("methods",),
    "data": ("data",),
    "study": ("study", "methods.schedules", "methods.catalogue"),
    "training": ("training", "methods", "data", "study.spec"),
    "results": ("results", "study", "methods.catalogue"),
    "inference": ("inference", "training", "methods", "data", "study", "results"),
    "tuning": ("tuning", "training", "methods", "data", "study", "results"),
    "preview": ("study", "data", "methods.schedules", "methods.catalogue"),
    "data_tour": ("study", "data"),
    "progress": ("results", "study"),
    "__main__": ("cli",),
    "cli": (
        "cli",
        "tuning",
        "inference",
        "training",
        "methods",
        "data",
        "study",
        "results",
        "preview",
        "data_tour",
        "progress",
    ),
}
"""A room, or a module beside the rooms -> the rooms and modules that it may import."""

ONLY_IN = {
    "ray": ("tuning",),
    "optuna": ("study.search_space", "tuning", "results.figures"),
    "typer": ("cli",),
    "duckdb": ("results.queries",),
    "torch": ("methods", "data", "training", "inference", "tuning"),
    "torchvision": ("data", "training"),
    "altair": ("results.figures",),
    "vl_convert": ("results.figures",),
    "jinja2": ("results.page",),
    "tensorboardX": ("tuning.tracking",),
    "mlflow": ("tuning.tracking",),
    "wandb": ("tuning.tracking",),
}
"""A library -> the rooms and modules that may import it."""


def within(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def imported(source: str) -> Iterator[str]:
    """Full names of what a source imports, wherever in it; of `from a import b` it is a.b."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide who knows whom"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def offences(module: str, source: str) -> list[str]:
    """Imports of a module of ours, named from within the package, that the law forbids."""
    room = module.partition(".")[0]
    found = []
    for name in imported(source):
        library, _, inside = name.partition(".")
        if library == "wsml_study":
            if not within(inside, (*EVERYONE_MAY_KNOW, *MAY_KNOW[room])):
                found.append(f"{module} may not import {name}")
        elif not within(module, ONLY_IN.get(library, (room,))):
            found.append(f"{module} may not import {library}")
    return found


def modules() -> dict[str, Path]:
    """Every source of the package by its name from within, `study.spec`."""
    files = {file.relative_to(PACKAGE).with_suffix(""): file for file in sorted(PACKAGE.rglob("*.py"))}
    return {".".join(name.parts): file for name, file in files.items()}


@pytest.mark.parametrize("module", modules())
def test_imports_point_one_way(module: str) -> None:
    assert offences(module, modules()[module].read_text()) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("methods.baselines", "from wsml_study.data.dataset import Dataset"),
        ("data.dataset", "import wsml_study.training.trial"),
        ("data.dataset", "from wsml_study.study.spec import Data"),
        ("training.trial", "from wsml_study.study import reading"),
        ("training.trial", "def late():\n    import ray"),
        ("study.spec", "from wsml_study.methods import large_loss"),
        ("study.spec", "from wsml_study.results.tables import TRIALS"),
        ("study.reading", "import optuna.trial"),
        ("study.reading", "import torch"),
        ("results.tables", "from ray import tune"),
        ("results.tables", "from wsml_study.tuning import run"),
        ("results.tables", "import optuna"),
        ("results.report", "import altair"),
        ("tuning.ledger", "import mlflow"),
        ("preview", "from wsml_study.methods.large_loss import large_loss"),
        ("results.model_card", "from wsml_study.methods.large_loss import large_loss"),
        ("training.trial", "from wsml_study.inference.model import load_model"),
        ("tuning.run", "from wsml_study.inference.model import load_model"),
        ("inference.model", "import ray"),
        ("tuning.run", "import typer"),
        ("tuning.run", "from wsml_study import cli"),
        ("errors", "from wsml_study.study.spec import Study"),
        ("__init__", "from wsml_study.tuning import run"),
        ("results.tables", "import duckdb"),
    ],
)
def test_the_law_is_enforced(module: str, source: str) -> None:
    assert len(offences(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("study.search_space", "from optuna.trial import Trial"),
        ("study.reading", "from wsml_study.methods.schedules import schedule"),
        ("study.spec", "from wsml_study.methods.catalogue import METHODS"),
        ("training.trial", "from wsml_study.study.spec import TrialConfig"),
        ("results.figures.importance", "import optuna"),
        ("results.figures.drawing", "import altair, vl_convert"),
        ("tuning.tracking.wandb_runs", "import wandb"),
        ("tuning.run", "import ray, optuna, torch"),
        ("methods.baselines", "from wsml_study.errors import TrainingError"),
    ],
)
def test_the_law_allows_what_the_plan_needs(module: str, source: str) -> None:
    assert offences(module, source) == []


@pytest.mark.parametrize("module", ["wsml_study.study.reading", "wsml_study.study.search_space", "wsml_study.preview"])
def test_checking_a_study_starts_without_the_heavy_libraries(module: str) -> None:
    program = f"import sys, {module}; print(*sorted({{'torch', 'ray', 'optuna'}} & set(sys.modules)))"
    assert printed_by(program) == []


def test_the_driver_of_a_study_starts_without_torch() -> None:
    program = (
        "import sys, wsml_study.tuning.confirmation, wsml_study.tuning.tracking.optuna_journal, "
        "wsml_study.tuning.tracking.tensorboard; print('ray' in sys.modules, 'torch' in sys.modules)"
    )
    assert printed_by(program) == ["True", "False"]


def test_the_package_itself_imports_nothing_heavy() -> None:
    program = (
        "import sys, wsml_study; heavy = {'torch', 'ray', 'optuna', 'numpy', 'pandas', 'pyarrow'}; "
        "print(*sorted(heavy & set(sys.modules)), wsml_study.load_model.__name__, 'torch' in sys.modules)"
    )
    assert printed_by(program) == ["load_model", "True"]


def test_describing_a_study_starts_without_numpy() -> None:
    program = "import sys, wsml_study.study.reading; print('numpy' in sys.modules)"
    assert printed_by(program) == ["False"]


def printed_by(program: str) -> list[str]:
    """Words that a program prints in a process of its own."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
