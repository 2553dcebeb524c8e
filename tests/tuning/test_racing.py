"""Configs that are judged by several runs: which lose, what the sampler is told, and that a restart changes nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from optuna.trial import TrialState as OptunaState

from wsml_study.errors import StudyFileError
from wsml_study.record.config_history import configs_of, num_ended
from wsml_study.record.event_log import EventLog
from wsml_study.testing.sampler_contract import study_with, value_of
from wsml_study.tuning.racing import has_lost
from wsml_study.tuning.searcher import OptunaSearcher
from wsml_study.workers.protocol import Assignment, StepReport


def test_a_config_loses_when_it_is_further_behind_than_the_noise_explains() -> None:
    # Residuals of .5, 0 and -.5: s = sqrt(4 * .25 / 2) = .707 with 2 degrees of freedom, t = 2.92, and the bound is
    # 2.92 * .707 * sqrt(1 + 1 / 3) = 2.38 below 80. No run is easier than another.
    values = [[80.5, 80.0, 79.5], [69.5, 70.0, 70.5]]
    assert not has_lost([77.7], values, num_runs=3, num_kept=1)
    assert has_lost([77.5], values, num_runs=3, num_kept=1)
    assert not has_lost([77.5], values, num_runs=3, num_kept=2), "it is better than the second best"
    assert not has_lost([0.0], values, num_runs=3, num_kept=3), "three are wanted, and two are there"
    assert not has_lost([0.0], values[:1], num_runs=3, num_kept=1), "one config says nothing about the noise"


def test_a_harder_draw_is_no_reason_to_lose() -> None:
    others = [[60.0, 80.0], [59.0, 79.1]]
    assert not has_lost([59.9], others, num_runs=2, num_kept=1)
    assert has_lost([40.0], others, num_runs=2, num_kept=1)


class OneSlot:
    """Plays the parts of Tune, the ledger and the workers, with trials of an epoch each."""

    def __init__(self, folder, num_configs: int = 14, **sections) -> None:
        study = study_with("tpe", {"n_startup_trials": 4}, seeds={"training": 3, "draws": True}, **sections)
        self.log = EventLog(folder / "events.jsonl")
        self.log.append("run", classes=["a"], num_trials=num_configs, runs_per_config=3, environment={})
        self.searcher = OptunaSearcher(study, self.log, num_trials=num_configs, slots=lambda: 1)

    def run(self, num_runs: int = 1000, fails: tuple[int, ...] = ()) -> None:
        for _ in range(num_runs):
            suggestion = self.searcher.suggest("slot")
            if not isinstance(suggestion, dict):
                assert suggestion == "FINISHED"
                return
            one = Assignment.of(suggestion)
            seed, draw = one.config.training.seed, one.config.data.observe.seed - 1200
            value = value_of(one.config) + 3 * draw + 0.1 * (7 * one.trial % 5)
            failed = one.trial in fails
            state = "failed" if failed else "complete"
            assert seed == draw
            if not failed:
                result = {"epoch": 1, "val_map": value, "best_epoch": 1, "best_val_map": value}
                self.log.append("epoch", trial=one.trial, attempt=1, result=result, state=state)
            report = StepReport(complete=True, error="diverged" if failed else None)
            self.searcher.on_trial_complete("slot", {"done": True, "report": report})
            self.log.append("ended", trial=one.trial, state=state, error=None, sampler_state={})

    @property
    def trials(self) -> list[tuple]:
        trials = self.log.history.trials
        return [(one.config_number, one.run, one.values) for _, one in sorted(trials.items())]


def test_the_number_of_trials_is_that_of_configs_and_bad_ones_run_once(tmp_path) -> None:
    slot = OneSlot(tmp_path)
    slot.run()
    configs = list(configs_of(slot.log.history))
    assert len(configs) == num_ended(slot.log.history) == 14
    runs = [len(config.runs) for config in configs]
    assert set(runs) <= {1, 2, 3}
    assert runs.count(1) >= 4, "bad configs lose after one run"
    assert [len(config.runs) == 3 for config in configs] == [not config.lost for config in configs]
    best = max(configs, key=lambda config: config.mean(slot.searcher._study.objective))
    assert len(best.runs) == 3


def test_the_sampler_is_told_the_mean(tmp_path) -> None:
    slot = OneSlot(tmp_path)
    slot.run()
    told = slot.searcher._asked.trials
    replayed = OneSlot(tmp_path).searcher._asked.trials
    for config in configs_of(slot.log.history):
        mean = config.mean(slot.searcher._study.objective)
        proposal = slot.searcher._proposal_of[config.number]
        assert told[proposal].value == replayed[proposal].value == mean
    assert {one.state for one in told} == {OptunaState.COMPLETE}


@pytest.mark.parametrize("parts", [[1] * 9, [4, 7, 2]])
def test_an_interrupted_race_goes_on_as_if_nothing_had_happened(parts, tmp_path) -> None:
    whole = OneSlot(tmp_path / "whole")
    whole.run()
    for count in parts:
        part = OneSlot(tmp_path / "parts")
        part.run(count)
        part.log.close()
    again = OneSlot(tmp_path / "parts")
    again.run()
    assert again.trials == whole.trials
    assert again.log.history.lost == whole.log.history.lost


def test_a_run_that_fails_is_the_last_of_its_config(tmp_path) -> None:
    slot = OneSlot(tmp_path)
    slot.run(fails=(0, 2))
    configs = list(configs_of(slot.log.history))
    assert [len(config.runs) for config in configs[:2]] == [1, 2]
    told = slot.searcher._asked.trials
    assert [one.state for one in told[:2]] == [OptunaState.FAIL, OptunaState.COMPLETE]
    assert told[1].value == configs[1].runs[0].value(slot.searcher._study.objective)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"search": {"training.seed": {"choice": [0, 1]}}}, "training.seed: cannot be searched with `seeds`"),
        ({"data": {"dataset": "digit_scenes", "validation": {"labels": "observed"}}}, "seeds.draws: expected false"),
        ({"early_stopping": {"name": "pbt"}}, "seeds: cannot be combined with early_stopping pbt"),
        (
            {"fidelity": [{"set": {"training.epochs": 2}, "survivors": 1}]},
            "seeds: cannot be combined with `fidelity`",
        ),
        ({"seeds": 1}, "seeds: expected a whole number from 2 to 100"),
        ({"seeds": {"training": 1}}, "seeds.training: expected a whole number from 2 to 100, got 1"),
        ({"seeds": {"training": 3, "sedes": 1}}, "seeds.sedes: unknown key; known keys are training, draws"),
    ],
)
def test_what_seeds_cannot_be_combined_with_is_refused(sections, message) -> None:
    with pytest.raises(StudyFileError) as refused:
        study_with("random", **({"seeds": {"training": 3, "draws": True}} | sections))
    assert message in str(refused.value)


def test_a_log_without_configs_reads_as_before(tmp_path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append("created", trial=0, values={}, config={}, sampler_state={})
    assert [config.number for config in configs_of(log.history)] == [0]
    assert json.loads((tmp_path / "events.jsonl").read_text().splitlines()[0])["trial"] == 0


def test_the_best_config_seldom_loses_and_many_runs_are_saved() -> None:
    draw = np.random.default_rng(0)
    num_runs = best_lost = 0
    for _ in range(60):
        means_C = draw.normal(size=20)
        values_CR = means_C[:, None] + draw.normal(size=3) + 0.5 * draw.normal(size=(20, 3))
        others: list[list[float]] = []
        for values_R in values_CR:
            count = 1
            while count < 3 and not has_lost(values_R[:count], others, num_runs=3, num_kept=1):
                count += 1
            others.append(list(values_R[:count]))
        num_runs += sum(map(len, others))
        best_lost += len(others[int(means_C.argmax())]) < 3
    assert num_runs / (60 * 20) < 2.0
    assert best_lost <= 60 * 0.08
