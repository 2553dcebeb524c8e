"""mAP against scikit-learn's, in one run: the ratio of times, and the largest difference between any two AP.

    python benchmarks/average_precision.py                            COCO's validation set: 40,000 images, 80 classes
    python benchmarks/average_precision.py --images 125000 --classes 5000 --repeats 1          OpenImages' test set
    python benchmarks/average_precision.py --images 125000 --classes 200 --annotated 0.1

Scores are random float32 with some ties, 3 % of the labels are positive. scikit-learn ranks class by class, as the
published code of this field does; both use one thread. Memory is what ours takes beside scores and labels, as far as it
exceeds what making these took.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from wsml_study.training.average_precision import average_precision_C


def example(num_images: int, num_classes: int, annotated: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (num_images, num_classes)
    scores = torch.randn(shape, generator=generator).mul_(1e4).round_().div_(1e4)
    labels = torch.empty(shape, dtype=torch.int8)
    for rows in labels.split(1000):
        rows.copy_(torch.where(torch.rand(rows.shape, generator=generator) < 0.03, 1, -1))
        rows.masked_fill_(torch.rand(rows.shape, generator=generator) > annotated, 0)
    return scores, labels


def scikit_learn(scores: Tensor, labels: Tensor) -> Tensor:
    values = []
    for column, states in zip(scores.numpy().T, labels.numpy().T, strict=True):
        known = states != 0
        values.append(average_precision_score(states[known] > 0, column[known]))
    return torch.tensor(values, dtype=torch.float64)


def timed(compute: Callable[[], Tensor], repeats: int) -> tuple[float, Tensor]:
    """Median seconds, and the result."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        result = compute()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds), result


def most_memory_bytes() -> int:
    """The largest resident size that this process has had."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=40_000)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--annotated", type=float, default=1.0, help="share of the labels that are annotated")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    scores, labels = example(arguments.images, arguments.classes, arguments.annotated)
    average_precision_C(scores[:100], labels[:100])  # whatever the first call sets up
    before = most_memory_bytes()
    ours, ap_C = timed(lambda: average_precision_C(scores, labels), arguments.repeats)
    extra = most_memory_bytes() - before
    theirs, reference_C = timed(lambda: scikit_learn(scores, labels), arguments.repeats)
    difference = np.abs((ap_C - reference_C).numpy()).max()
    print(f"{arguments.images:,} images x {arguments.classes:,} classes, median of {arguments.repeats}")
    print(f"  scikit-learn     {theirs:8.3f} s")
    print(f"  average_precision{ours:8.3f} s")
    print(f"  ratio            {theirs / ours:8.1f}, largest difference of an AP {difference:.1e}")
    print(
        f"  memory           {extra / 2**20:8.0f} MiB, scores and labels have {scores.nbytes + labels.nbytes:,} bytes"
    )


if __name__ == "__main__":
    main()
