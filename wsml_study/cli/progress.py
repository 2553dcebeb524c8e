"""Progress of a running study: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich import get_console
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from wsml_study.cli.output import show
from wsml_study.errors import printable
from wsml_study.record.config_history import num_ended
from wsml_study.record.history import StudyHistory
from wsml_study.record.measured import is_answer
from wsml_study.record.spending import spent_of
from wsml_study.record.trial_history import TrialHistory, TrialState, metric_of
from wsml_study.record.wording import describe, duration
from wsml_study.results.time_left import WorkLeft
from wsml_study.study.budget_section import UNBOUNDED_TRIALS
from wsml_study.study.objective_section import Objective
from wsml_study.study.spec import Study
from wsml_study.study.training_section import Training

ROWS = 15
GAP = 2
"""Characters between two columns."""

PREPARATION_LINE_INTERVAL_S = 10.0
ESTIMATE_INTERVAL_S = 0.25
ESTIMATE_PAUSE_FACTOR = 20
"""Pause between two estimates of the time left, as a multiple of what the last one took."""

SHORTEST_CURVE, LONGEST_CURVE = 8, 32
"""Characters of a trial's curve. Where a row leaves less room than the shortest, curves are left out."""

NARROWEST_VALUES = 32
"""Characters to which the column of the searched values is narrowed for the sake of curves."""

BARS = "▁▂▃▄▅▆▇█"

WORDS = {
    TrialState.COMPLETE: "complete",
    TrialState.STOPPED: "stopped early",
    TrialState.FAILED: "failed",
    TrialState.RUNNING: "running",
    TrialState.PAUSED: "paused",
}


class Progress:
    """A `Listener` of `run_study` that prints progress."""

    def __init__(self, console: Console, *, objective: Objective, study: Study | None = None) -> None:
        """Print to a console.

        Args:
            console: where to.
            objective: of the trials.
            study: for the time that is left; None to leave it out.
        """
        self._console, self._objective, self._study = console, objective, study
        self._slots = 1
        self._work_left: WorkLeft | None = None
        self._estimate, self._estimate_due = "", 0.0
        self._history = StudyHistory()
        self._num_trials = 0
        self._started = time.monotonic()
        self._phase = ""
        self._preparation, self._preparation_due = "", 0.0
        self._live: Live | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the table for the duration of a block; if the output is no terminal, only lines are printed."""
        if not self._console.is_terminal:
            yield
            return
        self._live = Live(
            console=self._console,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            get_renderable=self.rendered,
        )
        with self._live:
            yield

    def on_phase(self, message: str) -> None:
        """A step that takes a while begins."""
        self._phase, self._started = message, time.monotonic()
        if self._live is None:
            self._console.print(f"{message} ...")

    def on_notice(self, message: str) -> None:
        """A message for the user."""
        show(self._console, [message])

    def on_images(self, done: int, total: int) -> None:
        """Images are being decoded."""
        self._phase = f"decoding images: {done:,} of {total:,}"

    def on_preparation(self, message: str) -> None:
        """What the workers do before they can train; empty once they can."""
        self._preparation = message
        if self._live is None and message and time.monotonic() >= self._preparation_due:
            self._console.print(f"{message} ...")
            self._preparation_due = time.monotonic() + PREPARATION_LINE_INTERVAL_S

    def on_slots(self, slots: int, num_trials: int, history: StudyHistory) -> None:
        """Trials begin."""
        self._phase = ""
        self._history, self._num_trials, self._slots = history, num_trials, max(1, slots)
        ended_before = num_ended(history)
        self._started = time.monotonic()
        self._estimate_due = 0.0
        self._work_left = None if self._study is None else WorkLeft(self._study)
        before = f", {ended_before} done before" if ended_before else ""
        what = self._what(num_trials)
        trials = f"{num_trials} {what}"
        if num_trials >= UNBOUNDED_TRIALS:
            trials = f"as many {what} as the budget holds"
        self._console.print(f"{trials}, {slots} at a time{before}")

    def on_event(self, history: StudyHistory, event: str, number: int) -> None:
        """An event was added to the history."""
        self._history = history
        trial = history.trials[number]
        if event == "attempt" and trial.attempt > 1 and not trial.takes_over:
            since = trial.checkpoint[0] if trial.checkpoint else 0
            self._console.print(f"trial {number} starts again (attempt {trial.attempt}) after epoch {since}")
        goes_on = event == "attempt" and trial.paused_after is not None and trial.paused_after == trial.last_epoch
        if goes_on and self._live is None:
            self._console.print(
                f"trial {number} goes on after epoch {trial.last_epoch}: it is among the best there now"
            )
        if event == "out_of_memory":
            self.on_notice(
                f"trial {number}: {trial.out_of_memory}; it is retried after the others, one trial at a time"
            )
        if event == "exploited":
            source = trial.exploits[-1].source
            self.on_notice(
                f"trial {number} continues from the network of trial {source} after epoch {trial.last_epoch}: "
                f"{describe(trial.values)}"
            )
        pauses = event == "epoch" and trial.state is TrialState.PAUSED
        if (event == "ended" or pauses) and (self._live is None or trial.state is TrialState.FAILED):
            self._console.print(self._line(trial), soft_wrap=True, highlight=False)

    def _line(self, trial: TrialHistory) -> str:
        value = trial.value(self._objective)
        outcome = trial.error if trial.state is TrialState.FAILED else f"{self._text(value)} {self._objective.metric}"
        ended = num_ended(self._history)
        return printable(
            f"[{self._of_all(ended, '/')}] trial {trial.number}: {describe(trial.values)}: {WORDS[trial.state]} "
            f"after epoch {trial.last_epoch}, {outcome}{self._left()}"
        )

    def rendered(self) -> Group:
        """What a terminal shows now: the newest trials with their curves, and a line about all of them."""
        if self._phase:
            return Group(Text(f"{self._phase} ... {time.monotonic() - self._started:.0f} s"))
        trials = [trial for _, trial in sorted(self._history.trials.items())]
        shown = trials[-ROWS:]
        rows = [self._row(trial) for trial in shown]
        headings = ("trial", "", "epoch", self._objective.short_label, "best", "state")
        trial, values, *others = (max(map(len, column)) + GAP for column in zip(headings, *rows, strict=True))
        room = self._console.width - trial - sum(others)
        if room - values < SHORTEST_CURVE:  # the values take several lines
            values = NARROWEST_VALUES
        curves = self._curves(shown, min(room - values, LONGEST_CURVE))
        table = Table(box=None, header_style="bold", pad_edge=False)
        for heading in headings:
            left = heading in ("", "state")
            table.add_column(heading, justify="left" if left else "right", no_wrap=heading != "")
            if heading == "best" and curves:
                table.add_column("curve", no_wrap=True)
        for number, (*numbers, state) in enumerate(rows):
            table.add_row(*numbers, *([curves[number]] if curves else []), state)
        preparation = [Text(f"{self._preparation} ...")] if self._preparation else []
        return Group(table, Text(self._headline(trials)), *preparation)

    def _row(self, trial: TrialHistory) -> tuple[str, ...]:
        newest = trial.epochs.get(trial.last_epoch, {})
        return (
            str(trial.number),
            describe(trial.values),
            f"{trial.last_epoch}/{_last_epoch_of(trial)}",
            self._text(metric_of(newest) if newest else None),
            self._text(newest.get("best_objective", newest.get("best_val_map"))),
            trial.state.value,
        )

    def _curves(self, trials: list[TrialHistory], width: int) -> list[str]:
        """The metric over the epochs of each trial, on the same scales for all; none where there is no room for it."""
        if width < SHORTEST_CURVE or not self._console.encoding.lower().startswith("utf"):
            return []
        courses = [
            {epoch: value for epoch, result in trial.epochs.items() if (value := metric_of(result)) is not None}
            for trial in trials
        ]
        values = [value for course in courses for value in course.values()]
        if not values:
            return []
        last_epoch = max(_last_epoch_of(trial) for trial in trials)
        width = min(width, last_epoch)
        return [
            curve(course, low=min(values), high=max(values), last_epoch=last_epoch, width=width) for course in courses
        ]

    def _headline(self, trials: list[TrialHistory]) -> str:
        ended = num_ended(self._history)
        valued = [(trial.value(self._objective), trial) for trial in trials if is_answer(trial, self._objective)]
        best = max(
            ((value, trial) for value, trial in valued if value is not None),
            key=lambda pair: self._objective.sign * pair[0],
            default=None,
        )
        best_text = (
            f"; best {self._text(best[0])} by trial {best[1].number} ({describe(best[1].values)})" if best else ""
        )
        return f"{self._of_all(ended, ' of ')} {self._what(self._num_trials)} ended{best_text}{self._left()}"

    def _what(self, number: int) -> str:
        one = "config" if self._history.counts_configs else "trial"
        return one if number == 1 else f"{one}s"

    def _of_all(self, number: int, of: str) -> str:
        return str(number) if self._num_trials >= UNBOUNDED_TRIALS else f"{number}{of}{self._num_trials}"

    def _text(self, value: float | None) -> str:
        return "-" if value is None else self._objective.text(value).removesuffix(" %")

    def _left(self) -> str:
        """Time left, estimated from the work that is to be done, and what is spent of the budget."""
        started = time.monotonic()
        if started >= self._estimate_due:
            self._estimate = self._estimated()
            took = time.monotonic() - started
            self._estimate_due = started + took + max(ESTIMATE_INTERVAL_S, ESTIMATE_PAUSE_FACTOR * took)
        return self._estimate

    def _estimated(self) -> str:
        if self._study is None or self._work_left is None:
            return ""
        history, now = self._history, time.time()
        num_trials = None if self._num_trials >= UNBOUNDED_TRIALS else self._num_trials
        left = self._work_left.search_seconds(history, num_trials=num_trials, slots=self._slots, now=now)
        spent = "" if self._study.budget is None else f"; {spent_of(self._study.budget, history.spending, now)} spent"
        if not left:
            return spent
        text = f"{spent}; about {duration(left)} left"
        later = self._work_left.confirmation_seconds(history, slots=self._slots, now=now)
        return text if later is None else f"{text}, then about {duration(later)} of confirmation"


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal, nothing elsewhere; the block receives the function that updates it."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, transient=True, disable=not get_console().is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def curve(values: Mapping[int, float], *, low: float, high: float, last_epoch: int, width: int) -> str:
    """Values by epoch as a line of bars.

    Args:
        values: by epoch, from 1.
        low: the value of the lowest bar.
        high: the value of the highest one.
        last_epoch: the epoch at the end of the line.
        width: characters of a line that reaches it. Of several epochs in one character the last is shown.

    >>> curve({1: 0.0, 2: 7.0, 3: 3.0}, low=0.0, high=7.0, last_epoch=4, width=4)
    '▁█▄'
    """
    bars = {}
    for epoch, value in sorted(values.items()):
        height = (value - low) / (high - low) if high > low else 0.5
        bars[(epoch * width - 1) // last_epoch] = BARS[round(height * (len(BARS) - 1))]
    places = range(max(bars, default=-1) + 1)
    return "".join(bars.get(place, " ") for place in places)


def _last_epoch_of(trial: TrialHistory) -> int:
    return Training.model_validate(trial.config["training"]).last_epoch
