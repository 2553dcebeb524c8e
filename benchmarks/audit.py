"""How well missing and wrong training labels are found, beside cleanlab on the same out-of-fold budget.

    pip install cleanlab==2.9.0    # into an environment of the benchmark's own
    python benchmarks/audit.py --data ../shared/data --draws 5 [--sets Scene]

Labels of three sets (VOC 2007 photos by MobileNetV2, digit scenes by random features, Scene) are hidden and falsified:
one positive per image is kept, and 2.5 % of these are moved to a class that the image does not show; or 30 % of all
labels are kept, and 2.5 % of these are turned. Three configs in five folds score all images. cleanlab's ranking (the
score per class of `cleanlab.multilabel_classification`, unobserved labels as negative, as its users have to) gets the
mean probability of the same three heads, or that of three seeds of AN, with and without its `adjust_pred_probs`; the
audit gets the three heads. Printed are AP and the precision of the first 500 in one list of missing and wrong labels,
with the mean paired difference to cleanlab's way of the best mean AP, its standard error, and what the audit states of
its first 500.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from answers import SETS
from scipy.special import expit
from sklearn.metrics import average_precision_score

from wsml_study.data.label_files import FeatureFiles
from wsml_study.inference.label_audit import audited
from wsml_study.inference.out_of_fold import Member, member_of, out_of_fold_scores
from wsml_study.study.data_section import Data, Validation
from wsml_study.study.method_section import Method, Schedule
from wsml_study.study.model_section import Model
from wsml_study.study.spec import TrialConfig
from wsml_study.study.training_section import Training
from wsml_study.training.trial_data import open_trial_data

Labels = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float64]

FIRST, FOLDS, EPOCHS, WRONG = 500, 5, 8, 0.025
METHODS = {"LL-R": 0.03, "LL-Ct": 0.008, "Hill": None}


def given_labels(truth_NC: Labels, kind: str, random: np.random.RandomState) -> Labels:
    """Labels that are hidden and partly wrong."""
    given_NC = np.zeros_like(truth_NC)
    if kind == "one positive":
        for given_C, truth_C in zip(given_NC, truth_NC, strict=True):
            given_C[random.choice(np.flatnonzero(truth_C == 1))] = 1
        for row in random.permutation(len(truth_NC))[: round(WRONG * len(truth_NC))]:
            given_NC[row] = 0
            given_NC[row, random.choice(np.flatnonzero(truth_NC[row] == -1))] = 1
        return given_NC
    kept_NC = random.rand(*truth_NC.shape) < 0.3
    given_NC[kept_NC] = truth_NC[kept_NC]
    known = np.argwhere(given_NC != 0)
    turned = known[random.permutation(len(known))[: round(WRONG * len(known))]]
    given_NC[turned[:, 0], turned[:, 1]] *= -1
    return given_NC


def member(folder: Path, name: str, rate: float | None, seed: int) -> Member:
    """A config of a head on the features of a folder."""
    data = Data(
        dataset="features",
        root=str(folder),
        features=FeatureFiles(file="x.npy", labels_file="y.npy", test_fraction=0.02, seed=0),
        validation=Validation(fraction=0.02, seed=0, labels="known"),
    )
    config = TrialConfig(
        data=data,
        model=Model(backbone="linear"),
        method=Method(name=name, schedule=None if rate is None else Schedule(rate_per_epoch=rate)),
        training=Training(epochs=EPOCHS, batch_size=32, learning_rate=1e-3, mode=None, seed=seed),
    )
    return member_of(0, config, EPOCHS)


def scored(features_ND: Floats, given_NC: Labels) -> tuple[Floats, Floats, Floats, npt.NDArray[np.int64]]:
    """Out-of-fold logits of the three configs and of three seeds of AN, what was distrusted, and the images' rows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "x.npy", features_ND.astype(np.float32))
        np.save(folder / "y.npy", np.where(given_NC == 0, np.nan, given_NC == 1).astype(np.float32))
        ours = [member(folder, method, rate, 0) for method, rate in METHODS.items()]
        seeds = [member(folder, "AN", None, seed) for seed in range(3)]
        data = open_trial_data(ours[0].config.data)
        found = out_of_fold_scores([*ours, *seeds], data, num_folds=FOLDS, device=torch.device("cpu"))
        # Names of given features are the numbers of their rows; the two small held-out parts are not audited.
        names = [int("".join(filter(str.isdigit, data.train.names_N[row]))) for row in data.train.rows_M]
    rows = np.array(names)
    if rows.max() >= len(given_NC) or not (given_NC[rows] == data.train.observed_MC).all():
        rows -= 1  # counted from 1
    assert (given_NC[rows] == data.train.observed_MC).all()
    assert found.distrusted_NC is not None
    return found.logits_KNC[:3], found.logits_KNC[3:], found.distrusted_NC, rows


def cleanlab_errors(scores_KNC: Floats, given_NC: Labels, *, adjusted: bool) -> Floats:
    """1 - cleanlab's quality of each label, by plain probabilities or by its adjusted ones."""
    from cleanlab.multilabel_classification.rank import get_label_quality_scores_per_class

    listed = [np.flatnonzero(given_C == 1).tolist() for given_C in given_NC]
    quality_NC: Floats = get_label_quality_scores_per_class(
        listed, expit(scores_KNC).mean(axis=0), adjust_pred_probs=adjusted
    )
    return 1 - quality_NC


def figures(error_NC: Floats, wrong_NC: npt.NDArray[np.bool_], judged_NC: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """AP, and precision of the first 500."""
    doubt, wrong = error_NC[judged_NC], wrong_NC[judged_NC]
    first = np.argsort(-doubt, kind="stable")[:FIRST]
    return float(average_precision_score(wrong, doubt)), float(wrong[first].mean())


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the real data")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--sets", nargs="*", default=["VOC photos", "digit scenes", "Scene"])
    arguments = parser.parse_args()
    print("| set | labels | cleanlab AP, P@500 | audit AP, P@500 | difference (standard error) | stated P@500 |")
    print("|---|---|---|---|---|---|")
    for name in arguments.sets:
        features_ND, positive_NC = SETS[name][0](arguments.data)
        truth_NC = np.where(np.isnan(positive_NC), 0, np.where(positive_NC == 1, 1, -1)).astype(np.int8)
        some_N = (truth_NC == 1).any(axis=1)
        features_ND, truth_NC = features_ND[some_N], truth_NC[some_N]
        for kind in ("one positive", "30 % of labels"):
            ours, theirs, stated = [], [], []
            for draw in range(arguments.draws):
                given_NC = given_labels(truth_NC, kind, np.random.RandomState(draw))
                scores_KNC, of_an_KNC, distrusted_NC, rows = scored(features_ND, given_NC)
                given_MC, truth_MC = given_NC[rows], truth_NC[rows]
                judged_MC = truth_MC != 0
                wrong_MC = np.where(given_MC == 0, truth_MC == 1, given_MC != truth_MC)
                error_MC = audited(scores_KNC, given_MC, distrusted_NC).error_NC
                ours.append(figures(error_MC, wrong_MC, judged_MC))
                stated.append(np.sort(error_MC[judged_MC])[::-1][:FIRST].mean())
                theirs.append(
                    [
                        figures(cleanlab_errors(one, given_MC, adjusted=adjusted), wrong_MC, judged_MC)
                        for one in (scores_KNC, of_an_KNC)
                        for adjusted in (False, True)
                    ]
                )
            better = np.array(theirs)[:, int(np.array(theirs)[:, :, 0].mean(axis=0).argmax())]
            difference = np.array(ours) - better
            error = difference.std(axis=0, ddof=1) / len(difference) ** 0.5
            told = ", ".join(f"{d:+.3f} ({e:.3f})" for d, e in zip(difference.mean(axis=0), error, strict=True))
            means = [", ".join(f"{value:.3f}" for value in one.mean(axis=0)) for one in (better, np.array(ours))]
            print(f"| {name} | {kind} | {means[0]} | {means[1]} | {told} | {np.mean(stated):.3f} |", flush=True)


if __name__ == "__main__":
    main()
