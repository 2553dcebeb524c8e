"""Runs of a confirmation, and the configs that they confirm.

Shapes: R resamples of the test images, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsml_study.record.resample_files import read_resamples
from wsml_study.record.trial_history import TrialHistory
from wsml_study.record.wording import describe
from wsml_study.results.crossed import Seeds, crossed_estimate
from wsml_study.results.resampled_intervals import interval_over_images
from wsml_study.results.statistics import Estimate
from wsml_study.study.spec import TrialConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """A complete trial of a confirmation: a config with one pair of seeds.

    Attributes:
        confirms: the trial of the search that has the config.
        config: with the seeds of this run.
        value: objective on the validation images.
        test_map: test mAP, percent.
        test_ap: AP of each class on the test images, percent; None for a class that does not count.
        resampled_RC: AP of each class in resamples of the test images, percent; None if not kept.
    """

    confirms: int
    config: TrialConfig
    value: float
    test_map: float
    test_ap: tuple[float | None, ...]
    resampled_RC: npt.NDArray[np.float32] | None

    @classmethod
    def of(cls, trial: TrialHistory, folder: Path) -> Run:
        """The result of a complete trial of a confirmation in a folder."""
        config = TrialConfig.model_validate(trial.config)
        value = trial.value(config.objective)
        assert trial.confirms is not None
        assert trial.test is not None
        assert value is not None
        ap = tuple(trial.test["test_ap_C"])
        resampled_RC = read_resamples(folder, trial.number)
        return cls(
            confirms=trial.confirms,
            config=config,
            value=value,
            test_map=trial.test["test_map"],
            test_ap=ap,
            resampled_RC=None if resampled_RC is None else _counting_as(resampled_RC, ap),
        )

    @property
    def seeds(self) -> Seeds:
        """Seeds, which differ between the runs of a config."""
        return self.config.training.seed, self.config.data.observe.seed


@dataclass(frozen=True, kw_only=True, eq=False)
class ConfirmedConfig:
    """Results of a config over all its seeds.

    Attributes:
        trial: the trial of the search that has the config.
        identity: equal for trials that differ only in their seeds.
        method: name of the method.
        has_schedule: whether the method has a schedule of the rejection rate.
        described: short text of the suggested values.
        runs: by their seeds.
        validation: objective, percent.
        test: test mAP, percent; the interval is over the test images too if all runs have resamples of them.
    """

    trial: int
    identity: str
    method: str
    has_schedule: bool
    described: str
    runs: Mapping[Seeds, Run]
    validation: Estimate
    test: Estimate

    @property
    def test_map(self) -> dict[Seeds, float]:
        """Seeds -> test mAP, percent."""
        return {seeds: run.test_map for seeds, run in self.runs.items()}

    @property
    def over_images(self) -> bool:
        """Whether its intervals are over the test images too."""
        return all(run.resampled_RC is not None for run in self.runs.values())

    @property
    def called(self) -> str:
        """Method and trial, for sentences."""
        return f"{self.method} (trial {self.trial})"


def confirmed_config(identity: str, runs: Sequence[Run], values: dict[str, Any]) -> ConfirmedConfig:
    """The results of a config.

    Args:
        identity: of the config.
        runs: of the config, two at least.
        values: suggested by the sampler.
    """
    method = runs[0].config.method
    maps = {run.seeds: run.test_map for run in runs}
    resampled = [resampled_map(run) for run in runs if run.resampled_RC is not None]
    over_images = len(resampled) == len(runs)
    return ConfirmedConfig(
        trial=runs[0].confirms,
        identity=identity,
        method=method.name.value,
        has_schedule=method.schedule is not None,
        described=describe(values),
        runs={run.seeds: run for run in runs},
        validation=crossed_estimate({run.seeds: run.value for run in runs}),
        test=interval_over_images(np.array([*maps.values()]), np.stack(resampled))
        if over_images
        else crossed_estimate(maps),
    )


def resampled_map(run: Run) -> npt.NDArray[np.floating]:
    """Test mAP (R,) of a run in resamples of the test images, percent: the mean over the classes that have an AP."""
    assert run.resampled_RC is not None
    mean_R: npt.NDArray[np.floating] = np.nanmean(run.resampled_RC, axis=1, dtype=np.float64)
    return mean_R


def _counting_as(resampled_RC: npt.NDArray[np.float32], ap: Sequence[float | None]) -> npt.NDArray[np.float32]:
    """The resamples, with the classes counted as in the test mAP: those without positives as 0 or not at all."""
    counted_RC = resampled_RC.copy()
    for c, value in enumerate(ap):
        if value is None:
            counted_RC[:, c] = np.nan
        elif np.isnan(counted_RC[:, c]).all():
            counted_RC[:, c] = value
    return counted_RC
