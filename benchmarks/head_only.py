"""Head-only trials trained as one against the same trials one by one, on features of VOC 2007 photos, in one run.

    python benchmarks/head_only.py --data-root VOCdevkit/VOC2007 --weights mobilenet_v2-b0353104.pth
    python benchmarks/head_only.py --data-root VOCdevkit/VOC2007 --weights mobilenet_v2-b0353104.pth --study 200

The trials differ in method (AN, LL-R, LL-Ct, LL-Cp), rejection rate, learning rate and seed. In turns: all as one, then
some of them one by one. Each side counts from configs to results, on features that are in the cache. With `--all` every
trial is trained one by one, too. `--study` times `wsml-study run` on a study of so many trials instead.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import TrialConfig
from wsml_study.training.stacked_heads import FusedTraining
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import TrialData, open_trial_data
from wsml_study.training.trial_results import EpochResult

METHODS = ("AN", "LL-R", "LL-Ct", "LL-Cp")
SEARCH = {
    "method.name": {"choice": list(METHODS)},
    "method.schedule.rate_per_epoch": {"float": {"low": 0.0005, "high": 0.01, "log": True}},
    "training.learning_rate": {"float": {"low": 1e-5, "high": 1e-3, "log": True}},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, help="folder of VOC 2007")
    parser.add_argument("--weights", required=True, help="file with MobileNetV2's ImageNet weights")
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--alone", type=int, default=8, help="trials that are trained one by one in each turn")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--one-seed", action="store_true", help="all trials have the same seed")
    parser.add_argument("--all", action="store_true", help="train every trial one by one in each turn")
    parser.add_argument("--study", type=int, help="time `wsml-study run` with so many trials")
    arguments = parser.parse_args()
    if arguments.study:
        time_study(arguments)
    else:
        torch.set_num_threads(arguments.threads)
        compare(arguments)


def content(arguments: argparse.Namespace) -> dict:
    return {
        "name": "head_only",
        "data": {"dataset": "voc2007", "root": arguments.data_root, "image_size": 96},
        "model": {"backbone": "mobilenet_v2", "weights": arguments.weights},
        "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.002}},
        "training": {"mode": "linear", "epochs": arguments.epochs, "batch_size": arguments.batch_size},
    }


def configs_of(arguments: argparse.Namespace) -> list[TrialConfig]:
    draw = random.Random(0)
    study = parse_study(
        content(arguments) | {"search": SEARCH, "factors": {"training.seed": list(range(arguments.trials))}},
        source="heads",
    )
    space = SearchSpace.from_study(study)
    configs = []
    for number in range(arguments.trials):
        values = {"method.name": METHODS[number % 4], "training.learning_rate": 10 ** draw.uniform(-5, -3)}
        values["training.seed"] = 0 if arguments.one_seed else number
        if values["method.name"] != "AN":
            values["method.schedule.rate_per_epoch"] = round(10 ** draw.uniform(-3.3, -2), 6)
        configs.append(space.resolve(study, values))
    return configs


def compare(arguments: argparse.Namespace) -> None:
    configs = configs_of(arguments)
    data = open_trial_data(configs[0].data)
    TrialTraining(configs[0], data).run_epoch()  # the features are in the cache from here on
    ratios, worst = [], {"train_loss": 0.0, "val_map": 0.0}
    for turn in range(arguments.turns):
        fused_s, fused = as_one(configs, data, arguments.epochs)
        shift = turn * arguments.alone
        chosen = range(len(configs)) if arguments.all else [(shift + n) % len(configs) for n in range(arguments.alone)]
        alone = {number: alone_in(configs[number], data, arguments.epochs) for number in chosen}
        one_s = statistics.mean(seconds for seconds, _ in alone.values())
        ratios.append(fused_s / one_s)
        for name, before in worst.items():
            worst[name] = max(before, *(difference(curve, fused[number], name) for number, (_, curve) in alone.items()))
        total = f", all {len(configs)} one by one {sum(s for s, _ in alone.values()):.2f} s" if arguments.all else ""
        print(f"{len(configs)} as one {fused_s:.3f} s, one alone {one_s:.3f} s: {ratios[-1]:.2f} times{total}")
    print(f"as one / one alone, median: {statistics.median(ratios):.2f}; largest relative differences {worst}")


def as_one(configs: list[TrialConfig], data: TrialData, epochs: int) -> tuple[float, list[list[EpochResult]]]:
    started = time.perf_counter()
    first = TrialTraining(configs[0], data)
    trials = [first, *(TrialTraining(config, data, shares_features_with=first) for config in configs[1:])]
    fused = FusedTraining(trials)
    ended = [{id(trial): result for trial, result in fused.run_epoch()} for _ in range(epochs)]
    return time.perf_counter() - started, [[results[id(trial)] for results in ended] for trial in trials]


def alone_in(config: TrialConfig, data: TrialData, epochs: int) -> tuple[float, list[EpochResult]]:
    started = time.perf_counter()
    trial = TrialTraining(config, data)
    curve = [trial.run_epoch() for _ in range(epochs)]
    return time.perf_counter() - started, curve


def difference(one: list[EpochResult], other: list[EpochResult], name: str) -> float:
    """The largest relative difference of a figure over the epochs."""
    pairs = [(getattr(a, name), getattr(b, name)) for a, b in zip(one, other, strict=True)]
    return max(abs(a - b) / abs(a) for a, b in pairs)


def time_study(arguments: argparse.Namespace) -> None:
    study = content(arguments) | {
        "search": SEARCH,
        "sampler": {"name": "random"},
        "trials": arguments.study,
        "resources": {"gpus_per_worker": 0},
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "study.json"  # which is YAML as well
        file.write_text(parse_study(study | {"storage": folder}, source="heads").model_dump_json(exclude_none=True))
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "wsml_study", "run", str(file)], check=True)
        seconds = time.perf_counter() - started
    print(f"{arguments.study} trials of {arguments.epochs} epochs: {seconds:.1f} s with the start of Ray")


if __name__ == "__main__":
    main()
