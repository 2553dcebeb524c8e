"""Each check of `wsml_study.testing` fails on records that break a promise, and names record and promise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ENTRY_POINTS = """
[wsml_study.methods]
broken = broken_records:METHODS
[wsml_study.datasets]
broken = broken_records:READERS
[wsml_study.backbones]
broken = broken_records:BACKBONES
[wsml_study.samplers]
broken = broken_records:SAMPLERS
[wsml_study.early_stopping]
broken = broken_records:RULES
[wsml_study.trackers]
broken = broken_records:TRACKERS
[wsml_study.metrics]
broken = broken_records:METRICS
"""

BROKEN = {
    "Counts-Padding": "method Counts-Padding breaks the promise: padding counts nowhere",
    "Forgets-State": "method Forgets-State breaks the promise: saved and loaded it goes on identically",
    "Reads-Values": "breaks the promise: a batch never waits for a value from the device (epoch=1)",
    "Distrusts-Observed": "breaks the promise: only unobserved labels are distrusted\nan observed label is distrusted",
    "writable_labels": "dataset writable_labels breaks the promise: labels cannot be changed (side=test)",
    "shares_images": "breaks the promise: train and test share no image\n20 images are in both splits, such as train-0",
    "draws_by_hash": "breaks the promise: a fresh process reads the same without torch sklearn or images\ntwo",
    "imports_torch": "reading imports torch; import it where images are opened",
    "wrong_name": "breaks the promise: it says its own name\nthe dataset says 'another_name'",
    "ignores_the_seed": "backbone ignores_the_seed breaks the promise: equal seeds give equal networks",
    "first_layer_as_head": "breaks the promise: the head is the last linear layer",
    "unused_layer": "breaks the promise: every parameter gets a gradient\n"
    "these parameters get no gradient: 4.left_out.weight, 4.left_out.bias",
    "fixed_size": "breaks the promise: it gives finite logits",
    "global_state": "sampler global_state breaks the promise: an interrupted search proposes what it would have",
    "looks_at_results": "breaks the promise: what is not model based does not look at results",
    "always_the_same": "breaks the promise: proposals differ",
    "keeps_lost_epochs": "early stopping rule keeps_lost_epochs breaks the promise: a repeated epoch replaces itself",
    "counts_questions": "breaks the promise: it answers true or false and the same when asked again",
    "depends_on_order": "breaks the promise: a restart changes no decision",
    "ends_nothing": "breaks the promise: of many trials it ends some\nof 400 trials none is ended",
    "too_early": "breaks the promise: no trial ends before the first decision\nwith calm_epochs = 4",
    "tells_twice": "tracker tells_twice breaks the promise: shown the same again nothing changes\nthe store",
    "loses_when_killed": "wherever a run is cut short nothing is lost or told twice (close=False)\ncut short",
    "fails": "breaks the promise: it follows a run\nit raises an error: fails: the store is full",
    "wrong_way": "metric wrong_way breaks the promise: perfect scores are at least as good as random ones",
    "zero_of_nothing": "breaks the promise: nothing annotated has no value\nexpected NaN",
    "constant": "breaks the promise: perfect scores are better than reversed ones",
    "sorts_in_place": "breaks the promise: scores and labels are only read\nthe scores have changed",
}
"""Record -> part of what its check says."""


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """What all checks say, in a process that sees the records as a distribution's."""
    here, folder = Path(__file__).parent, tmp_path_factory.mktemp("distribution")
    metadata = folder / "broken-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    path = os.pathsep.join([str(folder), str(here), str(here.parents[1])])
    done = subprocess.run(
        [sys.executable, here / "broken_checks.py", folder],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, str | None] = json.loads(done.stdout.splitlines()[-1])
    return said


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_named(name: str, messages: dict[str, str | None]) -> None:
    assert BROKEN[name] in (messages[name] or "nothing is found")


def test_every_broken_record_has_an_expected_message(messages: dict[str, str | None]) -> None:
    assert set(messages) == set(BROKEN)


def test_the_checks_need_no_pytest() -> None:
    program = "import sys, wsml_study.testing; print('pytest' in sys.modules, 'hypothesis' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
