"""Ranking loss on Scene's given features with one positive label kept per row: AN, LL-R, LL-Ct, LL-Cp.

    python benchmarks/scene_ranking_loss.py --data-root mulan

All 2,407 rows are split 80/10/10 at random, and one positive of each training row is kept at random, ten times with a
seed of its own. The trials are the grid of studies/scene.yaml; of each method the one with the best validation mAP (on
true labels) is tested. Published, for the same protocol as far as it is stated: AN .321, LL-R .155, LL-Cp .148,
LL-Ct .180.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from wsml_study.data.label_files import FeatureFiles
from wsml_study.study.reading import read_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import open_trial_data

LABELS = ("Beach", "Sunset", "FallFoliage", "Field", "Mountain", "Urban")
NUM_FEATURES = 294
PUBLISHED = {"AN": 0.321, "LL-R": 0.155, "LL-Ct": 0.180, "LL-Cp": 0.148}
STUDY = Path(__file__).parents[1] / "studies" / "scene.yaml"


def write_scene(data_root: Path, file: Path) -> None:
    """Both parts of the data set as one ARFF file."""
    rows = [
        line
        for part in ("train", "test")
        for line in (data_root / f"scene-{part}.arff").read_text().splitlines()
        if line[:1].isdigit()
    ]
    attributes = [f"Att{number} numeric" for number in range(1, NUM_FEATURES + 1)]
    declared = "\n".join(f"@attribute {one}" for one in [*attributes, *(f"{name} {{0,1}}" for name in LABELS)])
    file.write_text(f"@relation 'scene: -C -{len(LABELS)}'\n{declared}\n@data\n" + "\n".join(rows) + "\n")


def study_of_draw(study: Study, folder: Path, draw: int) -> Study:
    """The study with a split and hidden labels of their own."""
    data = study.data.model_copy(
        update={
            "root": str(folder),
            "features": FeatureFiles(file="scene.arff", test_fraction=0.1, seed=draw),
            "observe": study.data.observe.model_copy(update={"seed": draw}),
            "validation": study.data.validation.model_copy(update={"fraction": 1 / 9, "seed": draw}),
        }
    )
    return study.model_copy(update={"data": data})


def losses_of_draw(study: Study) -> dict[str, tuple[float, float]]:
    """Method -> test ranking loss of its best trial, and that trial's rejection rate per epoch."""
    space, data = SearchSpace.from_study(study), open_trial_data(study.data)
    best: dict[str, tuple[float, float, float]] = {}
    for values in space.grid():
        config = space.resolve(study, values)
        trial = TrialTraining(config, data, keep_best=True)
        for _ in range(config.training.total_epochs):
            trial.run_epoch()
        name, rate = config.method.name.value, float(values.get("method.schedule.rate_per_epoch", 0.0))
        loss = trial.test().test_metrics["ranking_loss"]
        best[name] = max(best.get(name, (-1.0, 0.0, 0.0)), (trial.progress.best_val_map, loss, rate))
    return {name: (loss, rate) for name, (_, loss, rate) in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, default=Path("../shared/data/mulan"))
    parser.add_argument("--draws", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    study, started = read_study(STUDY), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        write_scene(arguments.data_root, Path(folder) / "scene.arff")
        draws = [losses_of_draw(study_of_draw(study, Path(folder), draw)) for draw in range(arguments.draws)]
    print(
        f"{len(draws)} draws in {time.perf_counter() - started:.0f} s; test ranking loss, mean and standard deviation"
    )
    for name, published in PUBLISHED.items():
        losses = [draw[name][0] for draw in draws]
        rates = sorted({draw[name][1] for draw in draws})
        better = sum(draw[name][0] < draw["AN"][0] for draw in draws)
        print(
            f"{name:<6} {statistics.fmean(losses):.3f} ({statistics.stdev(losses):.3f})   published {published:.3f}   "
            f"better than AN in {better} draws   rates chosen {', '.join(map(str, rates))}"
        )


if __name__ == "__main__":
    main()
