"""Every command of README is run as it stands there, in its order, on a small study."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.readme_commands import PROJECT, Folder, commands

QUICK = ("init", "check", "methods", "schema")
"""Commands of `wsml-study` that take a second at most."""
ELSEWHERE = {
    "make dist": "tests/packaging/test_wheel.py builds both",
    "pip install dist/wsml_study-*.whl": "tests/packaging/test_wheel.py installs it in a virtual environment",
    "uvx --from dist/wsml_study-*.whl wsml-study run --demo": "as pip; it would install torch anew",
    "wsml-study run --demo": "tests/packaging/test_wheel.py runs it to its end",
    "wsml-study ask my_study.yaml --answers 100": "tests/cli/test_answers.py; this study has clean validation labels",
    "wsml-study answers my_study.yaml FILE": "tests/cli/test_answers.py",
    "wsml-study audit my_study.yaml": "tests/end_to_end/test_audit.py",
    "wsml-study pseudo-labels my_study.yaml -o scores.parquet": "tests/inference/test_zero_shot.py, with a tiny model",
    "wsml-study mcp": "tests/mcp_server/test_server.py, with a client",
}
"""What other tests run."""
DEFAULT_STUDY = "studies/rejection_rate.yaml"


def quick(command: str) -> bool:
    words = command.split()
    return words[0] == "wsml-study" and words[1] in QUICK


def wait_for_line(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"{text} was not printed")


def test_the_commands_that_other_tests_run_are_in_readme() -> None:
    assert ELSEWHERE.keys() <= set(commands())
    assert len(commands()) > 35


def test_quick_commands_run(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for command in filter(quick, commands()):
        folder.run(command)
        if command == "wsml-study init my_study.yaml":
            folder.edit_study()
    assert (tmp_path / "voc2012.yaml").exists()


def test_the_link_onto_the_path_works(tmp_path: Path) -> None:
    if not (PROJECT / ".venv/bin/activate").exists():
        pytest.skip("needs what `make study` installs")
    folder = Folder(tmp_path)
    link, activate = (next(one for one in commands() if one.startswith(start)) for start in ("mkdir", ". "))
    folder.run(link, folder=PROJECT)
    assert "Usage: wsml-study" in folder.run("~/.local/bin/wsml-study --help")
    assert folder.run(f"{activate} && command -v wsml-study", folder=PROJECT).strip() == str(
        PROJECT / ".venv/bin/wsml-study"
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_all_commands_run(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for command in commands():
        if command not in ELSEWHERE and command.startswith(("wsml-study", "make study")):
            run_as_it_stands(folder, command)
    assert {"maps.png", "sheet.png", "predictions.parquet"} <= {path.name for path in tmp_path.iterdir()}


def run_as_it_stands(folder: Folder, command: str) -> None:
    if command == "make study":
        small_default_study(folder.path)
        (recipe,) = subprocess.check_output(["make", "-n", "study"], cwd=PROJECT, text=True).splitlines()[-1:]
        assert recipe == f".venv/bin/wsml-study run {DEFAULT_STUDY}"
        folder.run(recipe.removeprefix(".venv/bin/"))
    elif command.endswith("--watch"):
        beside_a_run(folder, command, "of 400 trials ended")
    elif command.startswith("wsml-study stop"):
        beside_a_run(folder, command, "stopped")
    elif command.startswith("wsml-study serve"):  # `serve` and `serve-model` go on until they are interrupted
        serving = folder.start(folder.filled_in(command))
        wait_for_line(serving, "http://127.0.0.1:")
        serving.send_signal(signal.SIGINT)
        assert "Traceback" not in serving.communicate(timeout=60)[0]
    elif command.startswith("wsml-study compare"):
        folder.run("wsml-study run other.yaml")
        assert "other" in folder.run(command)
    elif command.startswith("wsml-study submit"):
        assert "is the cluster up" in folder.run(command, status=1)  # test_jobs.py has a cluster
    else:
        folder.run(command)
    if command == "wsml-study init my_study.yaml":
        folder.edit_study()


def small_default_study(path: Path) -> None:
    """The default study with fewer epochs, trials and seeds."""
    text = (PROJECT / DEFAULT_STUDY).read_text()
    for before, after in (
        ("epochs: 14, batch_size: 8", "epochs: 2, batch_size: 64"),
        ("trials: 12", "trials: 2"),
        ("grace_epochs: 8", "grace_epochs: 1"),
    ):
        assert before in text, before
        text = text.replace(before, after)
    (path / "studies").mkdir()
    (path / DEFAULT_STUDY).write_text(f"{text}confirm: {{top: 1, seeds: 2}}\n")


def beside_a_run(folder: Folder, command: str, printed: str) -> None:
    """Run a command while the study runs, which is stopped afterwards."""
    running = folder.start("wsml-study run my_study.yaml --trials 400")
    wait_for_line(running, "complete after")
    if "stop" in command:
        assert printed in folder.run(command)
    else:
        following = folder.start(command)
        wait_for_line(following, "complete after")
        folder.run("wsml-study stop my_study.yaml")
        assert following.wait(timeout=60) == 0
    running.communicate(timeout=120)
    assert running.returncode == 0
