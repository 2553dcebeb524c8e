"""What travels between Tune, slots and workers: cheap to import, cheap to copy."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest

from tests.workers.in_process import config_with
from wsml_study.workers.protocol import Assignment, StepReport


@pytest.mark.parametrize(
    ("module", "left_out"),
    [
        ("protocol", {"torch", "ray", "pydantic", "numpy"}),
        ("mailbox", {"torch", "pydantic"}),
    ],
)
def test_a_process_imports_no_more_than_it_needs(module, left_out):
    program = f"import sys, wsml_study.workers.{module}; print(*sorted({left_out!r} & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.split() == []


def test_tunes_copies_of_an_assignment_cost_nothing():
    assignment = Assignment(trial=7, config=config_with(0), companions=tuple(map(config_with, range(1, 9))))
    config = copy.deepcopy(assignment.as_tune_config())
    assert Assignment.of(config) is assignment
    assert str(assignment) == "trial 7"


def test_an_assignment_is_the_same_on_the_other_side():
    assignment = Assignment(trial=7, config=config_with(0), companions=(config_with(1),), checkpoint="a/b")
    assert pickle.loads(pickle.dumps(assignment)) == assignment


@pytest.mark.parametrize(
    ("report", "done"),
    [
        (StepReport(result={"epoch": 1}), False),
        (StepReport(result={"epoch": 1}, complete=True), True),
        (StepReport(error="nan"), True),
        (StepReport(out_of_memory="CUDA out of memory"), True),
    ],
)
def test_a_trial_ends_with_its_last_epoch_or_an_error(report, done):
    assert report.done is done


def test_a_trial_without_a_step_has_no_last_report():
    assert StepReport.of_last(None) is None
    assert StepReport.of_last({"trial_id": "x"}) is None
