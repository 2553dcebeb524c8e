"""Confirmations of real trainings, in one process: in two studies nothing differs, in two something does.

Heads on Scene's given features (Mulan library; data.root holds scene-train.arff and scene-test.arff), one positive kept
per row. Seeds are added in rounds and judged as `confirm: {seeds: auto}` does; no Ray is started.

    same    one config under four names, whose trainings differ in their seeds: nothing may be found
    decay   AN with a weight decay of 1e-6 and 1e-5 beside 0, margin .5 points: equivalence is to be found
    below   LSAN and LL-R, baseline AN
    above   AN and WAN, baseline LSAN

Run: python benchmarks/confirmation_studies.py --data-root mulan [--study same] [--at-most 30]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from wsml_study.results.sequential import Floats, Rounds, rounds_up_to
from wsml_study.results.verdicts import Rule, Verdict, judge
from wsml_study.study.spec import TrialConfig
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import open_trial_data

FIRST_SEED = 3000
OTHER_SEEDS = 10_000
"""Distance of the seeds of configs that are one and the same."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkStudy:
    """Configs as changes of the common one, the baseline first; their seeds begin at FIRST_SEED plus these."""

    configs: Mapping[str, dict[str, Any]]
    margin: float | None = None
    apart: int = 0


STUDIES = {
    "same": BenchmarkStudy(configs={f"AN {name}": {} for name in "abcd"}, apart=OTHER_SEEDS),
    "decay": BenchmarkStudy(configs={f"AN {one:g}": {"weight_decay": one} for one in (0.0, 1e-6, 1e-5)}, margin=0.5),
    "below": BenchmarkStudy(configs={"AN": {}, "LSAN": {"method": "LSAN"}, "LL-R": {"method": "LL-R"}}),
    "above": BenchmarkStudy(configs={"LSAN": {"method": "LSAN"}, "AN": {}, "WAN": {"method": "WAN"}}),
}


def config_of(root: str, seed: int, *, method: str = "AN", weight_decay: float = 0.0) -> TrialConfig:
    """A head on Scene's features."""
    schedule = {"schedule": {"rate_per_epoch": 0.004}} if method == "LL-R" else {}
    return TrialConfig.model_validate(
        {
            "data": {
                "dataset": "features",
                "root": root,
                "features": {"file": "scene-train.arff", "test_file": "scene-test.arff", "num_labels": 6},
                "feature_scaling": "standardize",
                "observe": {"positives": 1, "seed": seed},
                "validation": {"fraction": 0.1, "seed": 1200, "labels": "clean"},
            },
            "model": {"backbone": "linear"},
            "method": {"name": method} | schedule,
            "training": {
                "epochs": 8,
                "batch_size": 64,
                "weight_decay": weight_decay,
                "learning_rate": 1e-3,
                "head_learning_rate_multiplier": 10,
                "seed": seed,
            },
        }
    )


@cache
def test_map(root: str, seed: int, changes: tuple[tuple[str, Any], ...]) -> float:
    """Test mAP of the best epoch of a training, percent."""
    config = config_of(root, seed, **dict(changes))
    trial = TrialTraining(config, open_trial_data(config.data), keep_best=True)
    for _ in range(config.training.epochs):
        trial.run_epoch()
    found = trial.test().test_map
    assert found is not None
    return found


def confirm(study: BenchmarkStudy, root: str, at_most: int) -> None:
    """Run a study round by round, and print what is found of each config."""
    looks = rounds_up_to(at_most)
    rule = Rule(rounds=Rounds(looks), alpha=0.05, margin=study.margin)
    baseline, *names = study.configs
    rounds: dict[str, list[Floats]] = {name: [] for name in names}
    going = list(names)
    for count in looks:
        seeds = [FIRST_SEED + number for number in range(count)]
        base = [test_map(root, seed, tuple(study.configs[baseline].items())) for seed in seeds]
        for name in going:
            apart = study.apart * (1 + names.index(name))
            values = [test_map(root, seed + apart, tuple(study.configs[name].items())) for seed in seeds]
            points = np.array(values) - base
            rounds[name] = [points[:past] for past in looks if past <= count]
        judged = dict(zip(names, judge(list(rounds.values()), rule), strict=True))
        going = [name for name in names if judged[name].verdict is Verdict.OPEN]
        if not going:
            break
    for name, one in judged.items():
        points = rounds[name][-1]
        gain = f"{points.mean():+.2f} points, deviation {points.std(ddof=1):.2f}, {len(points)} seeds"
        same = "" if one.equivalence is None else f", p of equivalence {one.equivalence:.4f}"
        print(f"  {name} against {baseline}: {one.verdict}; {gain}, p {one.corrected:.4f}{same}", flush=True)


def main() -> None:
    """Run the studies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--study", choices=STUDIES)
    parser.add_argument("--at-most", type=int, default=30)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in [arguments.study] if arguments.study else STUDIES:
        print(name, flush=True)
        confirm(STUDIES[name], arguments.data_root, arguments.at_most)


if __name__ == "__main__":
    main()
