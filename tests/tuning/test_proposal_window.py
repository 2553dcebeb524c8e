"""What a sampler sees of a long search: the best and the newest trials, and the same after a restart."""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import TrialState as OptunaState
from optuna.trial import create_trial

from wsml_study.record.events import read_events
from wsml_study.report.search_preview import search_lines
from wsml_study.study.sampler_record import WINDOW, WINDOWED_FROM
from wsml_study.testing.sampler_contract import SimulatedSlot, study_with
from wsml_study.tuning import optuna_study
from wsml_study.tuning.proposal_window import BEST, NEWEST_ENDED, NEWEST_OPEN, WindowedStorage


def told(storage: WindowedStorage, outcomes: list[float | None]) -> optuna.Study:
    """A study with a complete trial of each value, and an open trial for None."""
    study = optuna.create_study(storage=storage, direction="maximize")
    for value in outcomes:
        state = OptunaState.RUNNING if value is None else OptunaState.COMPLETE
        study.add_trial(create_trial(state=state, value=value))
    return study


def shown(storage: WindowedStorage, study: optuna.Study) -> list[int]:
    with storage.window():
        return [trial.number for trial in study.get_trials(deepcopy=False)]


def test_the_best_and_the_newest_are_shown():
    storage = WindowedStorage(sign=1)
    early = [100.0 + number for number in range(2 * BEST)]  # the later half of these are the best of all
    late = [float(number % 50) for number in range(2 * NEWEST_ENDED)]
    study = told(storage, [*early, *late, *[None] * 2 * NEWEST_OPEN])
    ended, total = len(early) + len(late), len(storage)
    expected = [
        *range(BEST, 2 * BEST),
        *range(ended - NEWEST_ENDED, ended),
        *range(total - NEWEST_OPEN, total),
    ]
    assert (shown(storage, study), len(expected)) == (expected, WINDOW)
    assert len(study.get_trials(deepcopy=False)) == total, "outside of the block all trials are there"


def test_what_is_shown_does_not_depend_on_the_order_in_which_trials_ended():
    values = [float(number * 7 % 1000) for number in range(1200)]
    at_once, one_by_one = WindowedStorage(sign=-1), WindowedStorage(sign=-1)
    first, second = told(at_once, list(values)), told(one_by_one, [None] * len(values))
    for number in sorted(range(len(values)), key=lambda number: number * 13 % 1200):
        second.tell(number, values[number])
    assert shown(at_once, first) == shown(one_by_one, second)


def test_a_trial_with_another_outcome_takes_its_new_place():
    storage = WindowedStorage(sign=1)
    study = told(storage, [1.0] * (BEST + NEWEST_ENDED) + [2.0] * 0)
    assert 600 in shown(storage, study)
    storage.replace(0, create_trial(state=OptunaState.COMPLETE, value=0.5))
    with storage.window():
        assert 0 not in [trial.number for trial in study.get_trials(deepcopy=False)]
    storage.replace(0, create_trial(state=OptunaState.PRUNED, intermediate_values={3: 9.0}))
    assert (storage.one(0).number, storage.one(0).state) == (0, OptunaState.PRUNED)
    storage.replace(0, create_trial(state=OptunaState.COMPLETE, value=3.0))
    assert shown(storage, study)[0] == 0


@pytest.mark.parametrize("trials", [WINDOWED_FROM, WINDOWED_FROM + 1])
def test_check_says_when_a_search_is_long(trials):
    lines = "\n".join(search_lines(study_with("tpe", trials=trials), None))
    assert ("it is shown 1,000, the best and the newest" in lines) == (trials > WINDOWED_FROM)
    assert "it is shown" not in "\n".join(search_lines(study_with("random", trials=trials), None))


def test_a_long_search_on_many_slots_proposes_several_trials_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(optuna_study, "WINDOWED_FROM", 20)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    at_a_time = SimulatedSlot(study_with("tpe"), whole, slots=1024)
    at_a_time.run(40)
    for count in (22, 5, 13):  # the first ends within what was proposed at once
        slot = SimulatedSlot(study_with("tpe"), parts, slots=1024)
        slot.run(count)
        slot.log.close()
    assert slot.proposals == at_a_time.proposals
    events = read_events(whole / "events.jsonl")
    proposed = [(event["first"], len(event["proposals"])) for event in events if event["event"] == "proposed"]
    assert proposed == [(first, 4) for first in range(20, 40, 4)], "one for 256 slots each"
