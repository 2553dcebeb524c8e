"""How well trials are chosen by partial validation labels, without answers and with a person's, beside complete labels.

    python benchmarks/answers.py --data ../shared/data
    python benchmarks/answers.py --data ../shared/data --answers

Heads of 24 configs are trained on given features (VOC 2007 photos by MobileNetV2, digit scenes by random features,
Scene) with hidden labels: one positive per image, drawn uniformly or by class frequency, or a share of all labels.
Validation labels are hidden by the same draw. Each criterion ranks the configs by its mAP; printed are, against mAP on
complete labels: regret (points of true mAP that its choice loses), Kendall's tau, and how far its mAP of the chosen
config is off. Classes with ten true validation positives or more count.

With `--answers`, complete labels play the person, who is asked in batches up to 25, 50, 100, 200 and 400 answers; once
one who is wrong in 5 % of the answers. Printed are regret, tau, coverage of the 90 % interval and its width.

Shapes: K configs, M validation images, C classes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit, ndtri
from scipy.stats import kendalltau

from wsml_study.data.digit_scenes import read_digit_scenes, render_scenes
from wsml_study.data.label_files import FeatureFiles
from wsml_study.results.answered_scores import answered_figures, pairs_to_ask
from wsml_study.study.data_section import Data, Observe, Validation
from wsml_study.study.method_section import Method, Schedule
from wsml_study.study.model_section import Model
from wsml_study.study.spec import TrialConfig
from wsml_study.study.training_section import Training
from wsml_study.training.frozen_features import with_frozen_features
from wsml_study.training.stacked_heads import FusedTraining, LinearProbeTraining
from wsml_study.training.trial_data import SplitName, TrialData, open_trial_data

Array = npt.NDArray[np.float64]

DRAWS: dict[str, dict[str, Any]] = {
    "one positive": {"positives": 1, "negatives": 0},
    "one, by frequency": {"positives": 1, "negatives": 0, "bias": 1.0},
    "30 % of labels": {"share": 0.3},
}
METHODS: tuple[tuple[str, dict[str, Any], float | None, float], ...] = (
    *(("AN", {}, None, rate) for rate in (3e-4, 1e-3, 3e-3)),
    *(("WAN", {"negative_weight": weight}, None, 1e-3) for weight in (0.05, 0.2, 0.5)),
    *(("LSAN", {"smoothing": smoothing}, None, 1e-3) for smoothing in (0.1, 0.3)),
    *(("EM", {"entropy_weight": weight}, None, 1e-3) for weight in (0.1, 0.3)),
    ("ASL", {}, None, 1e-3),
    ("Hill", {}, None, 1e-3),
    ("SPLC", {"warmup_epochs": 3}, None, 1e-3),
    *((name, {}, rate, 1e-3) for name in ("LL-R", "LL-Ct", "LL-Cp") for rate in (0.002, 0.008, 0.03)),
    *((name, {}, 0.008, 3e-3) for name in ("LL-R", "LL-Ct")),
)
EPOCHS, BATCH_SIZE, LEAST_POSITIVES = 8, 32, 10
EM_STEPS, SAMPLES = 12, 8
NUM_ANSWERS = (0, 25, 50, 100, 200, 400)


def voc_photos(folder: Path) -> tuple[Array, Array]:
    """MobileNetV2 features (N, 1280) and labels (N, 20), NaN where an object is difficult."""
    return photo_features(folder, dataset="voc2007", root=str(folder / "VOCdevkit" / "VOC2007"))


def coco_mini(folder: Path) -> tuple[Array, Array]:
    """MobileNetV2 features (352, 1280) and labels (352, 80)."""
    return photo_features(folder, dataset="coco2017", root=str(folder / "coco2017_mini"))


def photo_features(folder: Path, **dataset: str) -> tuple[Array, Array]:
    """Features and complete labels of the photos of all splits, at 128 pixels."""
    data = Data(image_size=128, observe=Observe(positives="all", negatives="all"), **dataset)
    opened = open_trial_data(data)
    weights = str(folder / "weights" / "mobilenet_v2-b0353104.pth")
    model = Model(backbone="mobilenet_v2", weights=weights)
    parts = [with_frozen_features(part, model, torch.device("cpu")) for part in (opened.train, opened.test)]
    labels = np.concatenate([opened.train.truth_MC, opened.validation.truth_MC, opened.test.truth_MC])
    # The features are those of all rows of the split, whichever of them are held out.
    rows_N = np.concatenate([opened.train.rows_M, opened.validation.rows_M])
    features = np.concatenate([parts[0].features_ND[rows_N], parts[1].features_ND])
    return features, np.where(labels == 0, np.nan, labels == 1)


def digit_scenes(folder: Path) -> tuple[Array, Array]:
    """Random rectified features (1500, 600) of the training scenes and labels (1500, 10)."""
    truth_NC = read_digit_scenes().train.labels_NC
    pixels_NP = render_scenes("train", len(truth_NC)).reshape(len(truth_NC), -1) / 255.0
    random = np.random.RandomState(0)
    projected_ND = (pixels_NP - pixels_NP.mean(0)) @ random.randn(pixels_NP.shape[1], 600) / pixels_NP.shape[1] ** 0.5
    return np.maximum(projected_ND, 0), (truth_NC == 1).astype(float)


def scene(folder: Path) -> tuple[Array, Array]:
    """The given features (2407, 294) and labels (2407, 6) of Scene."""
    parts = [folder / "mulan" / f"scene-{part}.arff" for part in ("train", "test")]
    lines = [line.split(",") for part in parts for line in part.read_text().splitlines() if line[:1].isdigit()]
    table = np.array(lines, dtype=float)
    return table[:, :294], table[:, 294:]


SETS: dict[str, tuple[Callable[[Path], tuple[Array, Array]], float]] = {
    "VOC photos": (voc_photos, 0.5),
    "VOC photos, few": (voc_photos, 0.1),
    "digit scenes": (digit_scenes, 0.4),
    "Scene": (scene, 0.4),
    "COCO mini": (coco_mini, 0.5),
}
"""How to get features and labels, and the fraction that validates."""


def configs_of(folder: Path, fraction: float, observe: dict[str, Any], draw: int) -> list[TrialConfig]:
    """The configs of one draw of split and hidden labels."""
    data = Data(
        dataset="features",
        root=str(folder),
        features=FeatureFiles(file="x.npy", labels_file="y.npy", test_fraction=0.02, seed=0),
        observe=Observe(seed=draw, **observe),
        validation=Validation(fraction=fraction, seed=draw, labels="clean"),
    )
    return [
        TrialConfig(
            data=data,
            model=Model(backbone="linear"),
            method=Method(name=name, schedule=None if rate is None else Schedule(rate_per_epoch=rate), **options),
            training=Training(epochs=EPOCHS, batch_size=BATCH_SIZE, learning_rate=learning_rate, mode=None),
        )
        for name, options, rate, learning_rate in METHODS
    ]


def trained(configs: list[TrialConfig]) -> tuple[list[LinearProbeTraining], TrialData]:
    """Heads after their last epoch, trained together."""
    data = open_trial_data(configs[0].data)
    first = LinearProbeTraining(configs[0], data)
    trials = [first, *(LinearProbeTraining(one, data, shares_features_with=first) for one in configs[1:])]
    fused = FusedTraining(trials)
    for _ in range(EPOCHS):
        fused.run_epoch()
    return trials, data


def scores_of(trials: list[LinearProbeTraining], split: SplitName) -> Array:
    """Logits (K, M, C) of a split's images."""
    return np.stack([trial.evaluation.scores(split).double().numpy() for trial in trials])


def trained_scores(configs: list[TrialConfig]) -> tuple[Array, TrialData]:
    """Logits (K, M, C) of the validation images after the last epoch."""
    trials, data = trained(configs)
    return scores_of(trials, "validation"), data


def soft_ap(scores_MC: Array, positive_MC: Array, known_MC: Array | None = None) -> Array:
    """AP (C,) on probabilities of being positive: expected precision at each image, weighted by its own probability."""
    left_out_MC = np.zeros_like(positive_MC) if known_MC is None else 1 - known_MC
    order_MC = np.argsort(-scores_MC, axis=0, kind="stable")
    sorted_MC = np.take_along_axis(positive_MC * (1 - left_out_MC), order_MC, 0)
    rank_MC = np.cumsum(1 - np.take_along_axis(left_out_MC, order_MC, 0), axis=0)
    above_MC = np.cumsum(sorted_MC, axis=0) - sorted_MC
    precision_MC = (1 + above_MC) / np.maximum(rank_MC, 1)
    return (sorted_MC * precision_MC).sum(0) / np.maximum(sorted_MC.sum(0), 1e-12)


def weighted_ap(scores_MC: Array, observed_MC: Array, propensity_MC: Array) -> Array:
    """(1/n) sum over observed i of (1/e_i) (1 + sum over observed k above i of 1/e_k) / rank_i, n = sum 1/e_i."""
    order_MC = np.argsort(-scores_MC, axis=0, kind="stable")
    weight_MC = np.take_along_axis((observed_MC == 1) / propensity_MC, order_MC, 0)
    above_MC = np.cumsum(weight_MC, axis=0) - weight_MC
    rank_M1 = np.arange(1, len(scores_MC) + 1)[:, None]
    return (weight_MC * (1 + above_MC) / rank_M1).sum(0) / np.maximum(weight_MC.sum(0), 1e-12)


def inferred_ap(scores_MC: Array, observed_MC: Array) -> Array:
    """Inferred AP (Yilmaz and Aslam, 2006): precision at each known positive, estimated from the labels above it."""
    order_MC = np.argsort(-scores_MC, axis=0, kind="stable")
    state_MC = np.take_along_axis(observed_MC, order_MC, 0)
    positive_MC, judged_MC = state_MC == 1, state_MC != 0
    rank_M1 = np.arange(1, len(scores_MC) + 1)[:, None]
    positives_above_MC = np.cumsum(positive_MC, axis=0) - positive_MC
    judged_above_MC = np.cumsum(judged_MC, axis=0) - judged_MC
    # Every image is in the pool, of which the labels are a sample.
    share_MC = (positives_above_MC + 1e-5) / (judged_above_MC + 2e-5)
    precision_MC = 1 / rank_M1 + (rank_M1 - 1) / rank_M1 * share_MC
    return (positive_MC * precision_MC).sum(0) / np.maximum(positive_MC.sum(0), 1)


def propensities(observe: dict[str, Any], positive_MC: Array, frequency_C: Array) -> Array:
    """(M, C) chance that a label is observed if it is positive, by the rule of the draw.

    Args:
        observe: of the study.
        positive_MC: probabilities of being positive.
        frequency_C: expected positives of each class.
    """
    if "share" in observe:
        return np.full_like(positive_MC, observe["share"])
    odds_C = np.maximum(frequency_C, 1e-9) ** observe.get("bias", 0.0)
    # One of the image's positives is kept: its own odds over those of all positives there, itself for sure among them.
    others_MC = (positive_MC * odds_C).sum(1, keepdims=True) - positive_MC * odds_C
    return odds_C / (odds_C + others_MC)


def calibrated(scores_MC: Array, observed_MC: Array, observe: dict[str, Any], *, slope: bool) -> tuple[Array, Array]:
    """Probabilities (M, C) that labels are positive given what was observed, and propensities, of one score per label.

    Expectation maximization: p = sigmoid(a + b * score) by class; an unobserved label is positive with
    p (1 - e) / (1 - p e) where only positives are seen; then a and b are fitted to these targets by Newton steps.
    """
    centred_MC = (scores_MC - scores_MC.mean(0)) / np.maximum(scores_MC.std(0), 1e-9)
    positive_MC, negative_MC = observed_MC == 1, observed_MC == -1
    rate_C = np.clip(2 * positive_MC.mean(0), 1e-3, 0.5)
    b_C = np.full(scores_MC.shape[1], 1.5)
    a_C = np.log(rate_C / (1 - rate_C))
    target_MC = np.zeros_like(scores_MC)
    for _ in range(EM_STEPS):
        p_MC = np.clip(expit(a_C + b_C * centred_MC), 1e-6, 1 - 1e-6)
        known_MC = np.where(positive_MC, 1.0, np.where(negative_MC, 0.0, p_MC))
        e_MC = propensities(observe, known_MC, known_MC.sum(0))
        unseen_MC = p_MC if "share" in observe else p_MC * (1 - e_MC) / np.maximum(1 - p_MC * e_MC, 1e-9)
        target_MC = np.where(positive_MC, 1.0, np.where(negative_MC, 0.0, unseen_MC))
        for _ in range(2):
            p_MC = np.clip(expit(a_C + b_C * centred_MC), 1e-6, 1 - 1e-6)
            weight_MC, error_MC = p_MC * (1 - p_MC), target_MC - p_MC
            w_C, wx_C, wxx_C = ((weight_MC * centred_MC**power).sum(0) for power in (0, 1, 2))
            g0_C, g1_C = error_MC.sum(0), (error_MC * centred_MC).sum(0)
            if not slope:
                a_C = a_C + np.clip(g0_C / (w_C + 1e-6), -1, 1)
                continue
            determinant_C = w_C * wxx_C - wx_C**2 + 1e-6
            a_C = a_C + np.clip((wxx_C * g0_C - wx_C * g1_C) / determinant_C, -1, 1)
            b_C = np.clip(b_C + np.clip((w_C * g1_C - wx_C * g0_C) / determinant_C, -1, 1), 0.1, 8)
    return target_MC, e_MC


def ranks(scores_KMC: Array) -> Array:
    """Mean over configs of the normal score of an image's rank in each class: no config's scale counts more."""
    order = scores_KMC.argsort(1).argsort(1)

    return np.asarray(ndtri((order + 0.5) / scores_KMC.shape[1]).mean(0))


def with_known(positive_MC: Array, observed_MC: Array) -> Array:
    """Probabilities, with 1 and 0 where labels are known."""
    return np.where(observed_MC == 1, 1.0, np.where(observed_MC == -1, 0.0, positive_MC))


def top_labels(reference_MC: Array, observed_MC: Array, expected_C: Array) -> Array:
    """1 for the known positives and the likeliest others, as many as are expected."""
    free_MC = np.where(observed_MC == 0, reference_MC, -np.inf)
    place_MC = (-free_MC).argsort(0).argsort(0)
    wanted_C = np.round(np.maximum(expected_C - (observed_MC == 1).sum(0), 0))
    return np.where(observed_MC == 1, 1.0, (place_MC < wanted_C) & (observed_MC == 0))


def criteria(
    scores_KMC: Array, observed_MC: Array, observe: dict[str, Any], random: np.random.RandomState
) -> Iterator[tuple[str, Callable[[Array], Array] | None]]:
    """Names of the criteria, and what gives AP (C,) of a config's scores; None where a draw does not allow it."""
    seen_MC = (observed_MC == 1).astype(float)
    mean_MC, mean_logit_MC, rank_MC = expit(scores_KMC).mean(0), scores_KMC.mean(0), ranks(scores_KMC)
    yield "observed, the rest negative", lambda scores: soft_ap(scores, seen_MC)
    has_negatives = bool((observed_MC == -1).any())
    known_MC = (observed_MC != 0).astype(float)
    yield "known", (lambda scores: soft_ap(scores, seen_MC, known_MC)) if has_negatives else None
    yield "inferred AP", (lambda scores: inferred_ap(scores, observed_MC)) if has_negatives else None
    by_logit_MC, e_MC = calibrated(mean_logit_MC, observed_MC, observe, slope=True)
    yield "propensity-weighted AP", lambda scores: weighted_ap(scores, observed_MC, e_MC)
    prototype_MC = with_known(mean_MC, observed_MC)
    yield "mean probability", lambda scores: soft_ap(scores, prototype_MC)
    yield "calibrated mean logit", lambda scores: soft_ap(scores, by_logit_MC)
    yield (
        "mean of observed and calibrated logit",
        lambda scores: (soft_ap(scores, seen_MC) + soft_ap(scores, by_logit_MC)) / 2,
    )
    by_observed_K = np.array([soft_ap(scores, seen_MC).mean() for scores in scores_KMC])
    best = np.argsort(-by_observed_K)[: len(scores_KMC) // 3]
    by_best_MC, _ = calibrated(scores_KMC[best].mean(0), observed_MC, observe, slope=True)
    yield "calibrated logit, best third by observed", lambda scores: soft_ap(scores, by_best_MC)
    by_rank_MC, rank_e_MC = calibrated(rank_MC, observed_MC, observe, slope=True)
    yield "calibrated mean rank", lambda scores: soft_ap(scores, by_rank_MC)
    shifted_MC, _ = calibrated(rank_MC, observed_MC, observe, slope=False)
    yield "mean rank, offset fitted alone", lambda scores: soft_ap(scores, shifted_MC)
    drawn = [(random.rand(*by_rank_MC.shape) < by_rank_MC).astype(float) for _ in range(SAMPLES)]
    yield "labels drawn from calibrated", lambda scores: np.mean([soft_ap(scores, one) for one in drawn], axis=0)
    expected_C = (seen_MC / rank_e_MC).sum(0)
    top_MC = top_labels(rank_MC, observed_MC, expected_C)
    yield "likeliest labels as positive", lambda scores: soft_ap(scores, top_MC)
    mixed_MC = (by_rank_MC + seen_MC) / 2
    yield "calibrated mean rank, halved", lambda scores: soft_ap(scores, mixed_MC)


def judged(scores_KMC: Array, data: TrialData, observe: dict[str, Any], draw: int) -> Iterator[tuple[str, Array]]:
    """Regret, tau and error of the level of each criterion."""
    truth_MC, observed_MC = data.validation.truth_MC, data.validation.observed_MC
    counted_C = ((truth_MC == 1).sum(0) >= LEAST_POSITIVES) & ((observed_MC == 1).sum(0) > 0)
    truth_MC, observed_MC, scores_KMC = truth_MC[:, counted_C], observed_MC[:, counted_C], scores_KMC[:, :, counted_C]
    positive_MC, annotated_MC = (truth_MC == 1).astype(float), (truth_MC != 0).astype(float)
    true_K = np.array([100 * soft_ap(scores, positive_MC, annotated_MC).mean() for scores in scores_KMC])
    for name, ap_of in criteria(scores_KMC, observed_MC, observe, np.random.RandomState(draw)):
        if ap_of is None:
            continue
        said_K = np.array([100 * ap_of(scores).mean() for scores in scores_KMC])
        best = int(said_K.argmax())
        yield (
            name,
            np.array([true_K.max() - true_K[best], kendalltau(said_K, true_K)[0], abs(said_K[best] - true_K[best])]),
        )


Asked = Callable[[Array, npt.NDArray[np.int8], npt.NDArray[np.bool_], int, int], list[tuple[int, int]]]


def by_chance(scores_KMC: Array, states_MC: Any, asked_MC: Any, num: int, draw: int) -> list[tuple[int, int]]:
    """Unobserved pairs at random."""
    rng = np.random.default_rng([draw, int(asked_MC.sum())])
    order = np.argsort(np.where((states_MC == 0) & ~asked_MC, rng.random(states_MC.shape), 2), axis=None)[:num]
    return list(zip(*np.unravel_index(order, states_MC.shape), strict=True))


def by_likelihood_and_rank(scores_KMC: Array, states_MC: Any, asked_MC: Any, num: int, _: int) -> list[tuple[int, int]]:
    """Mean probability times the mean of 1 / (rank + 10) over the class's observed positives, three at least."""
    place_KMC = (-scores_KMC).argsort(1, kind="stable").argsort(1, kind="stable")
    use_MC = expit(scores_KMC).mean(0) * (1 / (place_KMC + 10)).mean(0) / np.maximum((states_MC == 1).sum(0), 3)
    order = np.argsort(np.where((states_MC == 0) & ~asked_MC, -use_MC, 1), axis=None, kind="stable")[:num]
    return list(zip(*np.unravel_index(order, states_MC.shape), strict=True))


def by_effect(scores_KMC: Array, states_MC: Any, asked_MC: Any, num: int, draw: int) -> list[tuple[int, int]]:
    """As `wsml-study ask` chooses."""
    counted_C = np.ones(states_MC.shape[1], bool)
    return pairs_to_ask(scores_KMC, states_MC, asked_MC, num=num, counted_C=counted_C, seed=draw)


def with_rest_negative(scores_KMC: Array, states_MC: Any, asked_MC: Any, _: int) -> tuple[Array, Array | None]:
    """mAP (K,) by answers, where all that is neither observed nor answered counts as negative; no draws."""
    kept_MC = (~(asked_MC & (states_MC == 0))).astype(float)
    seen_MC = (states_MC == 1).astype(float)
    return np.array([100 * soft_ap(scores, seen_MC, kept_MC).mean() for scores in scores_KMC]), None


def by_model(scores_KMC: Array, states_MC: Any, asked_MC: Any, draw: int) -> tuple[Array, Array | None]:
    """mAP (K,) as `wsml-study answers` estimates it, and its 90 % interval (2, K)."""
    found = answered_figures(scores_KMC, states_MC, asked_MC, counted_C=np.ones(states_MC.shape[1], bool), seed=draw)
    return found.estimate_K, np.stack([found.low_K, found.high_K])


ANSWERED: dict[str, tuple[Asked, Callable[..., tuple[Array, Array | None]], float]] = {
    "asked at random, the rest negative": (by_chance, with_rest_negative, 0.0),
    "likelihood and rank, the rest negative": (by_likelihood_and_rank, with_rest_negative, 0.0),
    "asked at random, model": (by_chance, by_model, 0.0),
    "ask": (by_effect, by_model, 0.0),
    "ask, 5 % of answers wrong": (by_effect, by_model, 0.05),
}
"""How pairs are chosen, how runs are judged, and which share of the answers is wrong."""


def answered(
    scores_KMC: Array, truth_MC: npt.NDArray[np.int8], observed_MC: npt.NDArray[np.int8], draw: int
) -> Iterator[tuple[str, Array]]:
    """(answers, 5) regret, tau, error of the level, coverage and width of the interval of the chosen config."""
    counted_C = ((truth_MC == 1).sum(0) >= LEAST_POSITIVES) & ((observed_MC == 1).sum(0) > 0)
    truth_MC, observed_MC = truth_MC[:, counted_C], observed_MC[:, counted_C]
    # As studies keep them.
    scores_KMC = scores_KMC[:, :, counted_C].astype(np.float16).astype(np.float32)
    positive_MC, annotated_MC = (truth_MC == 1).astype(float), (truth_MC != 0).astype(float)
    true_K = np.array([100 * soft_ap(scores, positive_MC, annotated_MC).mean() for scores in scores_KMC])
    for name, (pairs_of, figures_of, wrong) in ANSWERED.items():
        rng = np.random.default_rng(draw)
        states_MC, asked_MC, rows = observed_MC.copy(), np.zeros(observed_MC.shape, bool), []
        for num_answers in NUM_ANSWERS:
            num = num_answers - int(asked_MC.sum())
            for pair in pairs_of(scores_KMC, states_MC, asked_MC, num, draw) if num else []:
                asked_MC[pair] = True
                states_MC[pair] = -truth_MC[pair] if rng.random() < wrong else truth_MC[pair]
            said_K, interval_2K = figures_of(scores_KMC, states_MC, asked_MC, draw)
            best = int(said_K.argmax())
            regret, tau = true_K.max() - true_K[best], kendalltau(said_K, true_K)[0]
            low, high = (np.nan, np.nan) if interval_2K is None else interval_2K[:, best]
            covers = np.nan if interval_2K is None else float(low - 1e-6 <= true_K[best] <= high + 1e-6)
            rows.append([regret, tau, said_K[best] - true_K[best], covers, high - low])
        yield name, np.array(rows)


def print_answered(found: dict[str, list[Array]]) -> None:
    """A line per way to ask and figure; a column per number of answers."""
    figures = ("regret", "tau", "level is off by", "coverage", "width")
    print("| | figure | " + " | ".join(map(str, NUM_ANSWERS)) + " |\n|---|---|" + "---|" * len(NUM_ANSWERS))
    for name, draws in found.items():
        mean = np.mean(draws, axis=0)
        for place, figure in enumerate(figures):
            if np.isfinite(mean[:, place]).all():
                print(
                    f"| {name} | {figure} | " + " | ".join(f"{value:.2f}" for value in mean[:, place]) + " |",
                    flush=True,
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--answers", action="store_true", help="with a person's answers; else criteria without any")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.sets:
        make, fraction = SETS[name]
        with tempfile.TemporaryDirectory() as folder:
            features_ND, labels_NC = make(arguments.data)
            np.save(Path(folder) / "x.npy", features_ND.astype(np.float32))
            np.save(Path(folder) / "y.npy", labels_NC.astype(np.float32))
            for kind, observe in DRAWS.items():
                started, found = time.perf_counter(), defaultdict[str, list[Array]](list)
                for draw in range(arguments.draws):
                    scores_KMC, data = trained_scores(configs_of(Path(folder), fraction, observe, draw))
                    truth_MC, observed_MC = data.validation.truth_MC, data.validation.observed_MC
                    of_draw = (
                        answered(scores_KMC, truth_MC, observed_MC, draw)
                        if arguments.answers
                        else judged(scores_KMC, data, observe, draw)
                    )
                    for criterion, figures in of_draw:
                        found[criterion].append(figures)
                seconds = time.perf_counter() - started
                print(f"\n{name}, {kind}: {arguments.draws} draws, {len(METHODS)} configs, {seconds:.0f} s", flush=True)
                if arguments.answers:
                    print_answered(found)
                    continue
                print("| criterion | regret | tau | level off by |\n|---|---|---|---|")
                for criterion, rows in found.items():
                    regret, tau, level = np.nanmean(rows, axis=0)
                    print(f"| {criterion} | {regret:.2f} | {tau:.2f} | {level:.1f} |", flush=True)


if __name__ == "__main__":
    main()
