"""Confirmation: statistics of the best configs of a search, over fresh seeds and draws of the hidden labels.

The best value of a search is optimistic: it is the maximum over many trials, each with one seed. A confirmation runs a
few configs again, all with the same fresh seeds, and compares each with the baseline in test mAP. They are ranked by
the objective on validation images, so that test images are not used for selection.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from wsml_study.errors import ResultsError
from wsml_study.record.events import read_log
from wsml_study.record.formats import aligned
from wsml_study.record.history import StudyHistory
from wsml_study.record.shown_lines import ShownLines
from wsml_study.record.storage import CONFIRMATION, EVENTS
from wsml_study.record.trial_history import ENDED, TrialState
from wsml_study.record.wording import p_text
from wsml_study.results.against_baseline import FEWEST_SEEDS, AgainstBaseline, against_baseline
from wsml_study.results.all_pairs import Difference, all_pairs
from wsml_study.results.confirmed_runs import ConfirmedConfig, Run, confirmed_config
from wsml_study.results.crossed import Seeds
from wsml_study.results.ranking import contenders, ranked_trials
from wsml_study.results.sequential import Rounds, rounds_up_to
from wsml_study.results.statistics import Estimate
from wsml_study.results.verdicts import FIXED, Rule, Verdict
from wsml_study.study.confirm_section import AUTO, Confirm
from wsml_study.study.identity import without_seeds
from wsml_study.study.reading import read_study
from wsml_study.study.spec import TrialConfig

BASELINE = "AN"
STUDY_FILE = "study.yaml"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Confirmation(ShownLines):
    """Results of a confirmation so far.

    Attributes:
        configs: with at least two complete runs, best first by mean objective over the seeds shared with the baseline.
        baseline: what the others are compared with; None while it has fewer than two complete runs.
        comparisons: of each other config with the baseline, in the order of the configs.
        plan: how the confirmation was asked for.
        num_trials, num_ended, num_failed: number of runs.
    """

    configs: tuple[ConfirmedConfig, ...]
    baseline: ConfirmedConfig | None
    comparisons: tuple[AgainstBaseline, ...]
    plan: Confirm
    num_trials: int
    num_ended: int
    num_failed: int

    def against(self, config: ConfirmedConfig) -> AgainstBaseline | None:
        """The comparison of a config with the baseline; None of the baseline itself, or with too few shared seeds."""
        return next((one for one in self.comparisons if one.config is config), None)

    def pairs(self) -> tuple[Difference, ...]:
        """Differences of all pairs of configs, corrected for all of them."""
        return all_pairs(self.configs)

    def is_open(self, trial: int) -> bool:
        """Whether more seeds are to be added to the config of a trial of the search."""
        found = next((one for one in self.comparisons if one.config.trial == trial), None)
        return found is None or found.verdict is Verdict.OPEN

    @property
    def recommended(self) -> ConfirmedConfig:
        """The config to use: the best of those above the baseline, or else the baseline, which is the simplest.

        Without a baseline, the best config.
        """
        above = [one.config for one in self.comparisons if one.verdict is Verdict.ABOVE]
        return above[0] if above else self.baseline or self.configs[0]

    @property
    def ranked(self) -> tuple[ConfirmedConfig, ...]:
        """All configs, the recommended one first, then by their mean objective."""
        return (self.recommended, *(config for config in self.configs if config is not self.recommended))

    @property
    def resampled(self) -> str:
        """What the intervals were resampled over."""
        over_images = all(config.over_images for config in self.configs)
        return "seeds, draws of the hidden labels and test images" if over_images else "seeds and draws"

    @property
    def finding(self) -> str:
        """The answer in a sentence."""
        best, baseline, found = self.recommended, self.baseline, self.against(self.recommended)
        mean = f"{best.test.mean:.2f} % test mAP (95 % interval {best.test.ends}, {best.test.count} seeds)"
        if found is not None:
            points = f"{found.points.mean:.2f} points ({found.points.ends}) above {found.baseline.called}"
            return f"{best.described} (trial {best.trial}) reaches {mean}, {points}.{found.caution}"
        if baseline is None or not self.comparisons:
            return f"{best.described} (trial {best.trial}) reaches {mean}; there is nothing to compare it with yet."
        none = f"No {self._kind} beats {baseline.called if self._same_method(baseline) else baseline.method}"
        if not all(one.is_settled for one in self.comparisons):
            none += ", as far as these seeds can tell"
        return f"{none}: {baseline.described} (trial {baseline.trial}) reaches {mean}."

    @property
    def significance(self) -> str:
        """What the answer rests on: the tests, what they could have found, and what they found of the other configs."""
        if not self.comparisons or self.baseline is None:
            return "A comparison needs two seeds at least of a config and of the baseline."
        best = self.against(self.recommended)
        p = "" if best is None else f"p {p_text(best.judged.corrected)}. "
        others = [one.line() for one in self.comparisons if one is not best]
        return " ".join([f"{p}{self.test[0].upper()}{self.test[1:]}.", self.sensitivity, *others])

    @property
    def test(self) -> str:
        """How the p values came about."""
        count, plan = len(self.comparisons), self.plan
        against = f"{count} comparisons" if count > 1 else "one comparison"
        rounds = f" and over rounds of up to {plan.at_most} seeds" if plan.seeds == AUTO else ""
        assert self.baseline is not None
        holm = "Holm-corrected for" if count > 1 else "for"
        return f"p of paired t-tests on test mAP over the seeds, {holm} {against} with {self.baseline.called}{rounds}"

    @property
    def sensitivity(self) -> str:
        """The smallest difference that the confirmation could have found."""
        least = max(one.smallest for one in self.comparisons)
        if least == 0:
            return "The differences do not vary over the seeds."
        seeds = max(one.points.count for one in self.comparisons)
        with_seeds = f"Up to {self.plan.at_most} seeds find" if self.plan.seeds == AUTO else f"{seeds} seeds find"
        rate = f"at an error rate of {self.plan.alpha:g}"
        return f"{with_seeds} a difference of {least:.2f} points in 8 of 10 cases, {rate}."

    def lines(self) -> list[str]:
        """The table of configs, the answer, and the outcome of each comparison."""
        if not self.configs:
            too_few = f"Confirmation: {self.num_ended} of {self.num_trials} runs ended, too few for statistics"
            others = "; `wsml-study confirm STUDY` runs the others" if self.num_ended < self.num_trials else ""
            return [f"{too_few}{others}."]
        lines = [
            *self._table(),
            f"means over fresh seeds and draws of the hidden labels; 95 % intervals over {self.resampled}",
        ]
        if self.comparisons:
            lines += [self.test]
        lines += ["", f"Answer: {self.finding}"]
        if self.comparisons:
            lines += [self.sensitivity, *(one.line() for one in self.comparisons if one.config is not self.recommended)]
        return [*lines, *self._incomplete()]

    def _table(self) -> list[str]:
        columns = {
            "trial": [str(config.trial) for config in self.configs],
            "confirmed config": [config.described for config in self.configs],
            "seeds": [str(config.test.count) for config in self.configs],
            "val mAP": [_interval(config) for config in (one.validation for one in self.configs)],
            "test mAP": [_interval(config) for config in (one.test for one in self.configs)],
        }
        if self.baseline is not None and self.comparisons:
            columns[f"above {self.baseline.called}"] = [self._above(config) for config in self.configs]
        return aligned(columns)

    def _above(self, config: ConfirmedConfig) -> str:
        found = self.against(config)
        return "-" if found is None else f"{found.points.mean:+.2f}, p {p_text(found.judged.corrected)}"

    @property
    def _kind(self) -> str:
        assert self.baseline is not None
        return "config" if self._same_method(self.baseline) else "method"

    def _same_method(self, baseline: ConfirmedConfig) -> bool:
        return any(config.method == baseline.method for config in self.configs if config is not baseline)

    def _incomplete(self) -> list[str]:
        lines = []
        if self.num_failed:
            lines.append(f"{self.num_failed} of {self.num_trials} runs failed and are left out.")
        if self.num_ended < self.num_trials:
            lines.append(
                f"{self.num_ended} of {self.num_trials} runs ended; `wsml-study confirm STUDY` runs the others."
            )
        return lines


def read_confirmation(folder: Path) -> Confirmation | None:
    """The results of a study's confirmation; None if it has not begun.

    Raises:
        ResultsError: the folder holds no study's tables, or damaged ones.
    """
    place = folder / CONFIRMATION
    if not (place / EVENTS).exists():
        return None
    history = read_log(place / EVENTS)[1]
    plan = plan_of(place)
    ranked = ranked_trials(folder)
    values_of = {trial: json.loads(values) for trial, values in zip(ranked["trial"], ranked["values"], strict=True)}
    by_config: dict[str, list[Run]] = {}
    for trial in history.with_state(TrialState.COMPLETE):
        run = Run.of(trial, place)
        by_config.setdefault(without_seeds(run.config), []).append(run)
    configs = [
        confirmed_config(identity, runs, values_of[runs[0].confirms])
        for identity, runs in by_config.items()
        if len(runs) >= FEWEST_SEEDS
    ]
    sign = next((run.config.objective.sign for runs in by_config.values() for run in runs), 1)
    configs.sort(key=lambda config: (-sign * config.validation.mean, config.trial))
    baseline = _baseline_of(configs, plan, ranked)
    if baseline is not None:
        configs.sort(key=lambda config: (-sign * _gain_in_validation(config, baseline), config.trial))
    return Confirmation(
        configs=tuple(configs),
        baseline=baseline,
        comparisons=() if baseline is None else _comparisons(configs, baseline, plan, history),
        plan=plan,
        num_trials=history.num_trials or len(history.trials),
        num_ended=len(history.with_state(*ENDED)),
        num_failed=len(history.with_state(TrialState.FAILED)),
    )


def plan_of(folder: Path) -> Confirm:
    """How the confirmation in a folder was asked for; the defaults for one that an earlier version recorded."""
    path = folder / STUDY_FILE
    return (read_study(path).confirm if path.exists() else None) or Confirm()


def rule_of_plan(plan: Confirm) -> Rule:
    """How a confirmation judges its comparisons."""
    rounds = Rounds(rounds_up_to(plan.at_most)) if plan.seeds == AUTO else FIXED
    return Rule(rounds=rounds, alpha=plan.alpha, margin=plan.margin)


def _baseline_of(configs: list[ConfirmedConfig], plan: Confirm, ranked: pd.DataFrame) -> ConfirmedConfig | None:
    """The named config, or the named method's best, or AN's, or the best method's without a schedule, or the search's.

    The search says which is best, so that it is known before any result of the confirmation. Of several configs of the
    method the one with most runs counts: one that joins later, as answers or further trials change the ranking, does
    not take the place of the one that the others were compared with.

    Args:
        configs: of the confirmation.
        plan: how it was asked for.
        ranked: trials of the search, best first.
    """
    if plan.baseline_config is not None:
        named_config = _identity_of_origin(ranked, plan.baseline_config)
        return next((config for config in configs if config.identity == named_config), None)
    searched = ranked["trial"].tolist()
    in_order = sorted(configs, key=lambda config: searched.index(config.trial))
    if len({config.method for config in configs}) < 2:
        return in_order[0] if in_order else None
    named = [config for config in in_order if config.method == (plan.baseline or BASELINE)]
    without_schedule = [config for config in in_order if not config.has_schedule]
    first = [*named, *without_schedule, *in_order][0]
    return max((config for config in in_order if config.method == first.method), key=lambda config: len(config.runs))


def _identity_of_origin(ranked: pd.DataFrame, origin: str) -> str | None:
    """The config, without its seeds, that comes from an entry of `start_from`; None if none has run."""
    for text in ranked.loc[ranked["origin"] == origin, "config"]:
        return without_seeds(TrialConfig.model_validate_json(text))
    return None


def _gain_in_validation(config: ConfirmedConfig, baseline: ConfirmedConfig) -> float:
    shared = config.runs.keys() & baseline.runs.keys()
    if not shared:
        return config.validation.mean - baseline.validation.mean
    return float(np.mean([config.runs[seeds].value - baseline.runs[seeds].value for seeds in sorted(shared)]))


def _comparisons(
    configs: list[ConfirmedConfig], baseline: ConfirmedConfig, plan: Confirm, history: StudyHistory
) -> tuple[AgainstBaseline, ...]:
    runs = [(one.state, TrialConfig.model_validate(one.config)) for _, one in sorted(history.trials.items())]
    seeds: list[Seeds] = [(config.training.seed, config.data.observe.seed) for _, config in runs]
    ended = {(without_seeds(config), one) for (state, config), one in zip(runs, seeds, strict=True) if state in ENDED}
    rule = rule_of_plan(plan)
    return tuple(
        against_baseline(
            configs, baseline, rule, seeds=list(dict.fromkeys(seeds)), ended=ended, classes=history.classes
        )
    )


def confirmed_ranking(folder: Path) -> pd.DataFrame:
    """As `ranked_trials`, but only of confirmed configs, with the recommended one first, then by the mean of the
    objective.

    Additional columns: confirmed_value and confirmed_test_map, means over the seeds in percent, and num_seeds.

    Raises:
        ResultsError: nothing is confirmed yet.
    """
    confirmation = read_confirmation(folder)
    if confirmation is None or not confirmation.configs:
        raise ResultsError(f"{folder}: no config is confirmed yet; `wsml-study confirm STUDY` runs the best ones again")
    means = pd.DataFrame(
        {
            "trial": [config.trial for config in confirmation.ranked],
            "confirmed_value": [config.validation.mean for config in confirmation.ranked],
            "confirmed_test_map": [config.test.mean for config in confirmation.ranked],
            "num_seeds": [config.test.count for config in confirmation.ranked],
        }
    )
    ranked = means.merge(ranked_trials(folder).drop(columns="rank"), on="trial", how="left")
    ranked.insert(0, "rank", range(1, len(ranked) + 1))
    return ranked


def worth_confirming(ranked: pd.DataFrame, plan: Confirm) -> list[int]:
    """Trials whose configs a confirmation runs again; the baseline comes last.

    Args:
        ranked: trials of the search, as `ranked_trials` gives them.
        plan: of the confirmation. It takes `plan.top` trials besides the baseline: the best of each of the best
            methods, then the next best trials. Configs that differ only in their seeds count once, by their best trial.

    Returns:
        Numbers of trials. The baseline is the named config of `start_from`, or the best trial of the named method, or
        else the best of a method without a schedule; there is none if all trials have the same method and no config
        is named.

    Raises:
        ResultsError: the named config has no value.
    """
    some = contenders(ranked.dropna(subset=["value"]))
    configs = [TrialConfig.model_validate_json(config) for config in some["config"]]
    some = some.assign(
        identity=[without_seeds(config) for config in configs],
        has_schedule=[config.method.schedule is not None for config in configs],
    ).drop_duplicates("identity")
    if plan.baseline_config is None:
        chosen_baseline = _best_of_baseline(some, plan.baseline or BASELINE)
    else:
        chosen_baseline = _of_origin(ranked, some, plan.baseline_config)
    others = some[~some["trial"].isin(chosen_baseline)]
    best_of_methods = others[~others["method"].isin(some.loc[some["trial"].isin(chosen_baseline), "method"])]
    best_of_methods = best_of_methods.drop_duplicates("method")
    rest = others[~others["trial"].isin(best_of_methods["trial"])]
    chosen = [*best_of_methods["trial"], *rest["trial"]][: plan.top]
    return [int(trial) for trial in (*chosen, *chosen_baseline)]


def _best_of_baseline(trials: pd.DataFrame, method: str) -> list[int]:
    if trials["method"].nunique() < 2:
        return []
    without_schedule = trials[~trials["has_schedule"]]
    preferred = trials[trials["method"] == method]
    return [int(trial) for trial in (preferred if len(preferred) else without_schedule)["trial"].head(1)]


def _of_origin(ranked: pd.DataFrame, trials: pd.DataFrame, origin: str) -> list[int]:
    found = trials.loc[trials["identity"] == _identity_of_origin(ranked, origin), "trial"]
    if found.empty:
        raise ResultsError(
            f"`confirm.baseline`: no trial of the search that {origin} gave has a value, so nothing can be compared "
            "with it; name another baseline, or run the search on"
        )
    return [int(found.iloc[0])]


def _interval(found: Estimate) -> str:
    return f"{found.mean:.2f} ({found.ends})"
