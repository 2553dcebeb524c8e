"""Thresholds for a wanted precision by half-labelled validation images and a person's answers, on other images.

    python benchmarks/answered_thresholds.py --data ../shared/data --draws 4 --precision 0.8

Heads of the configs of `benchmarks/answers.py` are trained on given features with hidden labels. Complete labels play
the person, who is asked what the trials leave open. Thresholds of the config that is best by the answers are chosen
from complete validation labels, from the known ones alone (given and answered), and from completions drawn by the
trials and the answers (`thresholds --answers`). Printed are classes with a threshold, and on test images, which nobody
has labelled, the precision of all decisions and its mean over classes, the recall, the precision that was stated, and
the share of classes whose precision is in the stated 95 % interval. Classes with 25 positives among the validation
images count.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from answers import DRAWS, SETS, configs_of, scores_of, trained
from scipy.special import logit

from wsml_study.data.label_files import FeatureFiles
from wsml_study.inference.answered_thresholds import rules_by_answers
from wsml_study.inference.threshold_choice import Chosen, choose
from wsml_study.record.decision_rules import Origin, Target
from wsml_study.results.answered_scores import answered_figures, drawn_labels, pairs_to_ask
from wsml_study.results.completed_labels import NUM_DRAWS, CompletedLabels
from wsml_study.study.spec import TrialConfig

Array = npt.NDArray[np.float64]
States = npt.NDArray[np.int8]

TEST_SHARE, VALIDATION_SHARE, LEAST_POSITIVES, BATCH = 0.4, 0.5, 25, 50
NUM_ANSWERS = (0, 100, 200, 400)
ORIGIN = Origin(command="", date="", wsml_study="", data="", num_images=1, data_fingerprint="", weights="")


class Decided(NamedTuple):
    """A class's decisions on the test images, and what was stated of them."""

    yes: int
    right: int
    positives: int
    stated: float
    low: float
    high: float


def decided(logits_M: Array, truth_M: States, threshold: float, stated: Chosen | tuple[float, float, float]) -> Decided:
    """Decisions of a class by a threshold on the logits."""
    yes_M = logits_M >= threshold
    value, low, high = (
        (stated.precision.value, stated.precision.low, stated.precision.high) if isinstance(stated, Chosen) else stated
    )
    right = int((truth_M[yes_M] == 1).sum())
    return Decided(int(yes_M.sum()), right, int((truth_M == 1).sum()), value, low, high)


def of_draw(configs: list[TrialConfig], target: Target, draw: int) -> dict[tuple[str, int], list[Decided | None]]:
    """Decisions of each class by each way to choose and number of answers; None for a class without a threshold."""
    trials, data = trained(configs)
    scores_KMC, test_KMC = scores_of(trials, "validation"), scores_of(trials, "test")
    truth_MC, observed_MC = data.validation.truth_MC, data.validation.observed_MC
    counted_C = ((truth_MC == 1).sum(0) >= LEAST_POSITIVES) & ((observed_MC == 1).sum(0) > 0)
    truth_MC, states_MC = truth_MC[:, counted_C], observed_MC[:, counted_C].copy()
    test_MC, test_KMC = data.test.truth_MC[:, counted_C], test_KMC[:, :, counted_C]
    scores_KMC = scores_KMC[:, :, counted_C].astype(np.float16).astype(np.float32)  # as studies keep them
    asked_MC, every_C = np.zeros(states_MC.shape, bool), np.ones(states_MC.shape[1], bool)
    found = defaultdict[tuple[str, int], list[Decided | None]](list)
    for num_answers in NUM_ANSWERS:
        while (num := num_answers - int(asked_MC.sum())) > 0:
            pairs = pairs_to_ask(scores_KMC, states_MC, asked_MC, num=min(BATCH, num), counted_C=every_C, seed=draw)
            for pair in pairs:
                asked_MC[pair], states_MC[pair] = True, truth_MC[pair]
            if not pairs:
                break
        figures = answered_figures(scores_KMC, states_MC, asked_MC, counted_C=every_C, seed=draw)
        best = int(figures.estimate_K.argmax())
        logits_MC, new_MC = scores_KMC[best].astype(np.float64), test_KMC[best]
        labels = CompletedLabels(
            names=tuple(map(str, range(len(states_MC)))),
            classes=tuple(map(str, range(len(every_C)))),
            states_MC=states_MC,
            left_out_MC=asked_MC & (states_MC == 0),
            counted_C=every_C,
            positive_SMC=drawn_labels(scores_KMC, states_MC, asked_MC, counted_C=every_C, num=NUM_DRAWS, seed=draw),
            num_answers=int(asked_MC.sum()),
        )
        for c, rule in enumerate(rules_by_answers(logits_MC, labels, target, origin=ORIGIN).classes):
            precision = rule.precision
            found["completions", num_answers].append(
                None
                if rule.threshold is None or precision is None
                else decided(
                    new_MC[:, c],
                    test_MC[:, c],
                    float(logit(rule.threshold)),
                    (precision.value, precision.low, precision.high),
                )
            )
        for name, by_MC in (("known labels", states_MC), *([("complete labels", truth_MC)] if not num_answers else [])):
            for c in range(len(every_C)):
                known_M = by_MC[:, c] != 0
                both = {1, -1} <= set(by_MC[known_M, c].tolist())
                chosen = choose(logits_MC[known_M, c], by_MC[known_M, c] == 1, target) if both else ""
                found[name, num_answers].append(
                    decided(new_MC[:, c], test_MC[:, c], chosen.threshold, chosen)
                    if isinstance(chosen, Chosen)
                    else None
                )
    return found


def row(name: str, found: list[Decided | None]) -> str:
    """A line of the table."""
    some = np.array([one for one in found if one is not None])
    if not len(some):
        return f"| {name} | 0 of {len(found)} | - | - | - | - |"
    yes, right, positives = some[:, 0], some[:, 1], some[:, 2]
    precision = np.divide(right, yes, out=np.full(len(some), np.nan), where=yes > 0)
    overall, mean = right.sum() / max(1, yes.sum()), np.nanmean(precision)
    held = np.nanmean((precision >= some[:, 4] - 1e-9) & (precision <= some[:, 5] + 1e-9))
    return (
        f"| {name} | {len(some)} of {len(found)} | {overall:.3f} ({mean:.3f}) | "
        f"{right.sum() / positives.sum():.2f} | {some[:, 3].mean():.3f} | {held:.2f} |"
    )


def main() -> None:
    """Print a table per set and draw of labels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the real data")
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--precision", type=float, default=0.8)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    target = Target(precision=arguments.precision)
    for name in arguments.sets:
        with tempfile.TemporaryDirectory() as folder:
            features_ND, labels_NC = SETS[name][0](arguments.data)
            np.save(Path(folder) / "x.npy", features_ND.astype(np.float32))
            np.save(Path(folder) / "y.npy", labels_NC.astype(np.float32))
            files = FeatureFiles(file="x.npy", labels_file="y.npy", test_fraction=TEST_SHARE, seed=0)
            for kind, observe in DRAWS.items():
                found = defaultdict[tuple[str, int], list[Decided | None]](list)
                for draw in range(arguments.draws):
                    configs = [
                        one.model_copy(update={"data": one.data.model_copy(update={"features": files})})
                        for one in configs_of(Path(folder), VALIDATION_SHARE, observe, draw)
                    ]
                    for key, classes in of_draw(configs, target, draw).items():
                        found[key] += classes
                print(f"\n{name}, {kind}, {target}, {arguments.draws} draws")
                print("| chosen by | classes | precision (mean of classes) | recall | stated | in interval |")
                print("|---|---|---|---|---|---|")
                for (way, num_answers), classes in sorted(found.items()):
                    answers = "" if way == "complete labels" else f", {num_answers} answers"
                    print(row(f"{way}{answers}", classes), flush=True)


if __name__ == "__main__":
    main()
