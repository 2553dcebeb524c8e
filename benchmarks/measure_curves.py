"""Measures the learning curves that `search_engines.py` replays: the objective by epoch, of every config and seed.

    python benchmarks/measure_curves.py --voc VOCdevkit/VOC2007 --coco coco2017_mini --mulan mulan \\
        --weights mobilenet_v2-b0353104.pth

Writes a Parquet file per benchmark into `benchmarks/curves`: a row per config and seed, with the searched values and
the validation mAP (percent) of each epoch as float32. Files that are there are kept, so the command goes on where it
was interrupted. Linear probes are trained together as a study trains them; networks are trained one by one.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from scipy.stats import qmc

from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study, TrialConfig
from wsml_study.training.stacked_heads import FusedTraining
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import TrialData, open_trial_data
from wsml_study.training.trial_results import EpochResult

CURVES = Path(__file__).parent / "curves"
TOGETHER = 64
"""Linear probes that are trained as one."""

RATED = ("LL-R", "LL-Ct", "LL-Cp")
METHODS = ("AN", *RATED)
MANY_METHODS = ("AN", "WAN", "LSAN", "EM", "Hill", "SPLC", "GR", *RATED)

METHOD, RATE, WARMUP = "method.name", "method.schedule.rate_per_epoch", "method.schedule.warmup_epochs"
LEARNING_RATE, DECAY, SEED = "training.learning_rate", "training.weight_decay", "training.seed"

ONE_POSITIVE = {"positives": 1, "seed": 1200}
SHARE = {"share": 0.3, "seed": 1200}
BIAS = {"positives": 1, "bias": 1.0, "seed": 1200}


def log(low: float, high: float) -> dict[str, Any]:
    """A searched range on a logarithmic scale."""
    return {"float": {"low": low, "high": high, "log": True}}


def integers(low: int, high: int) -> dict[str, Any]:
    """A searched range of integers."""
    return {"int": {"low": low, "high": high}}


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Configs of one study, all trained to the end.

    Attributes:
        data: names the sections `data` and `model`, and whether linear probes are trained.
        observe: what the method sees.
        methods: searched.
        ranges: searched besides the method; those of the schedule go with the rated methods only.
        training: keys of the section `training` beside the searched ones.
        configs: number of configs, shared among the methods by how many keys each has.
        seeds: training seeds of each config.
    """

    data: str
    observe: dict[str, Any]
    ranges: dict[str, dict[str, Any]]
    training: dict[str, Any]
    configs: int
    methods: Sequence[str] = METHODS
    seeds: int = 3


TABLE = {"epochs": 20, "batch_size": 64, "learning_rate": 1e-3}
LARGE_BATCHES = {"epochs": 15, "batch_size": 256, "learning_rate": 3e-3}
HEAD = {"mode": "linear", "epochs": 16, "batch_size": 64, "learning_rate": 1e-3}
SHORT_HEAD = {"mode": "linear", "epochs": 12, "batch_size": 128, "learning_rate": 1e-3}
SCENES = {"epochs": 8, "batch_size": 16, "learning_rate": 3e-3, "head_learning_rate_multiplier": 1}
PHOTOS = {"epochs": 5, "batch_size": 16, "learning_rate": 3e-4}

RATES = {RATE: log(3e-4, 3e-2)}
NETWORK_RATES = {RATE: log(1e-3, 5e-2)}

BENCHMARKS = {
    "table_positive_steps": Benchmark(
        data="table",
        observe=ONE_POSITIVE,
        ranges={**RATES, LEARNING_RATE: log(1e-4, 3e-2), DECAY: log(1e-6, 1e-2)},
        training=TABLE,
        configs=300,
    ),
    "heads_positive_warmup": Benchmark(
        data="voc", observe=ONE_POSITIVE, ranges={**RATES, WARMUP: integers(1, 8)}, training=HEAD, configs=160
    ),
    "coco_positive_steps": Benchmark(
        data="coco",
        observe=ONE_POSITIVE,
        ranges={**RATES, LEARNING_RATE: log(3e-5, 1e-2)},
        training=HEAD,
        configs=160,
    ),
    "table_share_warmup": Benchmark(
        data="table",
        observe=SHARE,
        ranges={**RATES, WARMUP: integers(1, 8), LEARNING_RATE: log(3e-4, 1e-1)},
        training=LARGE_BATCHES,
        configs=160,
    ),
    "table_bias_methods": Benchmark(
        data="table",
        observe=BIAS,
        methods=MANY_METHODS,
        ranges={**RATES, LEARNING_RATE: log(3e-4, 1e-1)},
        training=LARGE_BATCHES,
        configs=96,
        seeds=2,
    ),
    "heads_share_steps": Benchmark(
        data="voc",
        observe=SHARE,
        ranges={**RATES, LEARNING_RATE: log(3e-5, 1e-2)},
        training=SHORT_HEAD,
        configs=80,
        seeds=2,
    ),
    "scenes_positive_warmup": Benchmark(
        data="scenes",
        observe=ONE_POSITIVE,
        ranges={**NETWORK_RATES, WARMUP: integers(1, 5)},
        training=SCENES,
        configs=20,
        seeds=1,
    ),
    "heads_bias_methods": Benchmark(
        data="voc",
        observe=BIAS,
        methods=MANY_METHODS,
        ranges={**RATES, LEARNING_RATE: log(3e-5, 1e-2)},
        training=SHORT_HEAD,
        configs=96,
        seeds=2,
    ),
    "photos_positive_steps": Benchmark(
        data="photos",
        observe=ONE_POSITIVE,
        ranges={**NETWORK_RATES, LEARNING_RATE: log(3e-5, 3e-3)},
        training=PHOTOS,
        configs=16,
        seeds=1,
    ),
    "table_share_steps": Benchmark(
        data="table",
        observe=SHARE,
        ranges={**RATES, LEARNING_RATE: log(3e-4, 1e-1), DECAY: log(1e-6, 1e-2)},
        training=LARGE_BATCHES,
        configs=96,
        seeds=2,
    ),
    "few_photos_heads_steps": Benchmark(
        data="few_voc",
        observe=ONE_POSITIVE,
        ranges={**RATES, LEARNING_RATE: log(3e-5, 1e-2), DECAY: log(1e-6, 1e-2)},
        training=SHORT_HEAD,
        configs=80,
        seeds=2,
    ),
    "scenes_share_steps": Benchmark(
        data="scenes",
        observe=SHARE,
        ranges={**NETWORK_RATES, LEARNING_RATE: log(3e-4, 2e-2)},
        training=SCENES,
        configs=20,
        seeds=1,
    ),
}


def sections(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """`data` and `model` of a benchmark."""
    mobilenet = {"backbone": "mobilenet_v2", "weights": str(arguments.weights)}
    voc = {"dataset": "voc2007", "root": str(arguments.voc)}
    return {
        "table": {
            "data": {
                "dataset": "features",
                "root": str(arguments.mulan),
                "features": {"file": "scene-train.arff", "test_file": "scene-test.arff", "num_labels": 6},
                "feature_scaling": "standardize",
            },
            "model": {"backbone": "linear"},
        },
        "voc": {"data": {**voc, "image_size": 96}, "model": mobilenet},
        "coco": {
            "data": {"dataset": "coco2017", "root": str(arguments.coco), "image_size": 96},
            "model": mobilenet,
        },
        "few_voc": {"data": {**voc, "image_size": 96, "train_share": 0.4}, "model": mobilenet},
        "scenes": {"data": {"dataset": "digit_scenes", "train_share": 0.25}, "model": {"backbone": "small_cnn"}},
        "photos": {"data": {**voc, "image_size": 48, "train_share": 0.25}, "model": mobilenet},
    }[name]


def study_of(name: str, benchmark: Benchmark, arguments: argparse.Namespace) -> Study:
    """The study whose configs are measured."""
    content = sections(benchmark.data, arguments)
    content["data"] |= {
        "observe": benchmark.observe,
        "validation": {"fraction": 0.2, "seed": 1200, "labels": "clean"},
    }
    rated = [method for method in benchmark.methods if method in RATED]
    search = {METHOD: {"choice": list(benchmark.methods)}, SEED: {"choice": list(range(benchmark.seeds))}}
    for key, values in benchmark.ranges.items():
        search[key] = values | ({"when": {METHOD: rated}} if key in (RATE, WARMUP) else {})
    return parse_study(
        {
            "name": name,
            **content,
            "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.002, "warmup_epochs": 1}},
            "training": benchmark.training,
            "objective": {"metric": "best_val_map", "min_positives": 5},
            "search": search,
            "trials": 1,
        },
        source=name,
    )


def configs_of(benchmark: Benchmark) -> list[dict[str, Any]]:
    """Searched values, of each method a scrambled Sobol sequence over its own keys.

    A method with d keys has a share of the configs in proportion to d + 1; without keys it has one.
    """
    keys = {
        method: [key for key in benchmark.ranges if method in RATED or key not in (RATE, WARMUP)]
        for method in benchmark.methods
    }
    weights = {method: len(of_method) + 1 for method, of_method in keys.items() if of_method}
    rest = benchmark.configs - (len(keys) - len(weights))
    found: list[dict[str, Any]] = []
    for number, (method, of_method) in enumerate(keys.items()):
        if not of_method:
            found.append({METHOD: method})
            continue
        count = round(rest * weights[method] / sum(weights.values()))
        points = qmc.Sobol(len(of_method), seed=number).random(count)
        found += [
            {METHOD: method}
            | {key: value_at(benchmark.ranges[key], x) for key, x in zip(of_method, point, strict=True)}
            for point in points
        ]
    return found


def value_at(searched: dict[str, Any], x: float) -> float | int:
    """The value at x in [0, 1) of a range."""
    if "int" in searched:
        low, high = searched["int"]["low"], searched["int"]["high"]
        return int(low + np.floor(x * (high - low + 1)))
    low, high = searched["float"]["low"], searched["float"]["high"]
    return float(f"{low * (high / low) ** x:.4g}")


def measured(study: Study, benchmark: Benchmark) -> Iterator[tuple[dict[str, Any], int, list[float]]]:
    """Values, seed and curve of every config and seed; a training that diverges keeps its last value."""
    space, all_values = SearchSpace.from_study(study), configs_of(benchmark)
    data: TrialData | None = None
    for seed in range(benchmark.seeds):
        configs = [space.resolve(study, values | {SEED: seed}) for values in all_values]
        data = data or open_trial_data(configs[0].data)
        if configs[0].training.num_linear_epochs == configs[0].training.total_epochs:
            curves = together(configs, data)
        else:
            curves = (alone(config, data) for config in configs)
        for values, curve in zip(all_values, curves, strict=True):
            yield values, seed, curve


def together(configs: list[TrialConfig], data: TrialData) -> Iterator[list[float]]:
    """Curves of linear probes."""
    first: TrialTraining | None = None
    for chunk in chunks(configs):
        trials = []
        for config in chunk:
            trials.append(TrialTraining(config, data, shares_features_with=first))
            first = first or trials[0]
        fused = FusedTraining(trials)
        curves: dict[int, list[float]] = {id(trial): [] for trial in trials}
        for _ in range(chunk[0].training.total_epochs):
            for trial, result in fused.run_epoch():
                if isinstance(result, EpochResult):
                    curves[id(trial)].append(result.objective or 0.0)
        yield from (padded(curves[id(trial)], chunk[0]) for trial in trials)


def chunks(configs: list[TrialConfig]) -> Iterator[list[TrialConfig]]:
    """As many configs as are trained together at a time."""
    for start in range(0, len(configs), TOGETHER):
        yield configs[start : start + TOGETHER]


def alone(config: TrialConfig, data: TrialData) -> list[float]:
    """The curve of one network."""
    trial = TrialTraining(config, data)
    curve = [trial.run_epoch().objective or 0.0 for _ in range(config.training.total_epochs)]
    return padded(curve, config)


def padded(curve: list[float], config: TrialConfig) -> list[float]:
    """A curve of full length."""
    return curve + [curve[-1] if curve else 0.0] * (config.training.total_epochs - len(curve))


def write(name: str, benchmark: Benchmark, arguments: argparse.Namespace) -> None:
    """Measure a benchmark, and write its file."""
    started = time.process_time()
    rows = [
        {"values": json.dumps(values), "seed": seed, "objective": [round(value, 3) for value in curve]}
        for values, seed, curve in measured(study_of(name, benchmark, arguments), benchmark)
    ]
    schema = pa.schema(
        [
            pa.field("values", pa.string()),
            pa.field("seed", pa.int8()),
            pa.field("objective", pa.list_(pa.float32())),
        ],
        metadata={"ranges": json.dumps({METHOD: {"choice": list(benchmark.methods)}} | benchmark.ranges)},
    )
    CURVES.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), CURVES / f"{name}.parquet", compression="zstd")
    epochs = sum(len(row["objective"]) for row in rows)
    print(f"{name}: {len(rows)} curves, {epochs} epochs in {time.process_time() - started:.0f} CPU seconds", flush=True)


def main() -> None:
    """Measure what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("voc", "coco", "mulan", "weights"):
        parser.add_argument(f"--{name}", type=lambda text: Path(text).absolute(), required=True)
    parser.add_argument("--only", nargs="*", choices=BENCHMARKS, default=list(BENCHMARKS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.only:
        if not (CURVES / f"{name}.parquet").exists():
            write(name, BENCHMARKS[name], arguments)


if __name__ == "__main__":
    main()
