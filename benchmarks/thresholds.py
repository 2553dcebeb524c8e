"""Do thresholds have the wanted precision on images that they were not chosen by, and do the stated intervals hold?

    python benchmarks/thresholds.py models/voc/seed_0 --images 400      a model's own validation and test images
    python benchmarks/thresholds.py --simulated                         scores whose precision is known exactly

Images of a model that it was not trained on are split at random: by the first ones thresholds and calibration are
chosen, the others are held out. Simulated scores are normal, those of positives moved by `shift`. Beside ours: the
lowest threshold that has the precision on the images it is chosen by, judged on these. `met` is the share of thresholds
whose true precision is the target or more, `covered` the share whose true precision lies in the stated 95 % interval.
On held-out images the precision itself is measured on few images: `not refuted` is the share whose 95 % interval there
reaches the target.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import norm

from wsml_study.data.label_states import POSITIVE, UNOBSERVED
from wsml_study.inference.annotated_images import annotated_images
from wsml_study.inference.calibration import apply, calibrate, calibration_error, log_loss
from wsml_study.inference.evaluation import logits_of_images
from wsml_study.inference.model import load_model
from wsml_study.inference.threshold_choice import Chosen, choose, clopper_pearson
from wsml_study.record.decision_rules import Target

SIMULATED = ((20, 200, 3.0), (20, 500, 3.0), (40, 500, 2.5), (40, 500, 3.5), (150, 1000, 2.5), (400, 4000, 2.5))
"""Positives, images, shift."""


def naive(scores: np.ndarray, truth: np.ndarray, precision: float) -> tuple[float, float] | None:
    """The lowest threshold with this precision on the same images, and the precision there."""
    order = np.argsort(-scores)
    on_them = np.cumsum(truth[order]) / np.arange(1, len(truth) + 1)
    places = np.flatnonzero(on_them >= precision)
    return (float(scores[order][places[-1]]), float(on_them[places[-1]])) if len(places) else None


def simulated(precision: float, draws: int) -> None:
    rows = []
    for num_positives, num_images, shift in SIMULATED:
        random = np.random.RandomState(0)
        truth = np.arange(num_images) < num_positives
        share = num_positives / num_images

        def true_precision(threshold: float, share: float = share, shift: float = shift) -> float:
            right, wrong = share * norm.sf(threshold - shift), (1 - share) * norm.sf(threshold)
            return right / (right + wrong)

        for _ in range(draws):
            scores = random.randn(num_images) + shift * truth
            found, plain = choose(scores, truth, Target(precision=precision)), naive(scores, truth, precision)
            row = {"positives": num_positives, "images": num_images, "shift": shift, "none": isinstance(found, str)}
            if isinstance(found, Chosen):
                true = true_precision(found.threshold)
                row |= {"stated": found.precision.value, "true": true, "met": true >= precision}
                row |= {"covered": found.precision.low <= true <= found.precision.high}
                row |= {"recall stated": found.recall.value, "recall true": norm.sf(found.threshold - shift)}
            if plain is not None:
                row |= {"naive stated": plain[1], "naive true": true_precision(plain[0])}
            rows.append(row)
    print(pd.DataFrame(rows).groupby(["positives", "images", "shift"]).mean().round(3).to_string())


def on_held_out(folder: Path, precision: float, draws: int, num_images: int) -> None:
    model = load_model(folder, device="cpu")
    parts = [annotated_images(model, None, split=split) for split in ("validation", "test")]
    logits = np.concatenate([logits_of_images(model, part).double().numpy() for part in parts])
    labels = np.concatenate([part.labels_MC for part in parts])
    rows, calibrations = [], []
    for draw in range(draws):
        order = np.random.RandomState(draw).permutation(len(labels))
        given, held_out = order[:num_images], order[num_images:]
        calibrations.append(_calibration(logits, labels, given, held_out))
        for c, name in enumerate(model.classes):
            rows += _of_class(name, logits[:, c], labels[:, c], given, held_out, precision)
    found = pd.DataFrame(rows)
    print(found.groupby("class").mean().round(3).to_string())
    print(found.drop(columns="class").mean().round(3).to_string())
    print(pd.DataFrame(calibrations).mean().round(4).to_string())


def _of_class(
    name: str, logits: np.ndarray, labels: np.ndarray, given: np.ndarray, held_out: np.ndarray, precision: float
) -> list[dict[str, float | str]]:
    given, held_out = (rows[labels[rows] != UNOBSERVED] for rows in (given, held_out))
    truth = labels == POSITIVE
    found = choose(logits[given], truth[given], Target(precision=precision))
    if isinstance(found, str):
        return []
    yes = logits[held_out] >= found.threshold
    if not yes.any():
        return []
    there = clopper_pearson(truth[held_out][yes].sum(), yes.sum())
    row = {"class": name, "positives": truth[given].sum(), "stated": found.precision.value, "held out": there.value}
    row |= {"met": there.value >= precision, "not refuted": there.high >= precision}
    row |= {"covered": found.precision.low <= there.value <= found.precision.high}
    row |= {"recall stated": found.recall.value, "recall held out": truth[held_out][yes].sum() / truth[held_out].sum()}
    plain = naive(logits[given], truth[given], precision)
    assert plain is not None
    of_plain = logits[held_out] >= plain[0]
    return [row | {"naive stated": plain[1], "naive held out": truth[held_out][of_plain].mean()}]


def _calibration(
    logits: np.ndarray, labels: np.ndarray, given: np.ndarray, held_out: np.ndarray
) -> dict[str, float | str]:
    found = calibrate(logits[given], labels[given])
    known = labels[held_out] != UNOBSERVED
    truth = labels[held_out][known] == POSITIVE
    calibrated = np.stack([apply(curve, logits[held_out, c]) for c, curve in enumerate(found.curves_C)], axis=1)[known]
    before = expit(logits[held_out])[known]
    return {
        "log loss before": log_loss(before, truth),
        "log loss after": log_loss(calibrated, truth),
        "log loss stated": found.quality.log_loss,
        "calibration error before": calibration_error(before, truth),
        "calibration error after": calibration_error(calibrated, truth),
    } | {f"kept {kind}": found.quality.kind == kind for kind in found.quality.log_loss_by_kind}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", help="folder of a trained model")
    parser.add_argument("--simulated", action="store_true")
    parser.add_argument("--precision", type=float, default=0.9)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--images", type=int, default=400, help="to choose by")
    arguments = parser.parse_args()
    start = time.perf_counter()
    if arguments.simulated:
        simulated(arguments.precision, arguments.draws)
    elif arguments.model is not None:
        on_held_out(arguments.model, arguments.precision, arguments.draws, arguments.images)
    else:
        parser.error("give a model, or --simulated")
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
