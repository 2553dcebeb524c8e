"""Memory and time that labels as many as OpenImages has take: 3.4 M images, 5,000 classes, 27 M annotations.

    python benchmarks/openimages_labels.py

The annotations are made up, in the layout of `annotations-human.csv`, classes as unequal as Zipf's law has them. The
reading runs in a process of its own, whose peak of memory is what is told.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from wsml_study.data.openimages_v3 import read_annotations, sparse_labels

ROWS_PER_BATCH = 1_000_000


def write_annotations(file: Path, *, num_images: int, num_annotations: int, classes: list[str]) -> None:
    random = np.random.default_rng(0)
    schema = pa.schema(
        [("ImageID", pa.string()), ("Source", pa.string()), ("LabelName", pa.string()), ("Confidence", pa.int8())]
    )
    odds_C = 1 / np.arange(1, len(classes) + 1)
    names = pa.array(classes)
    with csv.CSVWriter(file, schema) as writer:
        for start in range(0, num_annotations, ROWS_PER_BATCH):
            num_rows = min(ROWS_PER_BATCH, num_annotations - start)
            # Every image comes up in turn, as in the release, where an image's lines stand together.
            images = (np.arange(start, start + num_rows) * num_images // num_annotations) * 2_654_435_761 % 2**62
            labels = random.choice(len(classes), size=num_rows, p=odds_C / odds_C.sum())
            columns = [
                pa.array([f"{image:016x}" for image in images.tolist()]),
                pa.array(["verification"] * num_rows),
                names.take(pa.array(labels)),
                pa.array(random.integers(0, 2, num_rows), pa.int8()),
            ]
            writer.write_batch(pa.record_batch(columns, schema=schema))


def read(file: Path, classes: list[str], answer: multiprocessing.Queue) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    _, labels_NC = sparse_labels(read_annotations(file, classes), len(classes))
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer.put((labels_NC.shape, labels_NC.nnz, seconds, before * 1024, peak * 1024))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=3_400_000)
    parser.add_argument("--annotations", type=int, default=27_000_000)
    parser.add_argument("--classes", type=int, default=5_000)
    arguments = parser.parse_args()
    classes = [f"/m/{number:06x}" for number in range(arguments.classes)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "annotations-human.csv"
        write_annotations(file, num_images=arguments.images, num_annotations=arguments.annotations, classes=classes)
        print(f"{arguments.annotations:,} annotations in {file.stat().st_size / 1e9:.2f} GB of CSV")
        context = multiprocessing.get_context("spawn")
        answer = context.Queue()
        process = context.Process(target=read, args=(file, classes, answer))
        process.start()
        shape, stored, seconds, before, peak = answer.get()
        process.join()
    dense = shape[0] * shape[1] / 2**30
    print(f"labels {shape[0]:,} x {shape[1]:,}, {stored:,} of them stored; dense they would take {dense:.1f} GiB")
    print(f"read in {seconds:.0f} s; peak memory {peak / 2**30:.2f} GiB, {before / 2**30:.2f} GiB of it before reading")


if __name__ == "__main__":
    main()
