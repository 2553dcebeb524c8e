"""One epoch of training and validation: ours, the loop that published code of this field has, and the bare arithmetic.

    python benchmarks/epoch.py --root VOCdevkit/VOC2007 --weights mobilenet_v2-b0353104.pth    MobileNetV2 on photos
    python benchmarks/epoch.py --scenes                                                        the small CNN on scenes
    python benchmarks/epoch.py --root VOCdevkit/VOC2007 --device cuda --backbone resnet50 --size 448         on a GPU

All three train LL-R from the same weights on the same batches in the same order, in turns, in one process. The
published loop decodes each image anew with Pillow in a DataLoader with four workers, keeps the predictions of the epoch
in lists, and ranks them with scikit-learn, class by class. The bare arithmetic is forward, backward and step on tensors
that are ready, in the precision of ours: bf16 on a GPU, or where `--precision` asks for it. All sides use all cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from gpu import wait_for
from PIL import Image
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import functional as transforms

from wsml_study.data.dataset import RenderedImages
from wsml_study.data.readers import read_dataset
from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import TrialConfig
from wsml_study.training.classifier import Classifier
from wsml_study.training.randomness import order_of_epoch, seed_of
from wsml_study.training.scoring import uses_bf16
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import LabelledImages, open_trial_data

RATE = 0.002
DATALOADER_WORKERS = 4


@dataclass
class Files(Dataset):
    """Images as files, decoded when asked for."""

    paths: list[Path]
    mirrored: list[bool]
    size: int
    mode: str
    mean: list[float]
    std: list[float]

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.paths[index]) as image:
            resized = image.convert(self.mode).resize((self.size, self.size), Image.Resampling.BILINEAR)
        if self.mirrored[index]:
            resized = transforms.hflip(resized)
        return transforms.normalize(transforms.to_tensor(resized), self.mean, self.std)


class Published:
    """The epoch of published code: the same model, batches and losses in another loop."""

    def __init__(self, config: TrialConfig, ours: TrialTraining, train: list[Path], validation: list[Path]) -> None:
        self.config, self.ours, self.train, self.validation = config, ours, train, validation
        torch.manual_seed(config.training.seed)
        classifier = Classifier(
            config.model.backbone,
            num_classes=len(ours.data.classes),
            num_channels=ours.data.num_channels,
            weights=config.model.weights,
        )
        groups = classifier.parameter_groups(
            config.training.learning_rate, config.training.head_learning_rate_multiplier
        )
        self.optimizer = torch.optim.Adam(groups)
        self.network = classifier.network.to(ours.device, memory_format=torch.contiguous_format)
        self.transform = {
            "size": ours.data.train.images_NcHW.shape[-1],
            "mode": "L" if ours.data.num_channels == 1 else "RGB",
            "mean": (classifier.mean.flatten() / 255).tolist(),
            "std": (classifier.std.flatten() / 255).tolist(),
        }
        self.labels_NC = torch.from_numpy(ours.data.train.observed_MC.astype(np.float32))

    def loader(self, paths: list[Path], mirrored: list[bool]) -> DataLoader:
        batch = self.config.training.batch_size
        return DataLoader(Files(paths, mirrored, **self.transform), batch_size=batch, num_workers=DATALOADER_WORKERS)

    def epoch(self, epoch: int, order_N: Tensor, mirrored_N: Tensor) -> tuple[list[float], float]:
        """Losses by batch, and mAP."""
        self.network.train()
        losses, start = [], 0
        batches = iter(self.loader([self.train[i] for i in order_N], mirrored_N[order_N].tolist()))
        torch.manual_seed(seed_of(self.config.training.seed, epoch, 1))  # the loader has drawn a seed for its workers
        for images_BcHW in batches:
            labels_BC = self.labels_NC[order_N[start : start + len(images_BcHW)]].to(self.ours.device)
            start += len(images_BcHW)
            loss = ll_r(self.network(images_BcHW.to(self.ours.device)), labels_BC, RATE * (epoch - 1))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        return losses, self.validate()

    def validate(self) -> float:
        self.network.eval()
        predictions = []
        with torch.no_grad():
            for images_BcHW in self.loader(self.validation, [False] * len(self.validation)):
                predictions += torch.sigmoid(self.network(images_BcHW.to(self.ours.device))).tolist()
        truth_MC, scores_MC = self.ours.data.validation.truth_MC, np.array(predictions)
        present = [column for column in range(truth_MC.shape[1]) if (truth_MC[:, column] > 0).any()]
        values = [average_precision_score(truth_MC[:, column] > 0, scores_MC[:, column]) for column in present]
        return 100 * sum(values) / truth_MC.shape[1]


def ll_r(logits_BC: Tensor, labels_BC: Tensor, rate: float) -> Tensor:
    """LL-R as its authors wrote it."""
    losses_BC = nn.functional.binary_cross_entropy_with_logits(logits_BC, labels_BC, reduction="none")
    k = int(np.ceil(round(logits_BC.numel() * rate, 6)))
    if k:
        unobserved_BC = torch.where(labels_BC > 0, 0.0, losses_BC.detach())
        border = torch.topk(unobserved_BC.flatten(), k).values.min()
        losses_BC = torch.where(unobserved_BC < border, losses_BC, 0.0)
    return losses_BC.mean()


def bare(ours: TrialTraining, epoch: int) -> float:
    """Seconds of forward, backward and step on ready tensors, LL-R's loss included."""
    ready = [
        (batch.inputs.to(torch.float32), batch.labels_BC.to(torch.float32))
        for batch in ours.optimization.batches(epoch)
    ]
    normalized = [((images - ours.classifier.mean) / ours.classifier.std, labels) for images, labels in ready]
    normalized = [(images.contiguous(memory_format=torch.channels_last), labels) for images, labels in normalized]
    precision = ours.config.training.precision
    ours.classifier.train()
    wait_for(ours.device)
    started = time.perf_counter()
    for images_BcHW, labels_BC in normalized:
        with torch.autocast(ours.device.type, torch.bfloat16, enabled=uses_bf16(precision, ours.device)):
            logits_BC = ours.classifier.network(images_BcHW)
        loss = ll_r(logits_BC.float(), labels_BC, RATE * (epoch - 1))
        loss.backward()
        ours.optimizer.step()
        ours.optimizer.zero_grad(set_to_none=True)
    wait_for(ours.device)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", help="folder of VOC 2007's photos")
    parser.add_argument("--weights", help="file with the backbone's ImageNet weights; without it they are random")
    parser.add_argument("--scenes", action="store_true")
    parser.add_argument("--backbone", default="mobilenet_v2", help="of photos")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="of ours")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    config = config_of(arguments)
    with tempfile.TemporaryDirectory() as folder:
        compare(config, Path(folder), arguments.epochs, torch.device(arguments.device))


def config_of(arguments: argparse.Namespace) -> TrialConfig:
    scenes = {"data": {"dataset": "digit_scenes"}, "model": {"backbone": "small_cnn"}}
    photos = {
        "data": {"dataset": "voc2007", "root": arguments.root, "image_size": arguments.size},
        "model": {"backbone": arguments.backbone, "weights": arguments.weights},
    }
    study = parse_study(
        (scenes if arguments.scenes else photos)
        | {
            "name": "epoch",
            "method": {"name": "LL-R", "schedule": {"rate_per_epoch": RATE}},
            "training": {
                "epochs": arguments.epochs,
                "batch_size": 16,
                "learning_rate": 1e-4,
                "precision": arguments.precision,
            },
        },
        source="epoch",
    )
    return SearchSpace.from_study(study).resolve(study, {})


def files_of(config: TrialConfig, split: str, rows: LabelledImages, folder: Path) -> list[Path]:
    """A file for each image of a split; what is embedded is written down first."""
    source = getattr(read_dataset(config.data.dataset.value, root=config.data.root), split).images
    if not isinstance(source, RenderedImages):
        return [source.folder / source.names[row] for row in rows.rows_M]
    paths = []
    for row in rows.rows_M:
        paths.append(folder / f"{split}-{row}.png")
        Image.fromarray(rows.images_NcHW[row, 0]).save(paths[-1])
    return paths


def compare(config: TrialConfig, folder: Path, epochs: int, device: torch.device) -> None:
    data = open_trial_data(config.data)
    ours, arithmetic = TrialTraining(config, data, device=device), TrialTraining(config, data, device=device)
    published = Published(
        config,
        ours,
        files_of(config, "train", data.train, folder),
        files_of(config, "train", data.validation, folder),
    )
    rows = []
    for epoch in range(1, epochs + 1):
        order_N, mirrored_N = order_of_epoch(len(data.train), seed=config.training.seed, epoch=epoch)
        started = time.perf_counter()
        losses, their_map = published.epoch(epoch, order_N, mirrored_N & torch.tensor(data.horizontal_flip))
        theirs = time.perf_counter() - started
        result = ours.run_epoch()
        bare_s = bare(arithmetic, epoch)
        our_s = result.train_seconds + result.validation_seconds
        rows.append((theirs / our_s, result.train_seconds / bare_s))
        sizes = [min(16, len(order_N) - start) for start in range(0, len(order_N), 16)]
        their_loss = float(np.average(losses, weights=sizes))
        print(
            f"epoch {epoch}: published {theirs:.1f} s, ours {our_s:.1f} s (training {result.train_seconds:.1f}), "
            f"bare arithmetic {bare_s:.1f} s; train loss {their_loss:.6f} and {result.train_loss:.6f}, "
            f"validation mAP {their_map:.3f} and {result.val_map:.3f}"
        )
    print(f"published / ours, median: {statistics.median(row[0] for row in rows):.2f}")
    print(f"ours training / bare arithmetic, median: {statistics.median(row[1] for row in rows):.3f}")


if __name__ == "__main__":
    main()
