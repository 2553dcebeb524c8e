"""Imports point one way: who may know whom, read from the sources."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "wsml_study"

GROUND = ("errors", "options", "registry", "description", "http_server")
"""Modules beneath all rooms."""

ROOMS = (
    *GROUND,
    "methods",
    "losses",
    "data",
    "study",
    "training",
    "record",
    "cluster",
    "workers",
    "results",
    "report",
    "inference",
    "tuning",
    "live",
    "mcp_server",
    "cli",
    "testing",
)
"""From the ground up: a room may know those before it, unless `MAY_KNOW` says less."""

MAY_KNOW = {
    "__init__": (
        "openmp",
        "report",
        "inference",
        "python_api",
    ),  # what `import wsml_study` offers, each imported when it is first used
    "__main__": ("cli",),
    "python_api": ("study", "record", "report", "tuning", "training"),
    "openmp": (),
    "errors": (),
    "options": ("errors",),
    "registry": ("errors",),
    "description": (),
    "http_server": ("errors",),
    "methods": GROUND,
    "losses": ("methods",),  # for training loops that use nothing else of ours
    "data": GROUND,
    "study": (
        *GROUND,
        "methods.catalogue",
        "methods.distrusted_counts",
        "methods.method_record",
        "methods.schedules",
        "data.label_files",
        "data.reader_record",
    ),
    "training": (
        *GROUND,
        "methods",
        "data",
        "study.spec",
        "study.backbone_library",
        "study.backbone_record",
        "study.population_keys",
        "study.data_section",
        "study.method_section",
        "study.metric_record",
        "study.model_section",
        "study.objective_section",
        "study.partial_training",
        "study.training_section",
        "study.viewed_images",
    ),
    "record": (*GROUND, "study"),
    "cluster": (*GROUND, "study", "record"),
    "results": (*GROUND, "study", "record"),
    "report": (
        *GROUND,
        "study",
        "record",
        "results",
        "data",
        "methods.catalogue",
        "methods.distrusted_counts",
        "methods.method_record",
        "methods.published_numbers",
        "methods.schedules",
    ),
    "live": (*GROUND, "study", "record", "results", "report", "tuning.status"),
    "mcp_server": (*GROUND, "study", "record", "methods.explanation"),  # all else are commands in their own processes
    "testing": ROOMS[: ROOMS.index("live")],  # contract suites for plug-ins, which nothing of ours imports
}
"""A room, or a module beside the rooms -> all that it may import of ours beside itself."""

ONLY_IN = {
    "ray": ("cluster", "workers", "tuning"),
    "optuna": ("study.search_space", "tuning", "report.figures"),
    "typer": ("cli",),
    "mcp": ("mcp_server",),
    "anyio": ("mcp_server",),
    "huggingface_hub": ("data.hub_files", "training.weight_files", "report.hub_push"),
    "duckdb": ("results.queries",),
    "torch": ("methods", "losses", "data", "training", "inference", "workers", "tuning", "testing"),
    "torchvision": ("data", "training"),
    "timm": ("training",),
    "open_clip": ("training",),
    "peft": ("training",),
    "altair": ("report.figures",),
    "vl_convert": ("report.figures",),
    "jinja2": ("report.page", "report.model_card"),
    "tensorboardX": ("tuning.tracking",),
    "mlflow": ("tuning.tracking",),
    "wandb": ("tuning.tracking",),
    "starlette": ("live", "inference.model_service"),
    "uvicorn": ("http_server",),
    "pytest": (),
}
"""A library -> the rooms and modules that may import it."""

RAY_INTERNALS = "cluster.ray_internals"
RAY_PRIVATE = re.compile(r"ray\.(.*\.)?_|ray\.train\.v2|ray\.core\.generated|ray\.autoscaler\.")
"""Modules and names of Ray that it promises nobody: with an underscore, or in its internal packages."""


def may_know(room: str) -> tuple[str, ...]:
    """What a room may import of ours."""
    return (room, *MAY_KNOW.get(room, ROOMS[: ROOMS.index(room)] if room in ROOMS else ()))


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
            if not within(inside, may_know(room)):
                found.append(f"{module} may not import {name}")
        elif not within(module, ONLY_IN.get(library, (room,))):
            found.append(f"{module} may not import {library}")
        elif RAY_PRIVATE.match(name) and module != RAY_INTERNALS:
            found.append(f"{module} may not import {name}, which is private to Ray: {RAY_INTERNALS} is for that")
    return found


def modules() -> dict[str, Path]:
    """Every source of the package by its name from within, `study.spec`."""
    files = {file.relative_to(PACKAGE).with_suffix(""): file for file in sorted(PACKAGE.rglob("*.py"))}
    return {".".join(name.parts): file for name, file in files.items()}


@pytest.mark.parametrize("module", modules())
def test_imports_point_one_way(module: str) -> None:
    assert offences(module, modules()[module].read_text()) == []


def imports_of(files: dict[str, Path]) -> dict[str, set[str]]:
    """Every module of ours -> the modules of ours that it imports, wherever in it."""
    names = {module.removesuffix(".__init__"): module for module in files}
    graph: dict[str, set[str]] = {module: set() for module in files}
    for module, file in files.items():
        for name in imported(file.read_text()):
            inside = name.removeprefix("wsml_study.")
            # Of `from a.b import c` either a.b.c is a module, or a.b is.
            target = next((one for one in (inside, inside.rpartition(".")[0]) if one in names), None)
            if target is not None and names[target] != module:
                graph[module].add(names[target])
    return graph


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, or none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle_in(imports_of(modules())) == []


def test_a_circle_is_found() -> None:
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}}) != []


def test_every_private_name_of_ray_exists_in_the_installed_release() -> None:
    from wsml_study.cluster import ray_internals

    assert all(getattr(ray_internals, name) is not None for name in ray_internals.MODULES)


def collected_by_pytest(module: str) -> bool:
    """Whether it is a test module or a conftest, which pytest imports under a name of its own."""
    stem = module.rpartition(".")[2]
    return stem == "conftest" or stem.startswith("test_")


def test_no_test_module_is_imported_by_another() -> None:
    files = {".".join(file.relative_to(TESTS.parent).with_suffix("").parts): file for file in TESTS.rglob("*.py")}
    graph = imports_of(files)
    assert "tests.end_to_end.processes" in graph["tests.end_to_end.test_interruptions"], "imports of helpers are seen"
    offending = {module: set(filter(collected_by_pytest, others)) for module, others in graph.items()}
    assert {module: others for module, others in offending.items() if others} == {}


def test_no_two_modules_share_a_name() -> None:
    stems = Counter(name.rpartition(".")[2] for name in modules() if not name.endswith("__init__"))
    assert [name for name, count in stems.items() if count > 1] == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("methods.baselines", "from wsml_study.data.dataset import Dataset"),
        ("data.dataset", "import wsml_study.training.trial"),
        ("data.dataset", "from wsml_study.study.spec import Data"),
        ("training.trial", "from wsml_study.study import reading"),
        ("training.trial", "def late():\n    import ray"),
        ("study.spec", "from wsml_study.methods import large_loss"),
        ("study.spec", "from wsml_study.record.tables import TRIALS"),
        ("study.reading", "import optuna.trial"),
        ("study.reading", "import torch"),
        ("record.tables", "from ray import tune"),
        ("record.tables", "from wsml_study.results import ranking"),
        ("record.tables", "import optuna"),
        ("report.html_report", "import altair"),
        ("tuning.ledger", "import mlflow"),
        ("report.study_preview", "from wsml_study.methods.large_loss import large_loss"),
        ("report.model_card", "from wsml_study.methods.large_loss import large_loss"),
        ("training.trial", "from wsml_study.inference.model import load_model"),
        ("cluster.session", "from wsml_study.workers import slot"),
        ("workers.slot", "from wsml_study.results import ranking"),
        ("cluster.session", "from ray._private.node import Node"),
        ("tuning.run", "import ray._private.state"),
        ("inference.model", "import ray"),
        ("tuning.run", "import typer"),
        ("tuning.run", "from wsml_study import cli"),
        ("errors", "from wsml_study.study.spec import Study"),
        ("losses", "from wsml_study.training.trial import TrialTraining"),
        ("training.trial", "from wsml_study import losses"),
        ("__init__", "from wsml_study.tuning import run"),
        ("__init__", "from wsml_study.testing import check_method"),
        ("cli.studies", "from wsml_study.testing import check_method"),
        ("testing.method_contract", "from wsml_study.cli import entry"),
        ("testing.method_contract", "import pytest"),
        ("record.tables", "import duckdb"),
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
        ("report.figures.importance", "import optuna"),
        ("report.figures.drawing", "import altair, vl_convert"),
        ("tuning.tracking.wandb_runs", "import wandb"),
        ("tuning.run", "import ray, optuna, torch"),
        ("methods.baselines", "from wsml_study.errors import TrainingError"),
    ],
)
def test_the_law_allows_what_the_plan_needs(module: str, source: str) -> None:
    assert offences(module, source) == []


@pytest.mark.parametrize(
    "module", ["wsml_study.study.reading", "wsml_study.study.search_space", "wsml_study.report.study_preview"]
)
def test_checking_a_study_starts_without_the_heavy_libraries(module: str) -> None:
    program = f"import sys, {module}; print(*sorted({{'torch', 'ray', 'optuna'}} & set(sys.modules)))"
    assert printed_by(program) == []


def test_the_driver_of_a_study_starts_without_torch() -> None:
    program = (
        "import sys, wsml_study.tuning.confirmation_run, wsml_study.tuning.tracking.optuna_journal, "
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
