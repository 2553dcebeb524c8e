"""What every early stopping rule promises, tried on made-up trials."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from wsml_study.options import Value
from wsml_study.study.early_stopping_record import EARLY_STOPPING, ResumingRule, Rule
from wsml_study.study.early_stopping_section import EarlyStopping
from wsml_study.testing.promises import expect, keep_promise
from wsml_study.tuning.early_stopping_scheduler import rule_of

EPOCHS = 12
NUM_COURSES, NUM_TRIALS, MANY_TRIALS = 60, 8, 400
REPEATS = 0.25
"""Share of the epochs after which a trial goes on from an earlier checkpoint, as after a crash."""

Course = list[tuple[int, int, float]]
"""What a rule is told: trial, epoch and value, one after the other."""


@dataclass(frozen=True, kw_only=True)
class RuleCase:
    """An early stopping rule with options.

    Attributes:
        name: of its record.
        options: values of its options; absent ones take their defaults.
    """

    name: str
    options: Mapping[str, Value] = field(default_factory=dict)

    def section(self, **options: Value) -> EarlyStopping:
        """The section of the study file."""
        return EarlyStopping.model_validate({"name": self.name} | dict(self.options) | options)

    def rule(self, section: EarlyStopping | None = None) -> Rule:
        """A rule that knows no trial."""
        rule = rule_of(section or self.section(), epochs=EPOCHS)
        assert rule is not None
        return rule


def check_early_stopping(name: str, **options: Value) -> None:
    """Check that a registered early stopping rule keeps its contract.

    Args:
        name: of its record.
        options: values of the rule's options.

    Raises:
        AssertionError: a promise is broken; the message says which.
        KeyError: there is no such rule.
        ValueError: the record has no rule (`create` is None), so that there is nothing to check.
    """
    if EARLY_STOPPING[name].create is None:
        raise ValueError(f"early stopping {name} ends no trial: there is no rule to check")
    case = RuleCase(name=name, options=options)
    for promise in RULE_CONTRACT:
        keep_promise(promise, case, f"early stopping rule {name}")


def it_answers_true_or_false_and_the_same_when_asked_again(case: RuleCase) -> None:
    """A question is no event: it is not asked again for the epochs of an earlier run."""
    for seed in range(NUM_COURSES):
        rule = case.rule()
        for trial, epoch, value in course(seed):
            rule.record(trial, epoch, value)
            first, second = rule.goes_on(trial, epoch), rule.goes_on(trial, epoch)
            expect(isinstance(first, bool), f"expected True or False, got {first!r}")
            expect(first == second, f"asked twice about trial {trial} after epoch {epoch} it changes its answer")


def a_restart_changes_no_decision(case: RuleCase) -> None:
    """A rule that is told trial by trial what earlier runs did decides as the one that saw it live."""
    for seed in range(NUM_COURSES):
        before, after = _halves(course(seed, repeats=0.0))
        live, replayed = case.rule(), case.rule()
        for trial, epoch, value in before:
            live.record(trial, epoch, value)
            live.goes_on(trial, epoch)
        for trial, epoch, value in sorted(before):
            replayed.record(trial, epoch, value)
        _expect_same_decisions(replayed, live, before, after, "after a restart")


def a_repeated_epoch_replaces_itself_and_all_that_followed(case: RuleCase) -> None:
    """As when a trial goes on from an earlier checkpoint: the rule decides as if the lost epochs had never been."""
    for seed in range(NUM_COURSES):
        before, after = _halves(course(seed, repeats=REPEATS))
        live, fresh = case.rule(), case.rule()
        lasting: dict[int, dict[int, float]] = {}
        for trial, epoch, value in before:
            live.record(trial, epoch, value)
            kept = lasting.get(trial, {})
            lasting[trial] = {at: noted for at, noted in kept.items() if at < epoch} | {epoch: value}
        remaining = [(trial, epoch, lasting[trial][epoch]) for trial in sorted(lasting) for epoch in lasting[trial]]
        for trial, epoch, value in remaining:
            fresh.record(trial, epoch, value)
        _expect_same_decisions(live, fresh, remaining, after, "after repeated epochs")


def no_trial_ends_before_the_first_decision(case: RuleCase) -> None:
    """The option that the record names as `first_decision` is kept; for rules that have one."""
    key = EARLY_STOPPING[case.name].first_decision
    if key is None:
        return
    section = case.section(**{key: 4})
    for seed in range(NUM_COURSES):
        rule = case.rule(section)
        for trial, epoch, value in course(seed):
            rule.record(trial, epoch, value)
            ends = not rule.goes_on(trial, epoch)
            expect(not ends or epoch >= 4, f"with {key} = 4 a trial ends after epoch {epoch}")


def of_many_trials_it_ends_some(case: RuleCase) -> None:
    """A long study, whose trials differ and rise less and less."""
    rule, ended = case.rule(), set()
    for trial, epoch, value in course(0, num_trials=MANY_TRIALS):
        if trial not in ended:
            rule.record(trial, epoch, value)
            if not rule.goes_on(trial, epoch):
                ended.add(trial)
    expect(ended, f"of {MANY_TRIALS} trials none is ended")


def only_paused_trials_go_on_and_no_hopeless_one(case: RuleCase) -> None:
    """For rules that let paused trials go on: trials that end at a decision are paused, and go on when it says so."""
    for seed in range(NUM_COURSES):
        rule = case.rule()
        if not isinstance(rule, ResumingRule):
            return
        paused: dict[int, int] = {}
        lost: set[int] = set()
        for trial, epoch, value in _decided(course(seed), rule, paused):
            risen, hopeless = list(rule.to_resume(paused)), set(rule.hopeless(paused, NUM_TRIALS))
            at = f"after epoch {epoch} of trial {trial} with the value {value:.2f}"
            expect(len(set(risen)) == len(risen) and set(risen) <= set(paused), f"{at}: {risen} of {paused} go on")
            expect(risen == list(rule.to_resume(paused)), f"{at}: asked twice about {paused} it changes its answer")
            expect(hopeless <= set(paused), f"{at}: of {paused}, {sorted(hopeless)} are said to be hopeless")
            lost |= hopeless
            expect(not lost & set(risen), f"{at}: {risen} go on, of which {sorted(lost)} were hopeless before")


def a_restart_changes_no_trial_that_goes_on(case: RuleCase) -> None:
    """For rules that let paused trials go on: what was recorded says which, not what was asked or in what order."""
    for seed in range(NUM_COURSES):
        rule, replayed = case.rule(), case.rule()
        if not isinstance(rule, ResumingRule) or not isinstance(replayed, ResumingRule):
            return
        paused: dict[int, int] = {}
        told = list(_decided(course(seed), rule, paused))
        for trial, epoch, value in sorted(told):
            replayed.record(trial, epoch, value)
        expect(
            list(rule.to_resume(paused)) == list(replayed.to_resume(paused))
            and set(rule.hopeless(paused, NUM_TRIALS)) == set(replayed.hopeless(paused, NUM_TRIALS)),
            f"after a restart other trials of {paused} go on, or are hopeless",
        )


def _decided(told: Course, rule: ResumingRule, paused: dict[int, int]) -> Iterator[tuple[int, int, float]]:
    """A course as the rule lets it run, which it is told of: what it ends is added to `paused` and reports no more."""
    for trial, epoch, value in told:
        if trial in paused:
            continue
        rule.record(trial, epoch, value)
        if not rule.goes_on(trial, epoch):
            paused[trial] = epoch
        yield trial, epoch, value


RULE_CONTRACT: tuple[Callable[[RuleCase], None], ...] = (
    it_answers_true_or_false_and_the_same_when_asked_again,
    a_restart_changes_no_decision,
    a_repeated_epoch_replaces_itself_and_all_that_followed,
    no_trial_ends_before_the_first_decision,
    of_many_trials_it_ends_some,
    only_paused_trials_go_on_and_no_hopeless_one,
    a_restart_changes_no_trial_that_goes_on,
)
"""All promises of an early stopping rule."""


def course(seed: int, *, num_trials: int = NUM_TRIALS, repeats: float = 0.0) -> Course:
    """Trials that report all their epochs in any interleaving; some go on from an earlier epoch with other values."""
    chance = random.Random(seed)
    levels = [chance.uniform(20, 90) for _ in range(num_trials)]
    newest = dict.fromkeys(range(num_trials), 0)
    told: Course = []
    while newest:
        trial = chance.choice(list(newest))
        goes_back = newest[trial] > 1 and chance.random() < repeats
        epoch = chance.randint(1, newest[trial]) if goes_back else newest[trial] + 1
        told.append((trial, epoch, levels[trial] * (1 - 0.5**epoch) + chance.gauss(0, 8)))
        newest[trial] = epoch
        if epoch == EPOCHS:
            del newest[trial]
    return told


def _halves(told: Course) -> tuple[Course, Course]:
    return told[: len(told) // 2], told[len(told) // 2 :]


def _expect_same_decisions(one: Rule, other: Rule, before: Course, after: Course, when: str) -> None:
    """About the newest epochs of `before`, and about all of `after`, which both rules are told."""
    newest = {trial: epoch for trial, epoch, _ in before}
    for trial, epoch in newest.items():
        expect(
            one.goes_on(trial, epoch) == other.goes_on(trial, epoch),
            f"{when} it decides differently about trial {trial} after epoch {epoch}",
        )
    for trial, epoch, value in after:
        one.record(trial, epoch, value)
        other.record(trial, epoch, value)
        expect(
            one.goes_on(trial, epoch) == other.goes_on(trial, epoch),
            f"{when} it decides differently about trial {trial} after a later epoch {epoch}",
        )
