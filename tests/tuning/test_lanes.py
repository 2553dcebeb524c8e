"""Runs of a factorial design go to the slots whose workers have trained them already."""

from pathlib import Path
from typing import Any

import pytest

from wsml_study.record.event_log import EventLog
from wsml_study.study.spec import TrialConfig
from wsml_study.testing.sampler_contract import study_with
from wsml_study.tuning.lanes import Lanes
from wsml_study.tuning.searcher import OptunaSearcher
from wsml_study.workers.protocol import Assignment, StepReport

FEATURES = {
    "data": {
        "dataset": "features",
        "root": ".",
        "features": {"file": "x.npy", "labels_file": "y.npy"},
        "validation": {"labels": "clean"},
    }
}
STUDY = study_with(
    "random",
    search={},
    model={"backbone": "linear"},
    factors={"method.name": ["AN", "WAN", "LSAN"], "data.observe.seed": [1, 2], "training.seed": [0, 1, 2, 3]},
    trials=1,
    **FEATURES,
)
NUM_RUNS = 24


class Slots:
    """Slots as Tune has them: a new trial starts in the one that became free first. Each trains batches ahead."""

    def __init__(self, folder: Path, count: int, together: int) -> None:
        self.log = EventLog(folder / "events.jsonl")
        self.log.append("run", classes=["a"], environment={}, runs_per_config=NUM_RUNS, every_run=True)
        self.searcher = OptunaSearcher(STUDY, self.log, num_trials=NUM_RUNS, slots=lambda: count, max_together=together)
        self.free = list(range(count))
        self.at_work: dict[int, tuple[str, Assignment]] = {}
        self.trained: dict[int, set[TrialConfig]] = {slot: set() for slot in self.free}
        self.batches: list[tuple[TrialConfig, ...]] = []
        self.asked = 0

    def start(self) -> Any:
        """Ask for a trial, and start it if there is one."""
        self.asked += 1
        given = self.searcher.suggest(f"tune-{self.asked}")
        if not isinstance(given, dict):
            return given
        slot, assignment = self.free.pop(0), Assignment.of(given)
        self.at_work[slot] = (f"tune-{self.asked}", assignment)
        if assignment.config not in self.trained[slot]:
            batch = (assignment.config, *assignment.companions)
            self.trained[slot].update(batch)
            self.batches.append(batch)
        return assignment

    def end(self, slot: int) -> None:
        """The trial in a slot is complete."""
        tune_id, assignment = self.at_work.pop(slot)
        result = {"epoch": 1, "val_map": 50.0, "best_epoch": 1}
        self.log.append("epoch", trial=assignment.trial, attempt=1, result=result, state="running")
        self.searcher.on_trial_complete(tune_id, {"done": True, "report": StepReport(complete=True)})
        self.log.append("ended", trial=assignment.trial, state="complete", error=None, sampler_state={})
        self.free.append(slot)

    def fill(self) -> None:
        """Start what may start."""
        while self.free and isinstance(self.start(), Assignment):
            pass


def in_turns(slots: Slots, turns: list[int]) -> None:
    """Trials end in the slots in these turns, over and over, until there is none left."""
    slots.fill()
    while slots.at_work:
        for slot in turns:
            if slot in slots.at_work:
                slots.end(slot)
            slots.fill()


@pytest.mark.parametrize("turns", [[0, 1], [0, 0, 0, 1], [1, 0, 0, 1, 1]], ids=str)
def test_every_run_is_trained_once_however_fast_slots_are(turns: list[int], tmp_path: Path) -> None:
    slots = Slots(tmp_path, 2, together=6)
    in_turns(slots, turns)
    trained = [config for batch in slots.batches for config in batch]
    assert (len(trained), len(set(trained))) == (NUM_RUNS, NUM_RUNS)
    assert sorted(trial.run for trial in slots.log.history.trials.values()) == list(range(NUM_RUNS))
    assert slots.start() == "FINISHED"


def test_a_batch_has_one_seed_where_enough_runs_do(tmp_path: Path) -> None:
    slots = Slots(tmp_path, 2, together=6)
    in_turns(slots, [0, 1])
    assert {len({config.training.seed for config in batch}) for batch in slots.batches} == {1}


def test_few_runs_are_shared_by_the_slots(tmp_path: Path) -> None:
    slots = Slots(tmp_path, 2, together=64)
    slots.fill()
    assert [len(batch) for batch in slots.batches] == [12, 6]


def test_a_slot_waits_rather_than_train_what_another_has(tmp_path: Path) -> None:
    slots = Slots(tmp_path, 2, together=64)
    slots.fill()
    while len(slots.trained[1]) < 12:
        slots.end(1)
        slots.fill()
    for _ in range(len(slots.log.history.trials), NUM_RUNS):
        slots.end(1)
        if slots.start() is None:
            break
    assert slots.at_work.keys() == {0}
    assert slots.searcher.suggest("tune-waiting") is None
    slots.end(0)
    assert isinstance(slots.start(), Assignment)


def test_a_lane_that_is_gone_keeps_nothing() -> None:
    lanes = Lanes()
    for name in ("a", "b"):
        lanes.take(name)
    lanes.promise(0, [(0, 1)])
    lanes.promise(1, [(0, 2)])
    lanes.free("b")
    assert lanes.next == 1
    assert lanes.of_others(1) == {(0, 1)}
    lanes.free("a")
    assert lanes.of_others(1) == set()
    lanes.begin((0, 2))
    assert lanes.of(1) == set()
