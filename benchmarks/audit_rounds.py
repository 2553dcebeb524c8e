"""What checked training labels gain in test mAP: three rounds of 100 that the audit asks for, beside 300 random ones.

    python benchmarks/audit_rounds.py --data ../shared/data --draws 5 [--sets Scene]

Labels are hidden and falsified as in `benchmarks/audit.py`, but for the test images (30 %), whose labels are complete.
A round trains three configs in five folds, audits, has the 100 most doubtful labels checked that no earlier round has,
and puts the true ones in. Random labels are drawn among all pairs, unobserved or given, 300 at once. Printed is the
test mAP (percent, classes with a positive; mean of the three configs, each trained on all training images with three
seeds) with the labels as given, and the gain of both, with its standard error over the draws.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from answers import SETS
from audit import EPOCHS, FOLDS, METHODS, given_labels

from wsml_study.data.label_files import FeatureFiles
from wsml_study.inference.label_audit import audited
from wsml_study.inference.out_of_fold import member_of, out_of_fold_scores
from wsml_study.study.data_section import Data, Validation
from wsml_study.study.method_section import Method, Schedule
from wsml_study.study.model_section import Model
from wsml_study.study.spec import TrialConfig
from wsml_study.study.training_section import Training
from wsml_study.training.stacked_heads import FusedTraining, LinearProbeTraining
from wsml_study.training.trial_data import TrialData, open_trial_data

Labels = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float64]

TEST_SHARE, ROUNDS, CHECKED, SEEDS = 0.3, 3, 100, 3


def configs(folder: Path) -> list[TrialConfig]:
    """The three configs on the features and labels of a folder, each with three seeds."""
    data = Data(
        dataset="features",
        root=str(folder),
        features=FeatureFiles(file="x.npy", labels_file="y.npy", test_file="xt.npy", test_labels_file="yt.npy"),
        validation=Validation(fraction=0.02, seed=0, labels="known"),
    )
    return [
        TrialConfig(
            data=data,
            model=Model(backbone="linear"),
            method=Method(name=name, schedule=None if rate is None else Schedule(rate_per_epoch=rate)),
            training=Training(epochs=EPOCHS, batch_size=32, learning_rate=1e-3, mode=None, seed=seed),
        )
        for name, rate in METHODS.items()
        for seed in range(SEEDS)
    ]


def written(parent: Path, given_NC: Labels) -> Path:
    """A new folder with these training labels beside the features; opened data are kept by their folder."""
    folder = Path(tempfile.mkdtemp(dir=parent))
    for name in ("x.npy", "xt.npy", "yt.npy"):
        (folder / name).symlink_to(parent / name)
    np.save(folder / "y.npy", np.where(given_NC == 0, np.nan, given_NC == 1).astype(np.float32))
    return folder


def test_map(folder: Path) -> float:
    """Mean test mAP of the configs after the last epoch, in percent."""
    first, *rest = configs(folder)
    data = open_trial_data(first.data)
    leader = LinearProbeTraining(first, data)
    trials = [leader, *(LinearProbeTraining(one, data, shares_features_with=leader) for one in rest)]
    fused = FusedTraining(trials)
    for _ in range(EPOCHS):
        fused.run_epoch()
    truth_MC = data.test.truth_MC
    shown_C = (truth_MC == 1).any(axis=0)
    found = [
        100 * np.mean([_ap(scores_MC[:, c], truth_MC[:, c]) for c in np.flatnonzero(shown_C)])
        for scores_MC in (trial.evaluation.scores("test").double().numpy() for trial in trials)
    ]
    return float(np.mean(found))


def _ap(scores_M: Floats, truth_M: Labels) -> float:
    from sklearn.metrics import average_precision_score

    known_M = truth_M != 0
    return float(average_precision_score(truth_M[known_M] == 1, scores_M[known_M]))


def most_doubtful(folder: Path, given_NC: Labels, checked_NC: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """(100, 2) rows and classes of the labels to be checked next."""
    data = open_trial_data(configs(folder)[0].data)
    members = [member_of(0, one, EPOCHS) for one in configs(folder)[::SEEDS]]
    found = out_of_fold_scores(members, data, num_folds=FOLDS, device=torch.device("cpu"))
    rows_M = _rows(data, given_NC)
    error_MC = audited(found.logits_KNC, given_NC[rows_M], found.distrusted_NC).error_NC
    error_MC = np.where(checked_NC[rows_M], -1, error_MC)
    places = np.argsort(-error_MC, axis=None, kind="stable")[:CHECKED]
    rows, classes = np.unravel_index(places, error_MC.shape)
    return np.stack([rows_M[rows], classes], axis=1)


def _rows(data: TrialData, given_NC: Labels) -> npt.NDArray[np.int64]:
    """Row of each training image in the files; the few held-out ones are not audited."""
    rows_M = np.array([int(data.train.names_N[row].rpartition("#")[2]) for row in data.train.rows_M])
    assert (given_NC[rows_M] == data.train.observed_MC).all()
    return rows_M


def gains(features_ND: Floats, truth_NC: Labels, kind: str, draw: int) -> tuple[float, float, float]:
    """Test mAP with the given labels, and the gains of audited and of random checks."""
    random = np.random.RandomState(draw)
    order = random.permutation(len(truth_NC))
    test, train = np.split(order, [round(TEST_SHARE * len(order))])
    truth_MC = truth_NC[train]
    given_MC = given_labels(truth_MC, kind, random)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "x.npy", features_ND[train].astype(np.float32))
        np.save(folder / "xt.npy", features_ND[test].astype(np.float32))
        np.save(folder / "yt.npy", np.where(truth_NC[test] == 0, np.nan, truth_NC[test] == 1).astype(np.float32))
        before = test_map(written(folder, given_MC))
        audited_MC, checked_MC = given_MC.copy(), truth_MC == 0
        for _ in range(ROUNDS):
            for row, c in most_doubtful(written(folder, audited_MC), audited_MC, checked_MC):
                checked_MC[row, c] = True
                audited_MC[row, c] = truth_MC[row, c]
        by_audit = test_map(written(folder, audited_MC))
        random_MC = given_MC.copy()
        known = np.argwhere(truth_MC != 0)
        for row, c in known[random.permutation(len(known))[: ROUNDS * CHECKED]]:
            random_MC[row, c] = truth_MC[row, c]
        by_chance = test_map(written(folder, random_MC))
    return before, by_audit - before, by_chance - before


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the real data")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--sets", nargs="*", default=["VOC photos", "digit scenes", "Scene"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| set | labels | test mAP as given | gain by the audit | gain by random checks |\n|---|---|---|---|---|")
    for name in arguments.sets:
        features_ND, positive_NC = SETS[name][0](arguments.data)
        truth_NC = np.where(np.isnan(positive_NC), 0, np.where(positive_NC == 1, 1, -1)).astype(np.int8)
        some_N = (truth_NC == 1).any(axis=1)
        for kind in ("one positive", "30 % of labels"):
            found = np.array(
                [gains(features_ND[some_N], truth_NC[some_N], kind, draw) for draw in range(arguments.draws)]
            )
            mean, error = found.mean(axis=0), found.std(axis=0, ddof=1) / len(found) ** 0.5
            told = " | ".join(f"{m:+.2f} ({e:.2f})" for m, e in zip(mean[1:], error[1:], strict=True))
            print(f"| {name} | {kind} | {mean[0]:.2f} | {told} |", flush=True)


if __name__ == "__main__":
    main()
