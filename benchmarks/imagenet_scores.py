"""Scores of VOC photos from the ImageNet classes of a pretrained MobileNetV2, for `data.pseudo_labels`.

    python benchmarks/imagenet_scores.py --data-root VOCdevkit/VOC2007 --weights mobilenet_v2-b0353104.pth -o s.parquet

A stand-in for the scores of a vision-language model where none is at hand: no label of VOC is used, only the names of
the classes. Each class of VOC stands for the ImageNet classes that are kinds of it (`KINDS`); its probability is their
sum, divided by that of all twenty. ImageNet has no person: three classes that show one stand for it, and no cow: ox and
water buffalo.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

from wsml_study.data.image_store import open_images
from wsml_study.study.data_section import Data
from wsml_study.training.pretrained_weights import IMAGENET_MEAN, IMAGENET_STD
from wsml_study.training.trial_data import dataset_of

KINDS: dict[str, tuple[str, ...]] = {
    "aeroplane": ("airliner", "warplane"),
    "bicycle": ("bicycle-built-for-two", "mountain bike"),
    "bird": (),
    "boat": (
        "canoe",
        "catamaran",
        "container ship",
        "fireboat",
        "gondola",
        "lifeboat",
        "liner",
        "schooner",
        "speedboat",
        "trimaran",
        "yawl",
    ),
    "bottle": ("beer bottle", "pill bottle", "pop bottle", "water bottle", "wine bottle"),
    "bus": ("minibus", "school bus", "trolleybus"),
    "car": (
        "beach wagon",
        "cab",
        "convertible",
        "jeep",
        "limousine",
        "minivan",
        "Model T",
        "racer",
        "sports car",
    ),
    "cat": ("tabby", "tiger cat", "Persian cat", "Siamese cat", "Egyptian cat"),
    "chair": ("barber chair", "folding chair", "rocking chair"),
    "cow": ("ox", "water buffalo"),
    "diningtable": ("dining table",),
    "dog": (),
    "horse": ("sorrel",),
    "motorbike": ("moped", "motor scooter"),
    "person": ("ballplayer", "groom", "scuba diver"),
    "pottedplant": ("pot",),
    "sheep": ("bighorn", "ram"),
    "sofa": ("studio couch",),
    "train": ("bullet train", "electric locomotive", "freight car", "passenger car", "steam locomotive"),
    "tvmonitor": ("monitor", "screen", "television"),
}
RANGES = {"bird": (range(7, 25), range(80, 101), range(127, 147)), "dog": (range(151, 269),)}
"""Kinds that are too many to name: places among ImageNet's thousand classes, which has them side by side."""
IMAGES_AT_ONCE = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, help="folder of VOC 2007")
    parser.add_argument("--weights", required=True, help="file with MobileNetV2's ImageNet weights")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("-o", "--output", type=Path, required=True, help="a .parquet file")
    arguments = parser.parse_args()
    dataset = dataset_of(Data(dataset="voc2007", root=arguments.data_root))
    network = mobilenet_v2()
    network.load_state_dict(torch.load(arguments.weights, weights_only=True))
    images = open_images(dataset.train.images, size=arguments.image_size, channels=3)
    scores = [
        scores_of(network.eval(), torch.from_numpy(np.array(images[rows_B])), dataset.classes)
        for rows_B in np.array_split(np.arange(len(dataset.train)), -(-len(dataset.train) // IMAGES_AT_ONCE))
    ]
    columns = dict(zip(dataset.classes, torch.cat(scores).T.numpy(), strict=True))
    pq.write_table(pa.table({"image": list(dataset.train.names), **columns}), arguments.output)
    print(f"scores of {len(dataset.train):,} training images in {arguments.output}")


@torch.inference_mode()
def scores_of(network: torch.nn.Module, images_BcHW: torch.Tensor, classes: tuple[str, ...]) -> torch.Tensor:
    """Probabilities (B, C) of VOC's classes, which sum to 1."""
    mean, std = (torch.tensor(one).view(1, -1, 1, 1) for one in (IMAGENET_MEAN, IMAGENET_STD))
    p_BK = network((images_BcHW / 255 - mean) / std).softmax(-1)
    p_BC = torch.stack([p_BK[:, places_of(name)].sum(-1) for name in classes], dim=-1)
    return p_BC / p_BC.sum(-1, keepdim=True)


def places_of(name: str) -> list[int]:
    """The places of a class's kinds among ImageNet's thousand classes."""
    names = MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"]
    return [names.index(kind) for kind in KINDS[name]] + [place for one in RANGES.get(name, ()) for place in one]


if __name__ == "__main__":
    main()
