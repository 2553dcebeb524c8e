"""Limits of a search, on made-up histories and a made-up clock."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sample_studies.stories import epoch_result, small_study
from wsml_study.record.history import SearchEnded, StudyHistory
from wsml_study.study.budget_section import Budget, StopWhen
from wsml_study.study.early_stopping_section import EarlyStopping, EarlyStoppingName
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study
from wsml_study.tuning.limits import FIRST_TOGETHER, SAVING_S, Limits, still_holds

SECONDS = 2.5  # of an epoch, in `epoch_result`


class Story:
    """A study as it runs, told event by event."""

    def __init__(self, *, gpus: float = 0.0, regret: Any = None, **changes: Any) -> None:
        self.study = small_study().model_copy(update={"trials": 100} | changes)
        self.history, self.now = StudyHistory(), 0.0
        self.tell("run", classes=("cat", "dog"))
        self.limits = Limits(self.study, self.history, gpus_per_trial=gpus, regret=regret, clock=lambda: self.now)
        self.gpus = gpus

    def tell(self, event: str, **details: Any) -> None:
        self.history.apply({"event": event, "time": self.now, **details})

    def begin(self, number: int) -> bool:
        """Begin a new trial if there is room for it."""
        if not self.limits.may_begin(None):
            return False
        config = SearchSpace.from_study(self.study).resolve(self.study, {"method.name": "AN"})
        self.limits.hand_out(number)
        values = {"method.name": "AN"}
        self.tell("created", trial=number, values=values, config=config.model_dump(mode="json"), sampler_state={})
        self.tell("attempt", trial=number, attempt=1, gpus=self.gpus)
        return True

    def epoch(self, number: int, *, state: str = "running", seconds: float = SECONDS, together: int = 1) -> bool:
        """An epoch of a trial; whether it goes on."""
        self.now += seconds
        epoch = self.history.trials[number].last_epoch + 1
        result = epoch_result(epoch, 50.0, (1, 50.0), None) | {"trained_together": together}
        goes_on = state == "running" and self.limits.goes_on(number, result)
        self.tell("epoch", trial=number, attempt=1, state=state, result=result)
        if state != "running":
            self.limits.leave(number)
        return goes_on


def test_epochs_in_progress_are_counted_so_that_the_budget_is_met_exactly() -> None:
    story = Story(budget=Budget(epochs=6))
    assert story.begin(0)
    assert story.begin(1)
    going_on = [story.epoch(number) for number in (0, 1, 0, 1, 0, 1)]
    assert going_on == [True, True, True, True, False, False]
    assert story.history.spending.epochs == 6


def test_no_trial_begins_that_cannot_reach_its_first_decision() -> None:
    grace = EarlyStopping.model_validate({"name": EarlyStoppingName("asha"), "grace_epochs": 3})
    story = Story(budget=Budget(epochs=7), early_stopping=grace)
    assert story.begin(0)
    for _ in range(3):
        assert story.epoch(0)
    # 3 are spent, 1 is in progress, 3 are left.
    assert story.begin(1)
    assert not story.begin(2)


def test_no_epoch_begins_that_would_end_after_the_hours() -> None:
    story = Story(budget=Budget(hours=11 / 3600))
    story.begin(0)
    assert [story.epoch(0) for _ in range(4)] == [True, True, True, False]
    assert story.history.spending.seconds() == 10.0


def test_the_time_of_an_epoch_is_that_of_the_whole_batch() -> None:
    story = Story(budget=Budget(hours=45 / 3600))
    story.begin(0)
    assert not story.epoch(0, seconds=8 * SECONDS + 10, together=8), "the next takes 20 s as well, and 15 s are left"


def test_gpu_hours_are_those_of_all_slots() -> None:
    story = Story(gpus=2.0, budget=Budget(gpu_hours=21 / 3600))
    story.begin(0)
    assert story.epoch(0)  # 5 GPU seconds
    story.begin(1)
    assert not story.epoch(1), "15 GPU seconds are spent, and an epoch of two trials takes 10"


def test_the_run_ends_when_all_paused_trials_are_saved() -> None:
    story = Story(budget=Budget(epochs=2))
    story.begin(0)
    story.begin(1)
    assert not story.limits.all_is_saved()
    story.epoch(0)
    story.epoch(1)
    story.tell("saved", trial=0, epoch=1, checkpoint="somewhere/0")
    assert not story.limits.all_is_saved()
    assert story.limits.reached is None
    story.tell("saved", trial=1, epoch=1, checkpoint="somewhere/1")
    assert story.limits.all_is_saved()
    assert story.limits.reached == SearchEnded(by="epochs", limit=2, message="the budget of 2 epochs is spent")


def test_a_checkpoint_that_does_not_come_is_not_waited_for_forever() -> None:
    story = Story(budget=Budget(epochs=1))
    story.begin(0)
    story.epoch(0)
    assert not story.limits.all_is_saved()
    story.now += SAVING_S + 1
    assert story.limits.all_is_saved()


def test_without_a_trial_at_work_a_spent_budget_ends_the_search() -> None:
    story = Story(budget=Budget(epochs=2))
    story.begin(0)
    story.epoch(0)
    story.epoch(0, state="complete")
    assert not story.begin(1)
    assert story.limits.reached is not None


def test_trials_are_trained_together_as_far_as_the_budget_holds_them() -> None:
    """A trial has ten epochs."""
    story = Story(budget=Budget(hours=1020 / 3600))
    assert story.limits.most_together(64) == FIRST_TOGETHER
    story.begin(0)
    story.epoch(0)
    assert story.limits.most_together(64) == 40, "1,017.5 s are left, and a trial takes 25 s"
    assert story.limits.most_together(8) == 8
    assert Story(budget=Budget(epochs=35)).limits.most_together(64) == 3


def test_expected_regret_is_computed_once_after_each_trial_and_ends_the_search() -> None:
    asked: list[int] = []

    def regret(history: StudyHistory) -> float:
        asked.append(len(history.trials))
        return 0.5 if len(asked) < 3 else 0.15

    story = Story(stop_when=StopWhen(expected_regret=0.2), regret=regret)
    for number in range(2):
        assert story.begin(number)
        assert story.epoch(number)
        story.epoch(number, state="complete")
    assert not story.begin(2)
    assert len(asked) == 3
    assert story.limits.reached == SearchEnded(
        by="expected_regret", limit=0.2, message="expected regret 0.15 <= 0.2 after 2 trials"
    )


BY_HOURS = SearchEnded(by="hours", limit=2.0, message="")
BY_REGRET = SearchEnded(by="expected_regret", limit=0.2, message="")


@pytest.mark.parametrize(
    ("ended", "changes", "expected"),
    [
        (BY_HOURS, {"budget": Budget(hours=2)}, True),
        (BY_HOURS, {"budget": Budget(hours=1)}, True),
        (BY_HOURS, {"budget": Budget(hours=3)}, False),
        (BY_HOURS, {"budget": Budget(epochs=9)}, False),
        (BY_HOURS, {}, False),
        (BY_REGRET, {"stop_when": StopWhen(expected_regret=0.3)}, True),
        (BY_REGRET, {"stop_when": StopWhen(expected_regret=0.1)}, False),
        (None, {"budget": Budget(hours=2)}, False),
    ],
)
def test_a_search_goes_on_only_with_a_larger_limit(
    ended: SearchEnded | None, changes: dict[str, Any], expected: bool
) -> None:
    study: Study = small_study().model_copy(update=changes)
    assert still_holds(ended, study) is expected
