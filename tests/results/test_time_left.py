"""Time left, estimated on made-up logs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sample_studies.stories import epoch_result, small_study
from wsml_study.record.history import StudyHistory
from wsml_study.record.trial_history import TrialState
from wsml_study.results.slot_times import EVENT_S, OTHER_EVENTS, kind_of
from wsml_study.results.time_left import WorkLeft
from wsml_study.study.budget_section import Budget
from wsml_study.study.confirm_section import Confirm
from wsml_study.study.early_stopping_section import EarlyStopping, EarlyStoppingName
from wsml_study.study.search_section import Parameter
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study

EPOCHS = 10  # of a trial of `small_study`


class Story:
    """A study's log, told event by event."""

    def __init__(self, **changes: Any) -> None:
        self.study: Study = small_study().model_copy(update=changes)
        self.history, self.work = StudyHistory(), WorkLeft(self.study)
        self.tell(0, "run", classes=("cat", "dog"), num_trials=4)

    def tell(self, at: float, event: str, **details: Any) -> None:
        self.history.apply({"event": event, "time": at, **details})

    def begin(self, number: int, at: float, method: str = "AN") -> None:
        values: dict[str, Any] = {"method.name": method}
        config = SearchSpace.from_study(self.study).resolve(self.study, values).model_dump(mode="json")
        self.tell(at, "created", trial=number, values=values, config=config, sampler_state={})
        self.tell(at, "attempt", trial=number, attempt=1)

    def epoch(self, number: int, at: float, seconds: float, *, together: int = 1, state: str | None = None) -> None:
        epoch = self.history.trials[number].last_epoch + 1
        result = epoch_result(epoch, 50.0, (1, 50.0), None) | {
            "train_seconds": seconds,
            "validation_seconds": 0.0,
            "trained_together": together,
        }
        state = state or ("complete" if epoch == EPOCHS else "running")
        self.tell(at, "epoch", trial=number, attempt=1, state=state, result=result)
        if state != "running":
            self.tell(at, "ended", trial=number, state=state, sampler_state={})

    def left(self, now: float, *, num_trials: int | None = 4, slots: int = 1) -> float | None:
        return self.work.search_seconds(self.history, num_trials=num_trials, slots=slots, now=now)


def test_nothing_is_known_before_the_first_epoch() -> None:
    story = Story()
    story.begin(0, 5.0)
    assert story.left(6.0) is None


def test_epochs_of_all_trials_are_left_not_trials() -> None:
    story = Story()
    story.begin(0, 10.0)
    for epoch in range(1, 4):
        story.epoch(0, 10.0 + 2 * epoch, 2.0)
    assert story.left(16.0) == pytest.approx(2 * (7 + 3 * EPOCHS))
    assert story.left(17.0) == pytest.approx(2 * (7 + 3 * EPOCHS) - 1), "a second of the next epoch is over"


def test_the_last_trial_ends_when_its_slot_gets_to_it() -> None:
    """Three trials in two slots take as long as two."""
    story = Story()
    for number in range(2):
        story.begin(number, 0.0)
        story.epoch(number, 2.0, 2.0)
    assert story.left(2.0, num_trials=3, slots=2) == pytest.approx(2 * (9 + EPOCHS))


def test_further_runs_of_configs_are_left_too() -> None:
    """Four configs of three runs each, of which half lose after the first run: one more of the config at work, and two
    of each of the others."""
    story = Story()
    story.tell(0, "run", classes=("cat", "dog"), num_trials=4, runs_per_config=3)
    story.begin(0, 0.0)
    for epoch in range(1, 4):
        story.epoch(0, 2.0 * epoch, 2.0)
    assert story.left(6.0) == pytest.approx(2 * (7 + 7 * EPOCHS))


def test_time_between_epochs_is_expected_again() -> None:
    """Epochs of 2 s come every 3 s."""
    story = Story()
    story.begin(0, 0.0)
    for epoch in range(1, 6):
        story.epoch(0, 3.0 * epoch, 2.0)
    assert story.left(15.0, num_trials=1) == pytest.approx(15.0, rel=0.2)


def test_a_method_that_takes_longer_is_expected_to_do_so() -> None:
    story = Story()
    story.begin(0, 0.0, "AN")
    for epoch in range(1, EPOCHS + 1):
        story.epoch(0, float(epoch), 1.0)
    story.begin(1, 10.0, "LL-R")
    for epoch in range(1, 6):
        story.epoch(1, 10.0 + 5 * epoch, 5.0)
    assert story.left(35.0, num_trials=2) == pytest.approx(5 * (EPOCHS - 5), rel=0.1)


def test_trials_that_are_trained_together_end_together() -> None:
    """Of a batch of 64 only the first reports while it is trained; an epoch of all takes 6.4 s, .1 s each."""
    story = Story()
    story.begin(0, 0.0)
    story.epoch(0, 19.2, 0.3, together=64)
    assert story.left(19.2, num_trials=64) is None, "the first epoch of a process says little"
    story.epoch(0, 25.6, 0.1, together=64)
    handing_out = 63 * (EPOCHS + OTHER_EVENTS) * EVENT_S
    assert story.left(25.6, num_trials=64) == pytest.approx(8 * 6.4 + handing_out, rel=0.01)
    for epoch in range(3, EPOCHS + 1):
        story.epoch(0, 12.8 + 6.4 * epoch, 0.1, together=64)
    for number in range(1, 32):
        story.begin(number, 76.8)
        for epoch in range(EPOCHS):
            story.epoch(number, 76.81, 0.1 if epoch else 0.3, together=64)
    assert story.left(76.9, num_trials=64) == pytest.approx(0.0, abs=1.0)


def test_a_batch_takes_its_whole_time_also_where_most_of_its_trials_are_stopped() -> None:
    """Of 64 trials 63 report one epoch of the ten that were trained for them. Another 64 take as long."""
    asha = EarlyStopping.model_validate({"name": EarlyStoppingName("asha"), "grace_epochs": 1})
    story = Story(early_stopping=asha)
    story.begin(0, 0.0)
    for epoch in range(1, EPOCHS + 1):
        story.epoch(0, 6.4 * epoch, 0.1, together=64)
    for number in range(1, 64):
        story.begin(number, 64.0)
        story.epoch(number, 64.01, 0.1, together=64, state="stopped")
    assert story.left(64.1, num_trials=128) == pytest.approx(64.0, rel=0.15)


def test_trials_that_are_trained_already_are_handed_out_one_by_one() -> None:
    """A batch of 128 took 10 s, and each of its trials then .26 s: 108 of them are left."""
    story = Story()
    story.begin(0, 0.0)
    for epoch in range(1, EPOCHS + 1):
        story.epoch(0, float(epoch), 1 / 128, together=128)
    now = 10.0
    for number in range(1, 20):
        story.begin(number, now)
        for _ in range(EPOCHS):
            now += 0.026
            story.epoch(number, now, 1 / 128, together=128)
    assert story.left(now, num_trials=128) == pytest.approx(108 * 0.26, rel=0.1)


def test_a_second_batch_takes_as_long_as_the_first() -> None:
    story = Story()
    story.begin(0, 0.0)
    for epoch in range(1, EPOCHS + 1):
        story.epoch(0, 10.0 * epoch, 10 / 64, together=64)
    for number in range(1, 64):
        story.begin(number, 100.0)
        for _ in range(EPOCHS):
            story.epoch(number, 100.0, 10 / 64, together=64)
    assert story.left(100.0, num_trials=128) == pytest.approx(100.0, rel=0.05)


def test_no_more_trials_are_expected_than_the_search_space_holds() -> None:
    names = Parameter(choice=("AN", "WAN"))
    small = Story(search={"method.name": names})
    small.begin(0, 0.0)
    for epoch in range(1, 4):
        small.epoch(0, float(epoch), 1.0)
    assert small.left(3.0, num_trials=10) == pytest.approx(7 + EPOCHS)
    small.tell(3.0, "exhausted")
    assert small.left(3.0, num_trials=10) == pytest.approx(7)


def test_a_pause_is_no_part_of_an_epoch() -> None:
    """A trial is paused after its first epoch, another one is trained for a minute, and then it goes on."""
    story = Story()
    story.begin(0, 0.0)
    story.epoch(0, 2.0, 2.0)
    story.history.trials[0].state = TrialState.PAUSED
    story.begin(1, 2.0)
    for epoch in range(1, EPOCHS + 1):
        story.epoch(1, 2.0 + 2 * epoch, 2.0)
    story.tell(60.0, "resumed", trial=0)
    story.tell(60.0, "attempt", trial=0, attempt=1)
    story.epoch(0, 62.0, 2.0)
    assert story.work.tally(story.history).seconds_per_epoch(kind_of(story.history.trials[0].config, 1)) == 2.0


def test_a_smaller_share_of_the_images_takes_less_before_it_was_seen() -> None:
    """Half of an epoch's seconds depend on the number of images."""
    story = Story()
    story.begin(0, 0.0)
    for epoch in range(1, EPOCHS + 1):
        story.epoch(0, 2.0 * epoch, 1.0)
    kind = kind_of(story.history.trials[0].config, 1)
    tally = story.work.tally(story.history)
    expected = tally.seconds_per_epoch(kind._replace(size=0.1 * kind.size))
    assert expected == pytest.approx(1.0 + 0.1 * 1.0, rel=0.1)


def test_early_stopping_ends_as_many_as_so_far() -> None:
    """Of twelve trials eleven were stopped after their first epoch: another twelve take 12 + 9 * 1 epochs or so."""
    asha = EarlyStopping.model_validate({"name": EarlyStoppingName("asha"), "grace_epochs": 1, "reduction_factor": 12})
    story = Story(early_stopping=asha)
    now = 0.0
    for number in range(12):
        story.begin(number, now)
        for _ in range(EPOCHS if number == 0 else 1):
            now += 1.0
            story.epoch(number, now, 1.0, state="stopped" if number else None)
    assert story.left(now, num_trials=24) == pytest.approx(21, rel=0.1)


def test_a_rule_is_expected_to_stop_trials_before_it_has_stopped_any() -> None:
    asha = EarlyStopping.model_validate({"name": EarlyStoppingName("asha"), "grace_epochs": 1, "reduction_factor": 3})
    with_rule, without = Story(early_stopping=asha), Story()
    for story in (with_rule, without):
        story.begin(0, 0.0)
        story.epoch(0, 1.0, 1.0)
    left = with_rule.left(1.0, num_trials=30)
    assert left is not None
    assert left < 0.5 * (without.left(1.0, num_trials=30) or 0)


def test_a_budget_ends_the_search_before_its_trials_do() -> None:
    story = Story(budget=Budget(epochs=20, hours=1))
    story.begin(0, 0.0)
    for epoch in range(1, 5):
        story.epoch(0, 2.0 * epoch, 2.0)
    assert story.left(8.0, num_trials=None) == pytest.approx(32.0)
    hours = Story(budget=Budget(hours=20 / 3600))
    assert hours.left(8.0, num_trials=None) == pytest.approx(12.0)


def test_the_confirmation_to_come_is_told_apart() -> None:
    story = Story(confirm=Confirm(top=3, seeds=5))
    story.begin(0, 0.0)
    story.epoch(0, 1.0, 1.0)
    assert story.left(1.0) == pytest.approx(9 + 3 * EPOCHS)
    assert story.work.confirmation_seconds(story.history, slots=2, now=1.0) == pytest.approx(20 * EPOCHS / 2, rel=0.5)
    assert Story().work.confirmation_seconds(story.history, slots=2, now=1.0) is None
