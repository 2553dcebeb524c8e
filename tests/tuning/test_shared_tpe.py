"""TPE whose model serves several proposals: the first is TPE's own, and the model is made once."""

from __future__ import annotations

import optuna
import pytest
from optuna.samplers import TPESampler

from wsml_study.tuning.shared_tpe import SharedTpe

METHODS = ["AN", "LL-R", "LL-Cp"]


def proposal(study: optuna.Study) -> dict[str, object]:
    """Of two keys that all trials have, and one that depends on them."""
    trial = study.ask()
    name = trial.suggest_categorical("method", METHODS)
    trial.suggest_float("learning_rate", 1e-4, 0.1, log=True)
    if name != "AN":
        trial.suggest_float("rate", 0.001, 0.1, log=True)
    return trial.params


def searched(sampler: TPESampler, num_trials: int = 60) -> optuna.Study:
    """A study with complete trials, those of LL-R at large rates the best, and some that are open."""
    study = optuna.create_study(direction="maximize", sampler=TPESampler(seed=1))
    for number in range(num_trials):
        trial = study.ask()
        name = trial.suggest_categorical("method", METHODS)
        rate = trial.suggest_float("learning_rate", 1e-4, 0.1, log=True)
        value = rate + (0 if name == "AN" else trial.suggest_float("rate", 0.001, 0.1, log=True))
        if number % 5:
            study.tell(trial, value + (name == "LL-R"))
    study.sampler = sampler
    return study


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("multivariate", [True, False])
def test_the_first_proposal_is_that_of_tpe(seed, multivariate):
    arguments = {"seed": seed, "constant_liar": True, "multivariate": multivariate}
    own, shared = searched(TPESampler(**arguments)), searched(SharedTpe(**arguments))
    assert proposal(shared) == proposal(own)


def test_the_model_is_made_once(monkeypatch):
    study = searched(SharedTpe(seed=3, constant_liar=True))
    made = []
    original = TPESampler._build_parzen_estimator

    def counted(self, study, search_space, *arguments, **settings):
        made.append(tuple(search_space))
        return original(self, study, search_space, *arguments, **settings)

    monkeypatch.setattr(TPESampler, "_build_parzen_estimator", counted)
    proposals = [proposal(study) for _ in range(20)]
    assert len(made) == 2 * len(set(made)), "one of the good trials and one of the others, for each set of keys"
    assert len({one["learning_rate"] for one in proposals}) == 20
    with_rate = [one for one in proposals if "rate" in one]
    assert len({one["rate"] for one in with_rate}) == len(with_rate) > 0


def test_proposals_follow_the_good_trials():
    study = searched(SharedTpe(seed=3, constant_liar=True))
    methods = [proposal(study)["method"] for _ in range(30)]
    assert methods.count("LL-R") > 15
