"""The history of a config: that of its runs, which are trials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wsml_study.record.history import StudyHistory
from wsml_study.record.trial_history import ENDED, TrialHistory, TrialState
from wsml_study.study.objective_section import Objective


@dataclass(frozen=True, kw_only=True)
class ConfigHistory:
    """A config and its runs so far.

    Attributes:
        number: from 0, in the order of proposal; equal to the trial's where a config is one run.
        runs: in their order; at least one.
        num_runs: how many runs a config has that does not lose.
        gets_every_run: it cannot lose, and gets its further runs whatever becomes of the others.
        lost: it has lost the race, and gets no further run.
    """

    number: int
    runs: tuple[TrialHistory, ...]
    num_runs: int
    gets_every_run: bool
    lost: bool

    @property
    def first(self) -> TrialHistory:
        """The first run, which alone is stopped early."""
        return self.runs[0]

    @property
    def awaits_run(self) -> bool:
        """Whether its next run is due, unless it loses the race now.

        In a race it is due once all runs so far are complete.
        """
        if len(self.runs) == self.num_runs:
            return False
        complete = all(run.state is TrialState.COMPLETE for run in self.runs)
        return self.gets_every_run or (complete and not self.lost)

    @property
    def has_ended(self) -> bool:
        """Whether every run has ended and none follows; in a race one that fails or is stopped is the last."""
        return all(run.state in ENDED for run in self.runs) and not self.awaits_run

    def values(self, objective: Objective) -> list[float]:
        """The objective of each complete run, in the order of the runs."""
        values = (run.value(objective) for run in self.runs if run.state is TrialState.COMPLETE)
        return [value for value in values if value is not None]

    def mean(self, objective: Objective) -> float | None:
        """The mean over its complete runs; None if there is none with a value."""
        values = self.values(objective)
        return sum(values) / len(values) if values else None


def configs_of(history: StudyHistory) -> Iterator[ConfigHistory]:
    """All configs of a study, by number."""
    return (config_of(history, number) for number in sorted(history.runs_of_config))


def config_of(history: StudyHistory, number: int) -> ConfigHistory:
    """The config of this number."""
    return ConfigHistory(
        number=number,
        runs=tuple(history.trials[trial] for trial in history.runs_of_config[number]),
        num_runs=history.runs_per_config,
        gets_every_run=history.every_run,
        lost=number in history.lost,
    )


def num_ended(history: StudyHistory) -> int:
    """How many trials have ended, or configs where these are what a study's `trials` counts."""
    if not history.counts_configs:
        return history.num_with_state(*ENDED)
    return sum(config.has_ended for config in configs_of(history))
