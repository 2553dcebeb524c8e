"""A trial without enough memory beside others is retried on its own before it counts as failed; a diverged one not."""

from __future__ import annotations

import json

import pytest

from tests.end_to_end.light_trials import Greedy, quiet, study_over_seeds
from wsml_study.record.tables import read_table
from wsml_study.tuning.run import run_study


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_who_runs_out_of_memory_is_retried_exclusively(tmp_path):
    machine = tmp_path / "machine"
    machine.mkdir()
    progress, written = quiet()
    outcome = run_study(study_over_seeds(5, tmp_path / "results"), progress, open_trial=Greedy(machine))
    assert outcome.finished
    trials = read_table(outcome.folder, "trials").to_pylist()
    assert [trial["state"] for trial in trials] == ["complete", "complete", "failed", "failed", "complete"]
    assert [trial["attempts"] for trial in trials] == [1, 2, 2, 1, 1]
    assert trials[2]["error"] == (
        "out of memory with no other trial on the machine: CUDA out of memory. Tried to allocate 2.00 GiB.; "
        "lower training.batch_size or data.image_size"
    )
    assert trials[3]["error"] == "the training loss is nan in epoch 2: the trial diverged; lower the learning rate"
    assert trials[3]["last_epoch"] == 1
    epochs = read_table(outcome.folder, "epochs").to_pandas()
    assert epochs[epochs["trial"] == 1]["epoch"].tolist() == [1, 2, 3]
    events = [json.loads(line) for line in (outcome.folder / "events.jsonl").read_text().splitlines()]
    waiting = [event["trial"] for event in events if event["event"] == "out_of_memory"]
    assert sorted(waiting) == [1, 2]
    others_ended = max(n for n, event in enumerate(events) if event["event"] == "ended" and event["trial"] in (0, 3, 4))
    tried_again = [n for n, event in enumerate(events) if event["event"] == "attempt" and event["attempt"] == 2]
    assert min(tried_again) > others_ended
    assert "2 trials that ran out of memory are retried, one at a time" in written.getvalue()
