"""What images cost a trial: the store against decoding with PIL in a DataLoader, and against tensors that are ready.

    python benchmarks/image_store.py --data-root VOCdevkit/VOC2007

One study on VOC 2007 photos (MobileNetV2 at 96 pixels) runs the same trials in each of these ways in turn, one at a
time on all CPUs:

    raw, jpeg, none     data.store: raw pixels (what a study does by default here), JPEGs, no store
    loader              a torch Dataset that opens, converts and resizes each photo with PIL, in a DataLoader without
                        worker processes, and with two (`loader 2`)
    ready               batches that lie in memory as tensors before the clock starts: forward, backward, step alone

An epoch is its training and its validation. Epochs are kept short (`--images`), turns many, and the fastest epoch of
each way counts beside the median, since whatever else the machine does only adds time. What it takes to fetch images
without any model is told as well.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from trial_overhead import EndTimes

from wsml_study.data.readers import read_dataset
from wsml_study.methods.contract import ALONE
from wsml_study.study.reading import parse_study
from wsml_study.study.spec import Study, TrialConfig
from wsml_study.training.inputs import TrialInputs
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import open_trial_data
from wsml_study.tuning.run import run_study

WAYS = ("raw", "jpeg", "none", "loader", "loader 2", "ready")
LOADER_WORKERS = {"loader": 0, "loader 2": 2}


class Photos(Dataset):
    """Photos as most training code opens them."""

    def __init__(self, files, size):
        self.files, self.size = files, size

    def __len__(self):
        return len(self.files)

    def __getitem__(self, row):
        with Image.open(self.files[row]) as photo:
            resized = photo.convert("RGB").resize((self.size, self.size), Image.Resampling.BILINEAR)
        return torch.frombuffer(bytearray(resized.tobytes()), dtype=torch.uint8).view(self.size, self.size, 3)


class LoaderInputs:
    def __init__(self, files, size, num_workers, flips):
        self.photos, self.num_workers, self.flips = Photos(files, size), num_workers, flips

    def batches(self, positions, mirrored_M=None):
        batches = [rows.tolist() for rows in positions]
        loader = DataLoader(self.photos, batch_sampler=batches, num_workers=self.num_workers)
        for rows, images_BHWc in zip(batches, loader, strict=True):
            images_BcHW = images_BHWc.permute(0, 3, 1, 2).contiguous()
            if self.flips and mirrored_M is not None:
                flip_B = mirrored_M[rows].view(-1, 1, 1, 1)
                images_BcHW = torch.where(flip_B, images_BcHW.flip(-1), images_BcHW)
            yield images_BcHW


class FromLoader(TrialTraining):
    """Decodes its photos in every epoch."""

    num_workers = 0

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.optimization.inputs = TrialInputs(self._loader)

    def _loader(self, split):
        images = read_dataset("voc2007", root=self.config.data.root).train.images
        files = [images.folder / images.names[row] for row in self.data.split(split).rows_M]
        return LoaderInputs(files, self.config.data.image_size, self.num_workers, flips=split == "train")


class ReadyInputs:
    def __init__(self, batches):
        self.ready = batches

    def batches(self, positions, mirrored_M=None):
        return iter(self.ready)


class Ready(TrialTraining):
    """Has all batches of an epoch in memory before it begins."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self._read = self.optimization.batches
        images = self.optimization.inputs
        positions = torch.split(torch.arange(len(self.data.validation)), max(64, self.config.training.batch_size))
        validation = ReadyInputs(list(images.of("validation").batches(positions)))
        self.optimization.inputs = TrialInputs(lambda split: validation if split == "validation" else images.of(split))

    def run_epoch(self):
        ready = list(self._read(self.epoch + 1))
        self.optimization.batches = lambda epoch: iter(ready)
        return super().run_epoch()


def way_of(config: TrialConfig) -> str:
    return WAYS[config.training.seed % len(WAYS)]


def some_of(split, num_images):
    arrays = {name: getattr(split, name)[:num_images] for name in ("rows_M", "truth_MC", "observed_MC")}
    return replace(split, **arrays)


def open_in_its_way(config, *, device, peers, keep_best, num_images):
    """The seed of a trial says which way; all ways of one turn train with the same seed."""
    way = way_of(config)
    training = config.training.model_copy(update={"seed": config.training.seed // len(WAYS)})
    store = way if way in ("raw", "jpeg", "none") else "raw"
    data = config.data.model_copy(update={"store": store})
    config = config.model_copy(update={"training": training, "data": data})
    kind = {"loader": FromLoader, "loader 2": FromLoader, "ready": Ready}.get(way, TrialTraining)
    trial = kind.__new__(kind)
    if way in LOADER_WORKERS:
        trial.num_workers = LOADER_WORKERS[way]
    opened = open_trial_data(data)
    few = {
        name: some_of(getattr(opened, name), n) for name, n in (("train", num_images), ("validation", num_images // 4))
    }
    trial.__init__(config, replace(opened, **few), device=device, peers=peers, keep_best=keep_best)
    return trial


def study_of(data_root: str, weights: str, storage: str, *, turns: int, epochs: int, cpus: int) -> Study:
    return parse_study(
        {
            "name": "image_store",
            "data": {"dataset": "voc2007", "root": data_root, "image_size": 96},
            "model": {"backbone": "mobilenet_v2", "weights": weights},
            "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.002}},
            "training": {"epochs": epochs, "batch_size": 16, "learning_rate": 1e-4},
            "factors": {"training.seed": list(range(turns * len(WAYS)))},
            "resources": {"gpus_per_worker": 0, "cpus_per_worker": cpus},
            "storage": storage,
        },
        source="image_store",
    )


def seconds_by_way(folder: Path) -> dict[str, list[float]]:
    """Of each epoch of each trial."""
    trials = pq.read_table(folder / "trials.parquet").to_pandas().set_index("trial")
    seconds = defaultdict(list)
    for row in pq.read_table(folder / "epochs.parquet").to_pandas().itertuples():
        way = way_of(TrialConfig.model_validate_json(trials.loc[row.trial, "config"]))
        seconds[way].append(row.train_seconds + row.validation_seconds)
    return seconds


def fetching_seconds(study: Study, num_images: int) -> dict[str, float]:
    """Per 1,000 training images, with nothing done to them; the least of three times."""
    seconds = {}
    for number, way in enumerate(WAYS[:-1]):
        training = study.training.model_copy(update={"seed": number})
        config = TrialConfig(data=study.data, model=study.model, method=study.method, training=training)
        trial = open_in_its_way(config, device="cpu", peers=ALONE, keep_best=False, num_images=num_images)
        seconds[way] = min(timed_pass(trial) for _ in range(3))
    return seconds


def timed_pass(trial: TrialTraining) -> float:
    started = time.perf_counter()
    num_fetched = sum(len(batch.inputs) for batch in trial.optimization.batches(1))
    return 1000 * (time.perf_counter() - started) / num_fetched


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", default="../shared/data/VOCdevkit/VOC2007")
    parser.add_argument("--weights", default="../shared/data/weights/mobilenet_v2-b0353104.pth")
    parser.add_argument("--images", type=int, default=256, help="to train on; a quarter as many to validate on")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--cpus", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as storage:
        study = study_of(
            arguments.data_root,
            arguments.weights,
            storage,
            turns=arguments.turns,
            epochs=arguments.epochs,
            cpus=arguments.cpus,
        )
        for kind in ("raw", "jpeg"):
            open_trial_data(study.data.model_copy(update={"store": kind}))
        outcome = run_study(study, EndTimes(), open_trial=partial(open_in_its_way, num_images=arguments.images))
        assert outcome.finished
        seconds = seconds_by_way(outcome.folder)
    torch.set_num_threads(arguments.cpus)
    fetching = fetching_seconds(study, arguments.images)
    fastest = {way: min(some) for way, some in seconds.items()}
    median = {way: statistics.median(some) for way, some in seconds.items()}
    counted = f"{arguments.images} + {arguments.images // 4} images"
    print(f"{len(seconds['raw'])} epochs each of {counted}, {arguments.cpus} CPUs")
    for way in WAYS:
        alone = f"; fetching 1,000 images alone {fetching[way]:.3f} s" if way in fetching else ""
        print(
            f"{way:<8}  fastest {fastest[way]:6.2f} s, {fastest[way] / fastest['ready']:.3f} of ready, "
            f"{fastest[way] / fastest['raw']:.3f} of raw; median {median[way]:6.2f} s, "
            f"{median[way] / median['ready']:.3f} of ready, {median[way] / median['raw']:.3f} of raw{alone}"
        )


if __name__ == "__main__":
    main()
