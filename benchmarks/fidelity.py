"""Time to a config within half a point of the best of a full grid: the grid, TPE alone, and levels of fidelity.

Every config of a small grid is trained once at full size and once on each level, one after another in this process,
without Ray. What each way of searching would have taken is then replayed from the measured values and times, so that
nothing is trained twice and all ways meet the same values. Times are CPU seconds of one thread: other work on the
machine does not count, nor does a start of Ray. Opening the data is counted (decoding of photos that are not in the
store yet), and so are a level's features, once.

    python benchmarks/fidelity.py --data-root VOCdevkit/VOC2007 --weights mobilenet_v2-b0353104.pth
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import torch

from wsml_study.results.rung_agreement import correlation
from wsml_study.study.fidelity import at_level, described_level
from wsml_study.study.reading import parse_study
from wsml_study.study.sampler_section import Sampler
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study, TrialConfig
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import TrialData, open_trial_data
from wsml_study.tuning.optuna_study import sampler_of

CLOSE = 0.5
"""Points of mAP below the best of the grid that count as found."""

LARGE_LOSS = ["LL-R", "LL-Ct", "LL-Cp"]


def rates_search(*learning_rates: float) -> dict[str, Any]:
    """AN, LL-R and LL-Ct at two rejection rates, each at all of these learning rates: five configs for each."""
    return {
        "method.name": {"choice": ["AN", "LL-R", "LL-Ct"]},
        "method.schedule.rate_per_epoch": {"choice": [0.002, 0.01], "when": {"method.name": ["LL-R", "LL-Ct"]}},
        "training.learning_rate": {"choice": list(learning_rates)},
    }


SEARCHES = {
    "methods": {
        "method.name": {"choice": ["AN", "WAN", "LSAN", "EPR", "EM", "SPLC", "GR", *LARGE_LOSS]},
        "method.schedule.rate_per_epoch": {"choice": [0.001, 0.003, 0.01], "when": {"method.name": LARGE_LOSS}},
    },
    "low_rates": rates_search(1e-5, 3e-5, 1e-4, 3e-4),
    "high_rates": rates_search(3e-5, 1e-4, 3e-4, 1e-3),
}
"""Grids of 16 and twice 20 configs: methods at one learning rate; rates from the published 1e-5, and from above it."""

SURVIVORS = 5
ORDERS = 10_000
MOST_PROPOSALS = 500


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All configs of the grid on one level.

    Attributes:
        opening_s: CPU seconds of opening the data.
        values: best validation mAP of each config, percent.
        seconds: CPU seconds of each.
    """

    opening_s: float
    values: list[float]
    seconds: list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-root", required=True, help="folder with ImageSets and JPEGImages of VOC 2007")
    parser.add_argument("--weights", default="IMAGENET1K_V1", help="of MobileNetV2: torchvision's name or a .pth file")
    parser.add_argument("--search", choices=SEARCHES, default="methods", help="which grid")
    parser.add_argument("--image-size", type=int, default=80, help="pixels of a side at full size")
    parser.add_argument("--small", type=int, default=48, help="the same at the level of small images; 0 for none")
    parser.add_argument("--epochs", type=int, default=4, help="at full size")
    parser.add_argument("--linear-epochs", type=int, default=20, help="of the head alone, at the level of features")
    parser.add_argument("--seeds", type=int, default=51, help="replays of TPE")
    parser.add_argument("--measured", type=Path, help="keep what was measured in this file, or replay what it has")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    studies = studies_of(arguments)
    known = arguments.measured is not None and arguments.measured.exists()
    content = json.loads(arguments.measured.read_text()) if known else measured(studies, arguments.measured)
    report(studies, {name: Measured(**one) for name, one in content.items()}, num_seeds=arguments.seeds)


def studies_of(arguments: argparse.Namespace) -> dict[str, Study]:
    """The study at full size, and at each of the two levels."""
    level = {"features": {"training.mode": "linear", "training.epochs": arguments.linear_epochs}}
    if arguments.small:
        level["small images"] = {"data.image_size": arguments.small}
    content = {
        "name": "fidelity",
        "data": {"dataset": "voc2007", "root": arguments.data_root, "image_size": arguments.image_size},
        "model": {"backbone": "mobilenet_v2", "weights": arguments.weights},
        "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.002}},
        "training": {"epochs": arguments.epochs, "batch_size": 16, "precision": "fp32", "learning_rate": 3e-4},
        "search": SEARCHES[arguments.search],
        "sampler": {"name": "grid"},
        "trials": 100,
    }
    full = parse_study(content, source="full size")
    levels = {
        name: parse_study(content | {"fidelity": [{"set": changes, "survivors": SURVIVORS}]}, source=name)
        for name, changes in level.items()
    }
    for name, study in levels.items():
        print(f"level {name}: {described_level(study, 1)}")
    return {"full size": full} | {name: at_level(study, 1) for name, study in levels.items()}


def measured(studies: dict[str, Study], file: Path | None) -> dict[str, Any]:
    """Train every config of the grid on every level, in a fresh cache."""
    found: dict[str, Any] = {}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["WSML_CACHE"] = cache
        for name, study in studies.items():
            found[name] = asdict(measure(name, study))
            if file is not None:
                file.write_text(json.dumps(found))
    print(f"measured in {time.perf_counter() - started:.0f} s of wall time")
    return found


def measure(name: str, study: Study) -> Measured:
    """Train every config of the grid on one level."""
    space = SearchSpace.from_study(study)
    grid = list(space.grid())
    data, opening_s = timed(lambda: open_trial_data(space.resolve(study, grid[0]).data))
    values, seconds = [], []
    for index, chosen in enumerate(grid):
        value, took = timed(partial(train, space.resolve(study, chosen), data))
        values.append(value)
        seconds.append(took)
        print(f"{name} {index + 1}/{len(grid)}: {chosen}: {value:.2f} % in {took:.1f} s", flush=True)
    return Measured(opening_s=opening_s, values=values, seconds=seconds)


def train(config: TrialConfig, data: TrialData) -> float:
    """The best validation mAP of a trial that runs to its end, percent."""
    trial = TrialTraining(config, data)
    for _ in range(config.training.epochs):
        trial.run_epoch()
    assert trial.progress.best_val_map is not None
    return trial.progress.best_val_map


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What the work gives, and its CPU seconds."""
    started = time.process_time()
    result = work()
    return result, time.process_time() - started


def report(studies: dict[str, Study], found: dict[str, Measured], *, num_seeds: int) -> None:
    """Replay every way of searching, and print times and ratios."""
    full = found["full size"]
    target = max(full.values) - CLOSE
    good = sum(value >= target for value in full.values)
    print(f"\n{len(full.values)} configs, best {max(full.values):.2f} %, {good} within {CLOSE} of it; all of the grid")
    print(f"takes {full.opening_s + sum(full.seconds):.0f} CPU seconds at full size")
    grid_s = full.opening_s + statistics.mean(random_orders(full, target))
    tpe_s = full.opening_s + statistics.median(
        tpe_seconds(studies["full size"], full, target, seed=seed) for seed in range(num_seeds)
    )
    print(f"grid in random order, mean of {ORDERS:,} orders: {grid_s:.0f} s")
    print(f"TPE alone, median of {num_seeds} seeds, a config that it proposes again costs nothing: {tpe_s:.0f} s")
    for name in [name for name in studies if name != "full size"]:
        report_level(name, found[name], full, target, grid_s=grid_s, tpe_s=tpe_s)


def report_level(name: str, level: Measured, full: Measured, target: float, *, grid_s: float, tpe_s: float) -> None:
    """All configs on the level, then its best ones at full size until one is close enough."""
    best_first = sorted(range(len(level.values)), key=lambda index: -level.values[index])
    survivors = best_first[:SURVIVORS]
    level_s = level.opening_s + sum(level.seconds)
    for label, chosen in ((f"all {len(best_first)}", best_first), (f"the {SURVIVORS} survivors", survivors)):
        below, above = [level.values[index] for index in chosen], [full.values[index] for index in chosen]
        found = [correlation(measure, below, above) for measure in ("spearmanr", "kendalltau")]
        rho, tau = ("undefined" if value is None else f"{value:.2f}" for value in found)
        print(f"level {name}, rank agreement over {label}: Spearman {rho}, Kendall {tau}")
    found_s = until_found(survivors, full, target)
    if found_s is None:
        print(f"level {name}: {level_s:.0f} s, and no survivor is close enough")
        return
    total = level_s + full.opening_s + found_s
    print(
        f"level {name}: {level_s:.0f} s for all configs there, {total:.0f} s until one is found: "
        f"{grid_s / total:.2f} times faster than the grid, {tpe_s / total:.2f} times faster than TPE alone"
    )


def until_found(order: Iterable[int], full: Measured, target: float) -> float | None:
    """Seconds at full size until a config is close enough; None if none is."""
    total = 0.0
    for index in order:
        total += full.seconds[index]
        if full.values[index] >= target:
            return total
    return None


def random_orders(full: Measured, target: float) -> list[float]:
    """Seconds until a config is close enough, in random orders of the grid."""
    chance, order, found = random.Random(0), list(range(len(full.values))), []
    for _ in range(ORDERS):
        chance.shuffle(order)
        seconds = until_found(order, full, target)
        assert seconds is not None
        found.append(seconds)
    return found


def tpe_seconds(study: Study, full: Measured, target: float, *, seed: int) -> float:
    """Seconds until TPE, told the measured values, proposes a config that is close enough."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = SearchSpace.from_study(study)
    grid: Sequence[dict[str, Any]] = list(space.grid())
    search = optuna.create_study(direction="maximize")
    order: list[int] = []
    for number in range(MOST_PROPOSALS):
        search.sampler = sampler_of(Sampler(seed=seed), seed=seed * 1_000_003 + number, several_at_once=False)
        trial = search.ask()
        index = grid.index(space.suggest(trial))
        search.tell(trial, full.values[index])
        if index not in order:
            order.append(index)
        seconds = until_found(order, full, target)
        if seconds is not None:
            return seconds
    raise RuntimeError(f"TPE with seed {seed} has not found a config within {MOST_PROPOSALS} proposals")


if __name__ == "__main__":
    main()
