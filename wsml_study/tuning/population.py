"""Population based training: the worse trials take over networks of the better ones, and go on with other values.

Source: Jaderberg et al., "Population Based Training of Neural Networks", 2017, with truncation selection. Like `Asha`
here it decides at once and waits for nobody: a trial is compared, after the same epoch, with all trials that have come
as far, so it works with fewer slots than trials. All that it knows is in the study's history, from which a restart
goes on with the same population.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from wsml_study.record.history import StudyHistory, metric_of
from wsml_study.study.perturbation import perturbed
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study
from wsml_study.workers.protocol import Assignment, StepReport


@dataclass(frozen=True, kw_only=True)
class Takeover:
    """A trial's next step is to go on from another one's network.

    Attributes:
        epoch: after which it happens.
        source: number of the other trial.
        checkpoint: the folder of the other's state.
        values, config: what the trial goes on with.
    """

    epoch: int
    source: int
    checkpoint: str
    values: dict[str, Any]
    config: dict[str, Any]


class Population:
    """Says which trials take over which, from what is in the history."""

    def __init__(self, study: Study, history: StudyHistory, is_whole: Callable[[str], bool]) -> None:
        """Go on with a population.

        Args:
            study: with early stopping `pbt`.
            history: grows as the study runs.
            is_whole: whether a checkpoint's folder is still there.
        """
        options = study.early_stopping.options
        self._study, self._history, self._is_whole = study, history, is_whole
        self._interval = int(options["interval_epochs"] or 1)
        self._quantile = float(options["quantile"] or 0)
        self._resample = float(options["resample_probability"] or 0)
        self._min_trials = int(options["min_trials"] or 1)
        self._space = SearchSpace.from_study(study)
        self._decided: dict[int, Takeover] = {}

    def compares_after(self, epoch: int) -> bool:
        """Whether trials are compared after this epoch."""
        return epoch % self._interval == 0

    def decide(self, number: int, epoch: int, value: float) -> bool:
        """Whether a trial whose epoch ended with this value of the metric takes over another; `pop` says which."""
        takeover = self._takeover(number, epoch, value) if self.compares_after(epoch) else None
        if takeover is not None:
            self._decided[number] = takeover
        return takeover is not None

    def pop(self, number: int) -> Takeover | None:
        """What was decided for a trial after its newest epoch, once."""
        return self._decided.pop(number, None)

    def _takeover(self, number: int, epoch: int, value: float) -> Takeover | None:
        sign = self._study.objective.sign
        others = {
            trial.number: sign * (metric_of(trial.epochs[epoch]) or 0.0)
            for trial in self._history.trials.values()
            if trial.number != number and epoch in trial.epochs
        }
        if len(others) < self._min_trials:
            return None
        ranked = sorted({**others, number: sign * value}.items(), key=lambda item: (item[1], item[0]))
        size = min(math.ceil(len(ranked) * self._quantile), len(ranked) // 2)
        if number not in dict(ranked[:size]):
            return None
        best = [trial for trial, score in ranked[-size:] if score > sign * value and self._has_state(trial, epoch)]
        return self._from_one_of(best, number, epoch) if best else None

    def _from_one_of(self, best: list[int], number: int, epoch: int) -> Takeover:
        draw = random.Random(f"{self._study.sampler.seed} {number} {epoch}")
        source = self._history.trials[draw.choice(best)]
        keys = {key.path: key for key in self._space.keys}
        values = perturbed(source.values_in(epoch), keys, resample_probability=self._resample, draw=draw)
        config = self._space.resolve(self._study, values)
        return Takeover(
            epoch=epoch,
            source=source.number,
            checkpoint=source.saved[epoch],
            values=values,
            config=config.model_dump(mode="json"),
        )

    def _has_state(self, number: int, epoch: int) -> bool:
        folder = self._history.trials[number].saved.get(epoch)
        return folder is not None and self._is_whole(folder)


class PopulationScheduler(FIFOScheduler):  # type: ignore[misc]
    """Lets Tune run trials in order, and takes one out of its slot that is to go on from another's network."""

    def __init__(self, population: Population) -> None:
        super().__init__()
        self._population = population

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Tune's question after every epoch: continue, or stop to be proposed again."""
        del tune_controller
        report = StepReport.of(result)
        assert report.result is not None, "Tune asks after epochs only"
        value = metric_of(report.result)
        assert value is not None, "a population holds validation images out"
        moves = self._population.decide(Assignment.of(trial.config).trial, report.epoch, value)
        return str(TrialScheduler.STOP if moves else TrialScheduler.CONTINUE)

    def __reduce__(self) -> tuple[type, tuple[()]]:
        # Tune pickles what it is given into a snapshot that nobody reads; a history that grows need not follow.
        return FIFOScheduler, ()
