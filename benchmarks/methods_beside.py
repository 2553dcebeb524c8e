"""Methods beside a baseline over draws: the heads of a grid study with `factors`, trained in this process.

    python benchmarks/methods_beside.py studies/voc_photos_new_methods.yaml --data-root VOCdevkit/VOC2007 --beside LL-R

Trains what `wsml-study run` would, linear probes of one draw stacked, without Ray. Of each method the config of best
mean validation mAP over the draws counts, with its test mAP in each draw's best epoch. Prints means with 95 % t
intervals over the draws, and paired by draw the differences from the baseline, not corrected for several comparisons.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.stats import t

from wsml_study.study.factors import combinations, proposed_space
from wsml_study.study.new_defaults import with_new_defaults
from wsml_study.study.reading import read_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import TrialConfig
from wsml_study.training.stacked_heads import FusedTraining, LinearProbeTraining
from wsml_study.training.trial_data import open_trial_data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--beside", default="LL-R", help="the baseline")
    arguments = parser.parse_args()
    study = with_new_defaults(read_study(arguments.study))
    study = study.model_copy(update={"data": study.data.model_copy(update={"root": arguments.data_root})})
    space, started = SearchSpace.from_study(study), time.perf_counter()
    proposed = list(proposed_space(study).grid())
    by_draw = [trained([space.resolve(study, one | draw) for one in proposed]) for draw in combinations(study)]
    validation_GK, test_GK = np.array(by_draw).transpose(2, 1, 0)  # G configs, K draws
    print(f"{test_GK.size} heads in {time.perf_counter() - started:.0f} s")
    of_method = defaultdict(list)
    for number, values in enumerate(proposed):
        of_method[str(values["method.name"])].append(number)
    best = {name: max(numbers, key=lambda one: validation_GK[one].mean()) for name, numbers in of_method.items()}
    for name, number in sorted(best.items(), key=lambda one: -test_GK[one[1]].mean()):
        difference = "" if name == arguments.beside else interval(test_GK[number] - test_GK[best[arguments.beside]])
        settings = ", ".join(f"{key} {value}" for key, value in proposed[number].items() if key != "method.name")
        print(f"{name:<8} {interval(test_GK[number])}   minus {arguments.beside} {difference:<24} {settings}")


def trained(configs: list[TrialConfig]) -> list[tuple[float, float]]:
    """Best validation mAP of each config's trial, and the test mAP of that epoch, in percent."""
    first = LinearProbeTraining(configs[0], open_trial_data(configs[0].data), keep_best=True)
    others = [
        LinearProbeTraining(one, open_trial_data(one.data), keep_best=True, shares_features_with=first)
        for one in configs[1:]
    ]
    fused = FusedTraining([first, *others])
    for _ in range(configs[0].training.epochs):
        list(fused.run_epoch())
    results = [trial.test() for trial in (first, *others)]
    return [(float(one.best_val_map or 0), float(one.test_map or 0)) for one in results]


def interval(values_K: np.ndarray) -> str:
    """Mean, and its 95 % t interval."""
    half = t.ppf(0.975, len(values_K) - 1) * values_K.std(ddof=1) / np.sqrt(len(values_K))
    return f"{values_K.mean():6.2f} ({values_K.mean() - half:.2f} to {values_K.mean() + half:.2f})"


if __name__ == "__main__":
    main()
