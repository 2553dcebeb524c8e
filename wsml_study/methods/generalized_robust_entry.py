"""Record of GR: name, formula, options."""

from __future__ import annotations

from wsml_study.methods.method_record import MethodRecord
from wsml_study.options import FRACTION, Limits, Option


def course(key: str, symbol: str, meaning: str, default: float, low: float, high: float) -> Option:
    """Option of a number of the loss, searched between low and high."""
    return Option(
        key=key,
        limits=_LIMITS[key.split("_")[1]],
        symbol=symbol,
        meaning=meaning,
        default=default,
        search=f"{{float: {{low: {low}, high: {high}}}}}",
    )


_ANY = Limits(least=-100, most=100)
_LIMITS = {"w": _ANY, "b": _ANY, "mu": _ANY, "sigma": Limits(least=1e-3), "q2": FRACTION, "q3": Limits(most=2)}

OPTIONS_OF_GR = (
    course("gr_w_first", "w(0)", "slope of K over p at the start", 0.0, 0.0, 2.0),
    course("gr_w_last", "w(T)", "slope of K over p at the end", 2.0, 0.0, 8.0),
    course("gr_b_first", "b(0)", "offset of K at the start", -2.0, -6.0, 0.0),
    course("gr_b_last", "b(T)", "offset of K at the end", -2.0, -6.0, 0.0),
    course("gr_mu_first", "mu(0)", "p of the largest V at the start", 0.5, 0.0, 1.0),
    course("gr_mu_last", "mu(T)", "p of the largest V at the end", 0.8, 0.0, 1.0),
    course("gr_sigma_first", "sigma(0)", "width of V over p at the start", 2.0, 0.5, 3.0),
    course("gr_sigma_last", "sigma(T)", "width of V over p at the end", 0.5, 0.2, 2.0),
    course("gr_q2", "q2", "robustness as a positive: 0 cross-entropy, 1 absolute error", 0.01, 0.0, 1.0),
    course("gr_q3", "q3", "robustness as a negative: 0 cross-entropy, 1 absolute error", 1.0, 0.0, 1.0),
)
"""What GR takes, and GPR as well."""

RECORDS = (
    MethodRecord(
        name="GR",
        position=160,
        title="generalized robust loss: an unobserved label's weights depend on its p and on the epoch",
        formula="positive -ln p; observed negative -ln(1 - p);\n"
        "unobserved V (K (1-p^q2)/q2 + (1-K) (1-(1-p)^q3)/q3),\n"
        "K = sigmoid(w p + b), V = exp(-((p - mu)/sigma)^2 / 2), p stopped in both",
        reduction="mean",
        source='Chen et al., "Boosting Single Positive Multi-label Classification with Generalized Robust Loss", '
        "IJCAI 2024; yan4xi1/GRLoss",
        factory="wsml_study.methods.generalized_robust:GeneralizedRobust",
        options=OPTIONS_OF_GR,
        published_map={
            "voc2012": (89.83, None),
            "coco2014": (73.17, None),
            "nuswide": (49.08, None),
            "cub": (21.64, None),
        },
        published_source="Chen et al., IJCAI 2024 (arXiv 2405.03501)",
    ),
)
