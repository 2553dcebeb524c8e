"""The losses again, in NumPy and float64, entry by entry as the papers' formulas have them.

Each oracle takes the logits z and, apart from them, the logits `stopped` wherever the formula stops gradients or makes
a choice: finite differences in z alone are then the gradients that the formula means.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Example:
    """A batch as an oracle sees it: labels (B, C), hyperparameters, epoch t of T, the method's state of its images."""

    labels: npt.NDArray[np.int8]
    values: dict[str, Any]
    epoch: int
    epochs: int
    state: dict[str, Array] = field(default_factory=dict)
    views: dict[str, Array] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        return self.labels.shape  # type: ignore[return-value]

    def entries(self) -> Iterator[tuple[int, int, int]]:
        """Row, column and label of every entry."""
        for b in range(self.shape[0]):
            for c in range(self.shape[1]):
                yield b, c, int(self.labels[b, c])


def p_of(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def nl(z: float) -> float:
    """-ln p."""
    return max(-z, 0) + math.log1p(math.exp(-abs(z)))


def mean(losses: Array) -> float:
    return float(losses.sum() / losses.size)


def per_entry(example: Example, z: Array, loss: Callable[[float, int], float]) -> Array:
    losses = np.zeros(example.shape)
    for b, c, label in example.entries():
        losses[b, c] = loss(z[b, c], label)
    return losses


def assume_negative(z: Array, stopped: Array, example: Example) -> float:
    return mean(per_entry(example, z, lambda z, y: nl(z) if y == 1 else nl(-z)))


def weak_assume_negative(z: Array, stopped: Array, example: Example) -> float:
    weight = example.values.get("negative_weight", 1 / (example.shape[1] - 1))
    return mean(per_entry(example, z, lambda z, y: nl(z) if y == 1 else nl(-z) * (weight if y == 0 else 1)))


def label_smoothing(z: Array, stopped: Array, example: Example) -> float:
    e = example.values["smoothing"]
    return mean(
        per_entry(example, z, lambda z, y: (1 - e) * nl(z) + e * nl(-z) if y == 1 else (1 - e) * nl(-z) + e * nl(z))
    )


def observed(z: float, y: int) -> float:
    return {1: nl(z), -1: nl(-z), 0: 0.0}[y]


def ignore_unobserved(z: Array, stopped: Array, example: Example) -> float:
    return mean(per_entry(example, z, observed))


def penalty(z: Array, example: Example) -> float:
    per_image = sum(p_of(one) for one in z.flatten()) / example.shape[0]
    return (per_image - example.values["expected_positives"]) ** 2 / example.shape[1] ** 2


def expected_positives(z: Array, stopped: Array, example: Example) -> float:
    return mean(per_entry(example, z, observed)) + penalty(z, example)


def role(z: Array, stopped: Array, example: Example) -> float:
    q = example.state["theta_NC"].copy()
    q[example.labels == 1] = math.log(0.995 / 0.005)
    q[example.labels == -1] = math.log(0.005 / 0.995)
    losses = per_entry(example, z, observed) + per_entry(example, q, observed)
    for b, c, _ in example.entries():
        target, estimate = p_of(q[b, c]), p_of(stopped[b, c])
        losses[b, c] += target * nl(z[b, c]) + (1 - target) * nl(-z[b, c])
        losses[b, c] += estimate * nl(q[b, c]) + p_of(-stopped[b, c]) * nl(-q[b, c])
    return 0.5 * (mean(losses) + penalty(z, example) + penalty(q, example))


def distrusted(stopped: Array, example: Example) -> npt.NDArray[np.bool_]:
    """What the large-loss methods select; the loss of an unobserved label grows with its logit."""
    rate = Fraction(str(example.values["rate_per_epoch"]))
    share = min(rate * (1 if example.values["scheme"] == "LL-Cp" else example.epoch - 1), Fraction(1))  # linear
    candidates = [(float(stopped[b, c]), b, c) for b, c, y in example.entries() if y == 0]
    variant, num_rows, num_classes = example.values["variant"], *example.shape
    selected = np.zeros(example.shape, dtype=bool)
    rows = [[one for one in candidates if one[1] == b] for b in range(num_rows)]
    for group in rows if variant == "per_image" else [candidates]:
        for value, b, c in group:
            num_larger = sum(other > value for other, _, _ in group)
            num_as_large = sum(other >= value for other, _, _ in group)
            num_before = num_larger + sum(other == value and (row, col) < (b, c) for other, row, col in group)
            selected[b, c] = {
                "code": num_before < math.ceil(share * num_rows * num_classes),
                "as_published": num_larger < math.ceil(share * num_rows * num_classes),
                "carried": num_before < math.floor(share * num_rows * num_classes),  # the first batch of an epoch
                "kept": num_before < math.ceil(share * num_rows * num_classes),
                "paper": num_as_large <= math.ceil(share * len(group)),
                "unobserved": num_before < math.ceil(share * len(group)),
                "mlcpl": num_as_large < max(1, round(share * len(group))),  # above the k-th: k - 1 at most are as large
                "per_image": num_before < math.ceil(share * num_classes),
            }[variant]
    return selected


def large_loss(z: Array, stopped: Array, example: Example) -> float:
    selected = distrusted(stopped, example)
    losses = per_entry(example, z, lambda z, y: nl(z) if y == 1 else nl(-z))
    for b, c in np.argwhere(selected):
        losses[b, c] = 0 if example.values["scheme"] == "LL-R" else nl(z[b, c])
    if example.values["scheme"] == "LL-R" and example.values["variant"] == "kept":
        return float(losses.sum() / max(1, (~selected).sum()))
    return mean(losses)


def reduced(losses: Array, example: Example) -> float:
    return float(losses.sum()) if example.values["reduction"] == "sum" else mean(losses)


def asymmetric(z: Array, stopped: Array, example: Example) -> float:
    v, losses = example.values, np.zeros(example.shape)
    focused = stopped if v["focus_gradients"] == "stopped" else z
    for b, c, y in example.entries():
        if y == 1:
            losses[b, c] = p_of(-focused[b, c]) ** v["gamma_positive"] * nl(z[b, c])
        else:
            pm = max(p_of(focused[b, c]) - v["probability_margin"], 0)
            not_pm = min(p_of(-z[b, c]) + v["probability_margin"], 1)
            losses[b, c] = pm ** v["gamma_negative"] * -math.log(not_pm)
    return reduced(losses, example)


def hill(z: Array, stopped: Array, example: Example) -> float:
    v = example.values

    def loss(z: float, y: int) -> float:
        if y == 1:
            return p_of(-(z - v["logit_margin"])) ** v["gamma"] * nl(z - v["logit_margin"])
        return (v["hill_lambda"] - p_of(z)) * p_of(z) ** 2

    return reduced(per_entry(example, z, loss), example)


def splc(z: Array, stopped: Array, example: Example) -> float:
    v, losses = example.values, np.zeros(example.shape)
    for b, c, y in example.entries():
        one = z[b, c] - (v["logit_margin"] if y == 1 else 0)
        likely = y == 0 and example.epoch > v["warmup_epochs"] and p_of(stopped[b, c]) > v["positive_threshold"]
        positive = p_of(-one) ** v["gamma"] * nl(one)
        negative = p_of(one) ** v["gamma"] * nl(-one)
        losses[b, c] = positive if y == 1 or likely else negative
    return reduced(losses, example)


def negative_entropy(z: float) -> float:
    return -(p_of(z) * nl(z) + p_of(-z) * nl(-z))


def entropy_maximization(z: Array, stopped: Array, example: Example) -> float:
    alpha = example.values["entropy_weight"]
    return mean(per_entry(example, z, lambda z, y: observed(z, y) if y else alpha * negative_entropy(z)))


def pseudo_labels(z: Array, stopped: Array, example: Example) -> float:
    alpha, beta = example.values["entropy_weight"], example.values["pseudo_label_weight"]
    losses = per_entry(example, z, lambda z, y: observed(z, y) if y else alpha * negative_entropy(z))
    for b, c, y in example.entries():
        soft = example.state["soft_NC"][b, c]
        if y == 0 and soft >= 0:
            losses[b, c] = beta * (soft * nl(z[b, c]) + (1 - soft) * nl(-z[b, c]))
    return mean(losses)


def label_enhancement(z: Array, stopped: Array, example: Example) -> float:
    enhanced, losses = example.state["enhanced_NC"], np.zeros(example.shape)
    for b, c, y in example.entries():
        losses[b, c] = nl(z[b, c]) if y == 1 or (y == 0 and enhanced[b, c]) else nl(-z[b, c])
    return mean(losses)


def generalized_robust(z: Array, stopped: Array, example: Example) -> float:
    v, passed, passing = example.values, (example.epoch - 1) / example.epochs, example.epoch / example.epochs

    def at(name: str, share: float) -> float:
        return v[f"gr_{name}_first"] + (v[f"gr_{name}_last"] - v[f"gr_{name}_first"]) * share

    def box_cox(z: float, q: float) -> float:
        return nl(z) if q == 0 else (1 - math.exp(-q * nl(z))) / q

    losses = per_entry(example, z, observed)
    for b, c, y in example.entries():
        if y == 0:
            p = p_of(stopped[b, c])
            k = 1 / (1 + math.exp(-(at("w", passed) * p + at("b", passed))))
            weight = math.exp(-(((p - at("mu", passing)) / at("sigma", passing)) ** 2) / 2)
            losses[b, c] = weight * (k * box_cox(z[b, c], v["gr_q2"]) + (1 - k) * box_cox(-z[b, c], v["gr_q3"]))
    return mean(losses)


def vlpl(z: Array, stopped: Array, example: Example) -> float:
    v, given = example.values, example.state["given_NC"]
    losses = per_entry(example, z, lambda z, y: observed(z, y) if y else v["entropy_weight"] * negative_entropy(z))
    for b, c, y in example.entries():
        if y == 0 and given[b, c] == 1:
            losses[b, c] = v["given_positive_weight"] * (0.9 * nl(z[b, c]) + 0.1 * nl(-z[b, c]))
    return mean(losses)


def gpr(z: Array, stopped: Array, example: Example) -> float:
    v, given, rest = example.values, example.state["given_NC"], example.epoch / example.epochs
    mu = v["gr_mu_first"] + (v["gr_mu_last"] - v["gr_mu_first"]) * rest
    sigma = v["gr_sigma_first"] + (v["gr_sigma_last"] - v["gr_sigma_first"]) * rest
    as_gr = generalized_robust(z, stopped, example) * z.size
    for b, c, y in example.entries():
        if y == 0 and given[b, c] != 0:
            alone = Example(
                labels=example.labels[b : b + 1, c : c + 1], values=v, epoch=example.epoch, epochs=example.epochs
            )
            as_gr -= generalized_robust(z[b : b + 1, c : c + 1], stopped[b : b + 1, c : c + 1], alone)
            trust = math.exp(-(((p_of(stopped[b, c]) - mu) / sigma) ** 2) / 2)
            if given[b, c] == 1:
                clipped = min(max(trust, 1 - v["given_most_weight"]), 1 - v["given_least_weight"])
                as_gr += (1 - clipped) * (v["given_softness"] * nl(z[b, c]) + (1 - v["given_softness"]) * nl(-z[b, c]))
            else:
                as_gr += trust * nl(-z[b, c])
    return as_gr / z.size + v["penalty_weight"] * penalty(z, example)


def selective(z: Array, stopped: Array, example: Example) -> float:
    v, losses = example.values, np.zeros(example.shape)
    unobserved = [(float(stopped[b, c]), b, c) for b, c, y in example.entries() if y == 0]
    for b, c, y in example.entries():
        common = y == 0 and example.state["prior_C"][c] > v["prior_threshold"]
        num_before = sum(
            other > stopped[b, c] or (other == stopped[b, c] and (row, col) < (b, c)) for other, row, col in unobserved
        )
        likely = y == 0 and num_before < v["likely_per_image"] * example.shape[0]
        if y == 1:
            losses[b, c] = p_of(-stopped[b, c]) ** v["gamma_positive"] * nl(z[b, c])
        elif not (common or likely):
            pm = max(p_of(stopped[b, c]) - v["probability_margin"], 0)
            gamma = v["gamma_unobserved"] if y == 0 else v["gamma_negative"]
            focus = pm**gamma if pm > 0 else 0
            losses[b, c] = focus * -math.log(min(p_of(-z[b, c]) + v["probability_margin"], 1))
    return reduced(losses, example)


def view_consistency(z: Array, stopped: Array, example: Example) -> float:
    v, strong, terms = example.values, example.views["strong"], []
    for b, c, y in example.entries():
        p = p_of(stopped[b, c])
        if y == 1 or (y == 0 and p >= v["consistency_threshold"]):
            terms.append(nl(strong[b, c]))
        elif y == -1 or p < 1 - v["consistency_threshold"]:
            terms.append(nl(-strong[b, c]))
    consistency = sum(terms) / len(terms) if terms else 0
    return assume_negative(z, stopped, example) + v["consistency_weight"] * consistency


def information_gap(z: Array, stopped: Array, example: Example) -> float:
    v, strong, masked = example.values, example.views["strong"], example.views["masked"]
    m, positives = v["gap_momentum"], [(b, c) for b, c, y in example.entries() if y == 1]
    gap, level = float(example.state["gap_1"][0]), m * example.state["logit_C"] + (1 - m) * stopped.mean(axis=0)
    if positives:
        gap = m * gap + (1 - m) * sum(abs(stopped[e] - masked[e]) for e in positives) / len(positives)
    kept = []
    for b, c, y in example.entries():
        far = abs(stopped[b, c] - masked[b, c]) > gap and stopped[b, c] > level[c]
        if y != 0 or example.epoch <= v["warmup_epochs"] or not far:
            kept.append(nl(strong[b, c]) if y == 1 else nl(-strong[b, c]))
    of_positives = sum(nl(z[e]) for e in positives) / max(1, len(positives))
    apart = mean((strong - z) ** 2)
    return sum(kept) / max(1, len(kept)) + v["positive_weight"] * of_positives + v["consistency_weight"] * apart


def crisp(z: Array, stopped: Array, example: Example) -> float:
    priors, rarity = example.state["prior_C"], example.state["images_per_positive_C"]
    num_images, num_classes = example.shape
    losses = []
    for c in range(num_classes):
        if priors[c] == -1:
            losses.append(sum(nl(z[b, c]) if example.labels[b, c] == 1 else nl(-z[b, c]) for b in range(num_images)))
            losses[c] /= num_images
            continue
        missed = sum(1 - p_of(z[b, c]) for b in range(num_images) if example.labels[b, c] == 1)
        difference = sum(p_of(one) for one in z[:, c]) / num_images - priors[c]
        losses.append(2 * priors[c] * rarity[c] * missed / num_images + abs(difference))
    return sum(losses) / (num_classes if example.values["reduction"] == "mean" else 1)


def positive_unlabelled(z: Array, stopped: Array, example: Example) -> float:
    v, losses = example.values, []
    for c in range(example.shape[1]):
        temperature = min(max(v["pu_temperature"] * float(np.std(stopped[:, c])), 0.01), 1)
        mean_f = sum(p_of(one / temperature) for one in z[:, c]) / example.shape[0]
        weight = (sum(p_of(one / temperature) for one in stopped[:, c]) / example.shape[0]) ** v["pu_rebalance"]
        missed = [nl(z[b, c] / temperature) for b in range(example.shape[0]) if example.labels[b, c] == 1]
        losses.append(weight * math.log(mean_f) + (sum(missed) / len(missed) if missed else 0))
    return sum(losses) / (example.shape[1] if v["reduction"] == "mean" else 1)


ORACLES: dict[str, Callable[[Array, Array, Example], float]] = {
    "AN": assume_negative,
    "full": assume_negative,
    "WAN": weak_assume_negative,
    "LSAN": label_smoothing,
    "IU": ignore_unobserved,
    "EPR": expected_positives,
    "ROLE": role,
    "LL-R": large_loss,
    "LL-Ct": large_loss,
    "LL-Cp": large_loss,
    "ASL": asymmetric,
    "Hill": hill,
    "SPLC": splc,
    "EM": entropy_maximization,
    "EM+APL": pseudo_labels,
    "GR": generalized_robust,
    "CSL": selective,
    "CRISP": crisp,
    "PU-MLC": positive_unlabelled,
    "VLPL": vlpl,
    "GPR": gpr,
    "MIME": label_enhancement,
    "PLC": view_consistency,
    "IGNORE": information_gap,
}
