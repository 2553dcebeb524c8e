"""Whether the range that `{auto: true}` finds holds the best rejection rates.

    python benchmarks/auto_rate.py --voc VOCdevkit/VOC2007 --coco coco2017_mini --mulan mulan \\
        --weights mobilenet_v2-b0353104.pth

Replays the curves in `benchmarks/curves` (see `measure_curves.py`): of each large-loss method the best config over all
rates that were trained, and over those within the range that the study would get from its data; and the mean best of
TRIALS configs drawn from either, in validation mAP (points), mean over training seeds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from measure_curves import BENCHMARKS, CURVES, RATE, RATED, study_of

from wsml_study.report.estimated_ranges import with_estimated_ranges
from wsml_study.study.search_section import Estimated, Parameter

TRIALS, DRAWS = 5, 4000


def estimated(name: str, arguments: argparse.Namespace) -> tuple[Estimated, tuple[float, float]]:
    """The share of false negatives and the range of the rate per epoch that a benchmark's study would get."""
    study = study_of(name, BENCHMARKS[name], arguments)
    found = with_estimated_ranges(study.model_copy(update={"search": {RATE: Parameter(auto=True)}})).search[RATE]
    assert isinstance(found.auto, Estimated)
    assert found.float is not None
    return found.auto, (found.float.low, found.float.high)


def mean_best(values: Sequence[float], rng: np.random.Generator) -> float:
    """The mean largest of TRIALS values drawn at random."""
    return float(rng.choice(values, (DRAWS, TRIALS)).max(1).mean())


def main() -> None:
    """Print a row per benchmark and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("voc", "coco", "mulan", "weights"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    for name in BENCHMARKS:
        path = CURVES / f"{name}.parquet"
        if not path.exists():
            continue
        auto, (low, high) = estimated(name, arguments)
        print(f"{name}: {auto.text}; rate_per_epoch {low:g} to {high:g}")
        by_values: dict[str, list[float]] = {}
        for row in pq.read_table(path).to_pylist():
            by_values.setdefault(row["values"], []).append(max(row["objective"]))
        for method in RATED:
            every, inside = [], []
            for text, best in by_values.items():
                values = json.loads(text)
                if values["method.name"] != method:
                    continue
                every.append(float(np.mean(best)))
                if low <= values[RATE] <= high:
                    inside.append(every[-1])
            print(
                f"  {method:<6} best {max(every):.2f} of {len(every)}, in range {max(inside):.2f} of {len(inside)}; "
                f"mean best of {TRIALS}: {mean_best(every, rng):.2f}, in range {mean_best(inside, rng):.2f}"
            )


if __name__ == "__main__":
    main()
