"""Population based training: worse trials take over the networks of better ones, and continue with changed values.

Source: Jaderberg et al., "Population Based Training of Neural Networks", 2017, with truncation selection. Unlike Ray's
scheduler it never pauses a trial to wait for others: after an epoch a trial is compared with all trials that have
finished the same epoch, so fewer slots than trials suffice. Its only state is the study's history, so a restart
continues with the same population.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from wsml_study.cluster.start_order import InOrder
from wsml_study.record.history import StudyHistory
from wsml_study.record.trial_history import metric_of
from wsml_study.study.perturbation import perturbed
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study
from wsml_study.workers.protocol import Assignment, StepReport


@dataclass(frozen=True, kw_only=True)
class Takeover:
    """A trial's next step is to continue from another trial's network.

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
    """Decides from the history which trials take over which networks."""

    def __init__(self, study: Study, history: StudyHistory, is_whole: Callable[[str], bool]) -> None:
        """A population with the trials of the history.

        Args:
            study: with early stopping `pbt`.
            history: grows as the study runs.
            is_whole: whether a checkpoint is complete.
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
        """The takeover decided for a trial after its newest epoch, which is then forgotten."""
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
        # Seeded per decision, so that a resumed study decides as it would have without the interruption.
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


class PopulationScheduler(InOrder):
    """Lets Tune run trials in order, and stops one that is to continue from another trial's network.

    Tune cannot give a running trial another checkpoint, so the trial is stopped here and handed out again by its source
    (`TrialSource.on_trial_complete`) with the checkpoint that it takes over.
    """

    def __init__(self, population: Population) -> None:
        super().__init__()
        self._population = population

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Tune's question after every epoch: continue, or stop to be handed out again."""
        del tune_controller
        report = StepReport.of(result)
        assert report.result is not None, "Tune asks after epochs only"
        value = metric_of(report.result)
        assert value is not None, "a population holds validation images out"
        moves = self._population.decide(Assignment.of(trial.config).trial, report.epoch, value)
        return str(TrialScheduler.STOP if moves else TrialScheduler.CONTINUE)

    def __reduce__(self) -> tuple[type, tuple[()]]:
        # Tune pickles its scheduler into an experiment snapshot that is never restored; the history stays out of it.
        return FIFOScheduler, ()
