"""The history of a study: repeated epochs replace what came after them, and long logs take linear time to read."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsml_study.record.history import StudyHistory

CREATED = {"event": "created", "trial": 0, "values": {}, "config": {}, "sampler_state": {}}


def epoch_event(epoch: int) -> dict[str, Any]:
    result = {"epoch": epoch, "val_map": 1.0}
    return {"event": "epoch", "trial": 0, "attempt": 1, "time": 0.0, "state": "running", "result": result}


class Counted(int):
    """A number that counts how often it is compared."""

    comparisons = 0

    def __ge__(self, other: int) -> bool:
        Counted.comparisons += 1
        return int(self) >= int(other)

    def __lt__(self, other: int) -> bool:
        Counted.comparisons += 1
        return int(self) < int(other)

    def __gt__(self, other: int) -> bool:
        Counted.comparisons += 1
        return int(self) > int(other)

    __hash__ = int.__hash__


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from(["", "saved", "exploited"])), max_size=40))
def test_an_epoch_replaces_all_that_came_after_it(steps: list[tuple[int, str]]) -> None:
    """Each step goes back some epochs from the newest one, as after a crash, runs the next, and may note something."""
    events, epochs, noted = [CREATED], list[int](), {"saved": list[int](), "exploited": list[int]()}
    for back, note in steps:
        epoch = max(0, len(epochs) - back // 4) + 1
        events.append(epoch_event(epoch))
        epochs = list(range(1, epoch + 1))
        noted = {kind: [one for one in of if one < epoch] for kind, of in noted.items()}
        if note:
            noted[note].append(epoch)
            about = {"event": note, "trial": 0, "epoch": epoch, "checkpoint": f"{note} {epoch}"}
            events.append(about | {"source": 1, "values": {}, "config": {}})
    trial = StudyHistory.replay(events).trials[0]
    assert list(trial.epochs) == epochs
    assert trial.last_epoch == len(epochs)
    assert trial.saved == {epoch: f"saved {epoch}" for epoch in noted["saved"]}
    assert [exploit.epoch for exploit in trial.exploits] == noted["exploited"]


def test_epochs_are_compared_a_few_times_each_however_long_the_log_is() -> None:
    events: list[dict[str, Any]] = [CREATED]
    for epoch in map(Counted, range(1, 2001)):
        about = {"trial": 0, "epoch": epoch, "checkpoint": "c", "source": 1, "values": {}, "config": {}}
        events += [epoch_event(epoch), {"event": "saved"} | about, {"event": "exploited"} | about]
    Counted.comparisons = 0
    trial = StudyHistory.replay(events).trials[0]
    assert trial.last_epoch == len(trial.saved) == len(trial.exploits) == 2000
    assert 0 < Counted.comparisons <= 10 * 2000


def test_each_epoch_has_the_machine_that_it_ran_on() -> None:
    """The log names a machine where it changes."""
    moved = [CREATED, epoch_event(1) | {"host": "a"}, epoch_event(2), epoch_event(3) | {"host": "b"}]
    trial = StudyHistory.replay(moved).trials[0]
    assert [result["host"] for result in trial.epochs.values()] == ["a", "a", "b"]
    assert trial.host == "b"
    assert StudyHistory.replay([CREATED, epoch_event(1)]).trials[0].host is None
