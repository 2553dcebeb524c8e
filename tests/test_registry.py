"""Records of plug-ins: found by their entry points, refused with the name of their distribution."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = """
from wsml_study.methods.method_record import MethodRecord
from wsml_study.options import COUNT, FRACTION, Option

def method(name="Quiet", key="quietness", limits=FRACTION):
    return MethodRecord(
        name=name, title="t", formula="f", reduction="mean", source="s", factory="quiet:Quiet",
        options=(Option(key=key, limits=limits, meaning="how quiet", default=0.5),),
    )

ONE = method()
TWO = (method("Quiet"), method("Quieter"))
TAKEN = method("LL-R")
OTHER_LIMITS = method(key="gamma", limits=COUNT)
NO_RECORD = "Quiet"
"""


@pytest.fixture
def with_plugin(tmp_path: Path):
    """Runs a program in a process that sees a distribution `quiet 1.2` with an entry point."""

    def run(entry_point: str, program: str) -> str:
        (tmp_path / "quiet.py").write_text(PLUGIN)
        metadata = tmp_path / "quiet-1.2.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: quiet\nVersion: 1.2\n")
        (metadata / "entry_points.txt").write_text(f"[wsml_study.methods]\nquiet = {entry_point}\n")
        done = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{program}"],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr.strip().rpartition("\n")[2]

    return run


NAMES = "from wsml_study.methods.catalogue import METHODS; print(*list(METHODS)[-2:], METHODS.distribution('Quiet'))"


@pytest.mark.parametrize(("entry_point", "names"), [("quiet:ONE", "IGNORE Quiet"), ("quiet:TWO", "Quiet Quieter")])
def test_records_of_a_plugin_come_after_ours_and_know_their_distribution(with_plugin, entry_point, names) -> None:
    assert with_plugin(entry_point, NAMES) == f"{names} quiet 1.2\n"


def test_an_option_of_a_plugin_is_a_key_of_the_study_file(with_plugin) -> None:
    program = (
        "from wsml_study.study.reading import parse_study\n"
        "base = {'name': 's', 'data': {'dataset': 'digit_scenes'}}\n"
        "print(parse_study(base | {'method': {'name': 'Quiet', 'quietness': 0.25}}, 'x').method.given_options)\n"
        "parse_study(base | {'method': {'name': 'AN', 'quietness': 2.0}}, 'x')"
    )
    printed = with_plugin("quiet:ONE", program)
    assert printed.startswith("{'quietness': 0.25}\n")
    assert "method.quietness: expected a number from 0" in printed


@pytest.mark.parametrize(
    ("entry_point", "words"),
    [
        ("quiet:TAKEN", "quiet 1.2: its method LL-R has the name of one of wsml-study itself"),
        ("quiet:NO_RECORD", "of quiet 1.2 (wsml_study.methods): expected a MethodRecord"),
        ("quiet:NOWHERE", "of quiet 1.2 (wsml_study.methods) cannot be loaded: AttributeError"),
        ("loud:ONE", "of quiet 1.2 (wsml_study.methods) cannot be loaded: ModuleNotFoundError"),
        ("quiet:OTHER_LIMITS", "Quiet: its option gamma takes a whole number of at least 1, and another's takes"),
    ],
)
def test_what_is_wrong_with_a_plugin_is_said(with_plugin, entry_point, words) -> None:
    program = "import wsml_study.study.spec"
    assert words in with_plugin(entry_point, program)


def test_a_submitted_study_says_which_plugins_are_absent(with_plugin) -> None:
    program = (
        'import os; os.environ[\'WSML_STUDY_PLUGINS\'] = \'{"quiet": "1.2", "loud": "3"}\'\n'
        "from wsml_study.registry import check_expected_plugins; check_expected_plugins()"
    )
    assert (
        "plug-ins that this machine lacks: loud==3; install them there, or submit with --requirements"
        in with_plugin("quiet:ONE", program)
    )
