"""Trials from a fixed list, instead of proposals of a sampler."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice

from wsml_study.description import Scalar
from wsml_study.record.event_log import EventLog
from wsml_study.record.history import StudyHistory
from wsml_study.record.trial_history import Promotion, TrialHistory
from wsml_study.study.identity import fingerprint
from wsml_study.study.spec import Study, TrialConfig
from wsml_study.tuning.pausing import Pausing
from wsml_study.tuning.trial_source import TrialSource


@dataclass(frozen=True, kw_only=True)
class PlannedTrial:
    """A trial to be run.

    Attributes:
        config: what it computes; the same config is not run twice.
        values: the values in which the planned trials differ, by dotted path.
        confirms: the trial of the search whose config this is.
        promoted: the trial of a cheaper level whose config this is.
    """

    config: TrialConfig
    values: dict[str, Scalar]
    confirms: int | None = None
    promoted: Promotion | None = None


def not_begun(plan: Sequence[PlannedTrial], history: StudyHistory) -> list[PlannedTrial]:
    """The trials of a plan that the study does not have yet."""
    begun = {fingerprint(TrialConfig.model_validate(trial.config)) for trial in history.trials.values()}
    return [planned for planned in plan if fingerprint(planned.config) not in begun]


class PlannedTrials(TrialSource):
    """Hands out the trials of a plan, in its order."""

    def __init__(
        self,
        study: Study,
        log: EventLog,
        *,
        plan: Sequence[PlannedTrial],
        slots: Callable[[], int],
        exclusive: bool = False,
        max_together: int = 1,
        pausing: Pausing | None = None,
    ) -> None:
        """Queue the trials of the plan that the study does not have yet; other arguments as `TrialSource`."""
        self._ahead = deque(not_begun(plan, log.history))
        num_trials = len(log.history.trials) + len(self._ahead)
        super().__init__(
            study,
            log,
            num_trials=num_trials,
            slots=slots,
            exclusive=exclusive,
            max_together=max_together,
            pausing=pausing,
        )

    def _upcoming(self, count: int) -> list[TrialConfig]:
        if self._num_trials == 0:
            return []
        return [planned.config for planned in islice(self._ahead, count)]

    def _new_trial(self) -> tuple[TrialHistory, TrialConfig]:
        number = len(self._log.history.trials)
        planned = self._ahead.popleft()
        self._log.append(
            "created",
            trial=number,
            values=planned.values,
            config=planned.config.model_dump(mode="json"),
            sampler_state={},
            confirms=planned.confirms,
            promoted=None if planned.promoted is None else asdict(planned.promoted),
        )
        return self._log.history.trials[number], self._at_its_data(planned.config)
