"""What studies say of methods, a column per study: means with intervals, which are best, and the published figures.

A column rests on one of three things. A confirmation: configs that the search has chosen, run again over fresh seeds;
its own tests say which differ. Results over seeds: a study whose trials are tested, such as one of `studies/paper`. Or
a search alone: its best trial of each method, which is optimistic, so that nothing is marked in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from wsml_study.methods.catalogue import DATASETS, METHODS
from wsml_study.methods.published_numbers import Published
from wsml_study.record.trial_history import TrialState
from wsml_study.record.wording import describe, spaced
from wsml_study.report.group_table import published_for
from wsml_study.report.paper.marks import Marks, by_confirmation, by_pairs, marks
from wsml_study.results.against_baseline import AgainstBaseline
from wsml_study.results.all_pairs import all_pairs
from wsml_study.results.confirmation import Confirmation
from wsml_study.results.confirmed_runs import ConfirmedConfig, Run, confirmed_config
from wsml_study.results.crossed import DEPENDENT, are_crossed
from wsml_study.results.factor_means import METHOD, REPEATS
from wsml_study.results.ranking import best_per_method, by_config
from wsml_study.results.statistics import Estimate, estimate
from wsml_study.results.study_results import StudyRecord
from wsml_study.study.confirm_section import AUTO
from wsml_study.study.identity import without_seeds
from wsml_study.study.published_protocol import differences_from_paper, protocol_of
from wsml_study.study.spec import TrialConfig

MODE = "training.mode"


class Basis(StrEnum):
    """What a column rests on."""

    CONFIRMED = "confirmed"
    OVER_SEEDS = "over seeds"
    SEARCH = "unconfirmed search"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What a study says of a method.

    Attributes:
        trial: of the config: the search's trial that is confirmed, or the first trial of the config.
        described: short text of its searched values.
        config: of one of its runs.
        mean: of the column's quantity, percent, over the runs; the interval is absent for a single run.
        published: the published test mAP; None if there is none, or the column has no test mAP.
        departures: from the protocol of that figure.
        is_best: the best mean of the methods that see only the observed labels, in a column that is tested.
        is_alike: not told apart from the best one.
    """

    trial: int
    described: str
    config: TrialConfig
    mean: Estimate
    published: Published | None = None
    departures: tuple[str, ...] = ()
    is_best: bool = False
    is_alike: bool = False


@dataclass(frozen=True, kw_only=True)
class Column:
    """A study, or one setting of a study whose trials are results, as a column of the table.

    Attributes:
        study: its name.
        dataset: as tables call it.
        setting: mode of training and levels of factors, where a study has several; empty otherwise.
        basis: what it rests on.
        quantity: what the numbers are, with its unit.
        cells: by method, in the order of the catalogue.
        notes: what a reader has to know of it.
        configs: that the means are of; empty for a search.
        comparisons: of a confirmation, with its baseline.
    """

    study: str
    dataset: str
    setting: str
    basis: Basis
    quantity: str
    cells: Mapping[str, Cell]
    notes: tuple[str, ...]
    configs: tuple[ConfirmedConfig, ...] = ()
    comparisons: tuple[AgainstBaseline, ...] = ()

    @property
    def heading(self) -> str:
        """Dataset and setting."""
        return f"{self.dataset}, {self.setting}" if self.setting else self.dataset

    @property
    def is_tested(self) -> bool:
        """Whether its methods were compared by tests, so that there is a best one to mark."""
        return any(cell.is_best for cell in self.cells.values())

    @property
    def has_published(self) -> bool:
        """Whether a published figure stands beside any of it."""
        return any(cell.published is not None for cell in self.cells.values())


def columns_of(record: StudyRecord) -> list[Column]:
    """The columns of a study: one, or one per setting where its trials are results over seeds."""
    found = record.confirmation
    if found is not None and found.configs:
        return [_confirmed(record, found)]
    tested = list(_tested_settings(record))
    return tested or [_searched(record)]


def _confirmed(record: StudyRecord, found: Confirmation) -> Column:
    shown = _best_by_method(found.configs)
    cells, pairs = _cells(shown, marks(shown, by_confirmation(found))), found.pairs()
    notes = [f"means over fresh seeds and draws of the hidden labels; 95 % intervals over {found.resampled}"]
    if len(shown) > 1:
        notes += [found.test] if found.comparisons else []
        notes += [f"other pairs: paired t-tests, Holm-corrected for {len(pairs)} pairs"] if len(pairs) > 1 else []
        if found.plan.seeds == AUTO and len(pairs) > 1:
            notes.append(
                "seeds were added in rounds by the tests against the baseline, so p of other pairs is too small"
            )
    if found.num_ended < found.num_trials:
        notes.append(f"the confirmation is not finished: {found.num_ended} of {found.num_trials} runs have ended")
    if found.num_failed:
        notes.append(f"{found.num_failed} of {found.num_trials} runs failed and are left out")
    column = _column(record, cells, Basis.CONFIRMED, notes=notes, configs=found.configs)
    return replace(column, comparisons=found.comparisons)


def _tested_settings(record: StudyRecord) -> Iterator[Column]:
    """A column per mode and combination of levels, of a study whose trials were evaluated on the test images."""
    settings: dict[str, dict[str, list[Run]]] = {}
    values: dict[str, dict[str, object]] = {}
    for trial in record.history.with_state(TrialState.COMPLETE):
        value = trial.value(record.study.objective)
        if trial.test is None or value is None:
            continue
        config = TrialConfig.model_validate(trial.config)
        run = Run(
            confirms=trial.number,
            config=config,
            value=value,
            test_map=trial.test["test_map"],
            test_ap=tuple(trial.test["test_ap_C"]),
            resampled_RC=None,
        )
        identity = without_seeds(config)
        values.setdefault(identity, {key: one for key, one in trial.values.items() if key not in REPEATS})
        settings.setdefault(_setting(record, trial.values), {}).setdefault(identity, []).append(run)
    sign = record.study.objective.sign
    for setting, by_config_ in settings.items():
        configs = [confirmed_config(identity, runs, values[identity]) for identity, runs in by_config_.items()]
        configs.sort(key=lambda one: (-sign * one.validation.mean, one.trial))
        yield _over_seeds(record, setting, configs)


def _over_seeds(record: StudyRecord, setting: str, configs: Sequence[ConfirmedConfig]) -> Column:
    shown = _best_by_method(configs)
    notes = []
    crossed = any(are_crossed(config.test_map) for config in shown.values())
    if crossed:
        notes.append(f"means over seeds and draws of the hidden labels; 95 % t intervals in which {DEPENDENT}")
    elif any(config.test.count > 1 for config in shown.values()):
        notes.append("means over seeds; 95 % bootstrap intervals over the seeds")
    if any(config.test.count == 1 for config in shown.values()):
        notes.append("a config of one seed has no interval and is in no test: how much it varies is not known")
    if len(configs) > len(shown):
        notes.append("not confirmed: the best of several configs of a method by validation, so nothing is marked")
        cells = _cells(shown, Marks())
        return _column(record, cells, Basis.SEARCH, setting=setting, notes=notes, configs=configs)
    pairs = all_pairs(configs)
    if pairs:
        how = f"paired t-tests in which {DEPENDENT}" if crossed else "paired t-tests over the seeds"
        notes.append(f"{how}, Holm-corrected for {len(pairs)} pairs")
    cells = _cells(shown, marks(shown, by_pairs(pairs)) if pairs else Marks())
    return _column(record, cells, Basis.OVER_SEEDS, setting=setting, notes=notes, configs=configs)


def _searched(record: StudyRecord) -> Column:
    """The best trial of each method; where configs have several seeds, their mean."""
    trials = by_config(record.trials)
    cells = {}
    for _, row in best_per_method(trials).iterrows():
        config = TrialConfig.model_validate_json(row["config"])
        values = [float(row["value"])]
        if "runs" in trials and row["runs"] > 1:
            same = record.trials["config_number"] == row["config_number"]
            runs = record.trials[same & (record.trials["state"] == TrialState.COMPLETE)]
            values = runs["value"].dropna().tolist()
        trial, described = int(row["trial"]), str(row["label"])
        cells[_method(config)] = Cell(trial=trial, described=described, config=config, mean=estimate(values))
    notes = ["not confirmed: the best trial of a search is optimistic, so nothing is marked or tested"]
    if any(cell.mean.count == 1 for cell in cells.values()):
        notes.append("values of one seed have no interval")
    if record.confirmation is not None:
        notes.append("a confirmation has begun, with too few runs so far")
    notes.append("published figures are of test images, so that none stands beside these")
    quantity = "val. mAP (%)" if record.study.objective.is_plain_map else f"val. {record.study.objective.axis}"
    return _column(record, cells, Basis.SEARCH, quantity=quantity, notes=notes)


def _column(
    record: StudyRecord,
    cells: Mapping[str, Cell],
    basis: Basis,
    *,
    notes: Sequence[str],
    setting: str = "",
    quantity: str = "test mAP (%)",
    configs: Sequence[ConfirmedConfig] = (),
) -> Column:
    dataset = record.study.data.dataset.value
    order = list(METHODS)
    in_order = sorted(cells, key=lambda method: (order.index(method.split(" ")[0]), method))
    return Column(
        study=record.study.name,
        dataset=DATASETS.get(dataset, dataset),
        setting=setting,
        basis=basis,
        quantity=quantity,
        cells={method: cells[method] for method in in_order},
        notes=tuple(notes),
        configs=tuple(configs),
    )


def _setting(record: StudyRecord, values: Mapping[str, object]) -> str:
    """What tells the columns of a study apart: mode, and levels of factors that are no repeats."""
    factors = [key for key in record.study.factors or {} if key not in (METHOD, *REPEATS)]
    keys = [*([MODE] if MODE in record.study.varied and MODE not in factors else []), *factors]
    chosen = {key: values[key] for key in keys if values.get(key) is not None}
    return spaced(describe(chosen)).replace("mode ", "", 1) if chosen else ""


def _best_by_method(configs: Sequence[ConfirmedConfig]) -> dict[str, ConfirmedConfig]:
    """The first config of each method; they are sorted by validation, so that test images choose nothing."""
    found: dict[str, ConfirmedConfig] = {}
    for config in configs:
        found.setdefault(_method(_config(config)), config)
    return found


def _cells(shown: Mapping[str, ConfirmedConfig], marked: Marks) -> dict[str, Cell]:
    return {
        method: replace(_cell(config), is_best=method == marked.best, is_alike=method in marked.alike)
        for method, config in shown.items()
    }


def _cell(found: ConfirmedConfig) -> Cell:
    config = _config(found)
    departures = dict.fromkeys(text for run in found.runs.values() for text in differences_from_paper(run.config))
    return Cell(
        trial=found.trial,
        described=spaced(found.described),
        config=config,
        mean=found.test,
        published=published_for(config),
        departures=tuple(departures) if protocol_of(config) is not None else (),
    )


def _config(found: ConfirmedConfig) -> TrialConfig:
    return next(iter(found.runs.values())).config


def _method(config: TrialConfig) -> str:
    """The method, with its head if that is not linear."""
    name, head = config.method.name.value, config.model.head
    return name if head in (None, "linear") else f"{name} + {head}"
