"""Early stopping under Ray Tune: the study's rule, rebuilt from the event log, decides after every epoch."""

from __future__ import annotations

from typing import Any

from ray.tune.schedulers import TrialScheduler

from wsml_study.cluster.start_order import InOrder
from wsml_study.record.history import StudyHistory
from wsml_study.registry import implementation
from wsml_study.study.early_stopping_record import Rule
from wsml_study.study.early_stopping_section import EarlyStopping
from wsml_study.study.objective_section import Objective
from wsml_study.workers.protocol import Assignment, StepReport


def rule_of(early_stopping: EarlyStopping, *, epochs: int) -> Rule | None:
    """A new instance of the study's rule, without any trial recorded; None if every trial runs to its last epoch."""
    create = early_stopping.record.create
    if create is None:
        return None
    rule: Rule = (implementation(create) if isinstance(create, str) else create)(early_stopping.options, epochs)
    return rule


class EarlyStoppingScheduler(InOrder):
    """Lets Tune run trials in order, and stops a trial when the rule says so."""

    def __init__(self, rule: Rule | None, history: StudyHistory, objective: Objective) -> None:
        """Record the epochs of earlier runs in the rule.

        Args:
            rule: a new instance of the study's rule, or None.
            history: what happened so far.
            objective: of the study. The rule always receives values to be maximized; a minimized metric is negated.
        """
        super().__init__()
        self.rule, self._sign, self._history = rule, objective.sign, history
        for number, trial in history.trials.items():
            for epoch, value in trial.values_by_epoch(objective).items():
                self._record(number, epoch, value)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Tune's question after every epoch: continue or stop."""
        del tune_controller
        number, report = Assignment.of(trial.config).trial, StepReport.of(result)
        self._record(number, report.epoch, report.value)
        if (
            self.rule is None
            or self._is_further_run(number)
            or self.rule.goes_on(self._config_of(number), report.epoch)
        ):
            return str(TrialScheduler.CONTINUE)
        return str(TrialScheduler.STOP)

    def _is_further_run(self, number: int) -> bool:
        """Whether a config has shown itself worth this run: only first runs are compared and stopped early."""
        return number in self._history.trials and self._history.trials[number].run > 0

    def _config_of(self, number: int) -> int:
        """The number by which the rule knows a trial: that of its config, so that they have no gaps."""
        return self._history.trials[number].of_config if number in self._history.trials else number

    def _record(self, number: int, epoch: int, value: float | None) -> None:
        if self.rule is not None and not self._is_further_run(number):
            assert value is not None, "a study without validation images has no rule"
            self.rule.record(self._config_of(number), epoch, self._sign * value)
