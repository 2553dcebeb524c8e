"""How far our defaults move the mAP beside what the published code does: one difference at a time, on VOC 2007 photos.

    python benchmarks/defaults.py --data-root VOCdevkit/VOC2007 --weights mobilenet_v2-b0353104.pth
    PYTHONPATH=. python benchmarks/defaults.py --loops              precision alone, in the loops of tests/parity

Trains LL-R with MobileNetV2 from the same weights on the same batches: once in float32 without the dropout in front of
its head, and once with each difference. Prints how far validation mAP moves, the largest of all epochs, and test mAP of
the best epoch; another seed shows what chance alone does. It also compares the resized photos with torchvision's,
which the published code uses.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision import transforms

from wsml_study.study.data_section import Data, Validation
from wsml_study.study.method_section import Method, Schedule
from wsml_study.study.model_section import Model
from wsml_study.study.spec import TrialConfig
from wsml_study.study.training_section import Training
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import SPLITS, TrialData, open_trial_data

Maps = tuple[list[float], float]
"""Validation mAP of each epoch, and test mAP of the best epoch."""


def config_of(options: argparse.Namespace, **training: object) -> TrialConfig:
    settings = {"epochs": options.epochs, "learning_rate": 1e-4, "seed": options.seed, **training}
    return TrialConfig(
        data=Data(
            dataset="voc2007",
            root=options.data_root,
            image_size=options.image_size,
            validation=Validation(fraction=0.2, seed=1200),
        ),
        model=Model(backbone="mobilenet_v2", weights=options.weights),
        method=Method(name="LL-R", schedule=Schedule(rate_per_epoch=0.002)),
        training=Training(**settings),
    )


def without_dropout(trial: TrialTraining) -> None:
    for module in trial.classifier.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def in_double(trial: TrialTraining) -> None:
    without_dropout(trial)
    trial.classifier.double()


def maps_of(config: TrialConfig, data: TrialData, change: Callable[[TrialTraining], None] = without_dropout) -> Maps:
    trial = TrialTraining(config, data, keep_best=True)
    change(trial)
    validation = [float(trial.run_epoch().val_map or 0) for _ in range(config.training.total_epochs)]
    return validation, trial.test().test_map or 0


def resized(data: TrialData, folder: Path, size: int, resize: Callable[[Image.Image], Image.Image]) -> TrialData:
    """The same data with photos that were resized in another way."""

    def split(name: str) -> np.ndarray:
        names = data.split(name).names_N
        images = np.empty((len(names), 3, size, size), np.uint8)
        for row, one in enumerate(names):
            with Image.open(folder / one) as photo:
                images[row] = np.asarray(resize(photo.convert("RGB"))).transpose(2, 0, 1)
        return images

    by_split = {"train": split("train"), "test": split("test")}
    by_split["validation"] = by_split["train"]
    return replace(data, **{name: replace(data.split(name), images_NcHW=by_split[name]) for name in SPLITS})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loops", action="store_true")
    parser.add_argument("--data-root")
    parser.add_argument("--weights")
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.loops:
        compare_loops()
    elif options.data_root and options.weights:
        compare_on_photos(options)
    else:
        parser.error("expected --loops, or --data-root and --weights")


def compare_on_photos(options: argparse.Namespace) -> None:
    size, photos = options.image_size, Path(options.data_root) / "JPEGImages"
    config = config_of(options)
    with tempfile.TemporaryDirectory() as cache:
        data = open_trial_data(config.data, cache_dir=Path(cache))
        theirs = resized(data, photos, size, transforms.Resize((size, size)))
        pixels = [
            np.array(data.split(name).images_NcHW) != theirs.split(name).images_NcHW for name in ("train", "test")
        ]
        print(f"pixels that differ from torchvision's Resize: {sum(int(one.sum()) for one in pixels)}")
        bicubic = resized(data, photos, size, lambda photo: photo.resize((size, size), Image.Resampling.BICUBIC))
        first = maps_of(config, data)
        report("float32, no dropout, bilinear", first, first)
        report("float64", maps_of(config, data, in_double), first)
        report("bf16", maps_of(config_of(options, precision="bf16"), data), first)
        report("dropout of .2", maps_of(config, data, lambda trial: None), first)
        report("bicubic", maps_of(config, bicubic), first)
        report("another seed", maps_of(config_of(options, seed=options.seed + 1), data), first)


def compare_loops() -> None:
    """Float32 and bf16 beside float64 in three epochs from the same weights, on 60 images of 32 pixels."""
    from tests.parity.loop_inputs import save_backbone
    from tests.parity.test_published_loops import OPTIMIZERS, large_loss_of, trial_of

    torch.set_num_threads(1)  # operations this small get slower with more
    with tempfile.TemporaryDirectory() as folder:
        weights = save_backbone(Path(folder))
        for name in ("AN", "LL-R", "LL-Ct", "LL-Cp"):
            for optimizer, training in OPTIMIZERS.items():
                print(f"{name} {optimizer}: largest difference of a loss and of a validation mAP from float64")
                runs = [trial_of(weights, large_loss_of(name), epochs=3, **training) for _ in range(2)]
                runs.append(trial_of(weights, large_loss_of(name), epochs=3, precision="bf16", **training))
                runs[0].classifier.double()
                results = [
                    [(one.train_loss, one.val_map) for one in (run.run_epoch() for _ in range(3))] for run in runs
                ]
                for precision, found in zip(("float32", "bf16"), results[1:], strict=True):
                    loss, val_map = np.abs(np.array(found) - np.array(results[0])).max(axis=0)
                    print(f"  {precision}: {loss:.1e}, {val_map:.2f}")


def report(name: str, maps: Maps, first: Maps) -> None:
    shift = max(abs(one - other) for one, other in zip(maps[0], first[0], strict=True))
    shown = ", ".join(f"{one:.2f}" for one in maps[0])
    print(f"{name}: validation {shown} (moved by {shift:.2g} at most), test {maps[1]:.2f} ({maps[1] - first[1]:+.2g})")


if __name__ == "__main__":
    main()
