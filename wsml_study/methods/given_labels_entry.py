"""Records of VLPL and GPR: names, formulas, options, published numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from wsml_study.methods.entropy_maximization_entry import ENTROPY_WEIGHT
from wsml_study.methods.expected_positives_entry import EXPECTED_POSITIVES
from wsml_study.methods.generalized_robust_entry import OPTIONS_OF_GR
from wsml_study.methods.method_record import MethodRecord
from wsml_study.options import AT_LEAST_0, COUNT_OR_0, FRACTION, Option, Value

_GPR_COURSES: dict[str, tuple[float, dict[str, Value]]] = {
    "gr_w_last": (10.0, {"voc2012": 2.0, "coco2014": 10.0, "nuswide": 10.0, "cub": 10.0}),
    "gr_b_last": (-8.0, {"voc2012": -2.0, "coco2014": -8.0, "nuswide": -8.0, "cub": -8.0}),
    "gr_q3": (1.0, {"voc2012": 1.0, "coco2014": 1.0, "nuswide": 1.0, "cub": 1.5}),
}
"""Where GPR's public configurations differ from GR's defaults."""


def _options_of_gr() -> Iterator[Option]:
    for option in OPTIONS_OF_GR:
        default, by_dataset = _GPR_COURSES.get(option.key, (option.default, {}))
        yield replace(option, default=default, by_dataset=by_dataset)


def _threshold(default: float, by_dataset: dict[str, Value]) -> Option:
    return Option(
        key="score_threshold",
        limits=FRACTION,
        symbol="threshold",
        meaning="given scores above it (GPR: or equal to it) make a label positive",
        default=default,
        by_dataset=by_dataset,
        search="{float: {low: 0.05, high: 0.9}}",
    )


RECORDS = (
    MethodRecord(
        name="VLPL",
        position=200,
        title="vision-language pseudo-labels: as EM, and unobserved labels of high given score are soft positives",
        formula="positive -ln p; observed negative -ln(1 - p); unobserved -alpha H(p),\n"
        "where the given score exceeds a threshold beta (-.9 ln p - .1 ln(1 - p))",
        reduction="mean",
        source='Xing et al., "Vision-Language Pseudo-Labels for Single-Positive Multi-Label Learning", CVPR 2024 '
        "workshop LIMIT (arXiv 2310.15985); mvrl/VLPL",
        factory="wsml_study.methods.given_labels:VisionLanguagePseudoLabels",
        takes_scores=True,
        by_image=True,
        options=(
            ENTROPY_WEIGHT,
            Option(
                key="given_positive_weight",
                limits=AT_LEAST_0,
                symbol="beta",
                meaning="weight of a given positive",
                default=0.7,
                search="{float: {low: 0.1, high: 1.0}}",
            ),
            _threshold(0.3, {}),
        ),
        published_map={
            "voc2012": (89.10, None),
            "coco2014": (71.45, None),
            "nuswide": (49.55, None),
            "cub": (24.02, None),
        },
        published_source="Xing et al., CVPR 2024 workshop LIMIT, with scores of CLIP ViT-L/14 at 336 pixels",
    ),
    MethodRecord(
        name="GPR",
        position=210,
        title="generalized pseudo-label robust loss: as GR, and given scores make positives and negatives",
        formula="positive -ln p; observed negative -ln(1 - p); open as GR with its K and V;\n"
        "given positive (1 - V') (-rho ln p - (1 - rho) ln(1 - p)), V' = V clipped to [1 - l1, 1 - l2];\n"
        "given negative -V ln(1 - p); plus reg ((mean over images of sum p) - m)^2 / C^2",
        reduction="mean",
        source='Tran et al., "More Reliable Pseudo-labels, Better Performance: A Generalized Approach to Single '
        'Positive Multi-label Learning", ICCV 2025 (arXiv 2508.20381); Fsoft-AIC/AEVLP',
        factory="wsml_study.methods.given_labels:GeneralizedPseudoLabels",
        takes_scores=True,
        by_image=True,
        options=(
            _threshold(0.5, {"voc2012": 0.5, "coco2014": 0.5, "nuswide": 0.6, "cub": 0.005}),
            Option(
                key="given_per_image",
                limits=COUNT_OR_0,
                symbol="top_k",
                meaning="given positives of an image at most, observed ones included",
                default=3,
                by_dataset={"voc2012": 3, "coco2014": 3, "nuswide": 3, "cub": 32},
            ),
            Option(
                key="given_negative_share",
                limits=FRACTION,
                symbol="negative_ratio",
                meaning="share of the classes, those of least score, that are given negatives of an image",
                default=0.0,
                search="{float: {low: 0.0, high: 0.5}}",
            ),
            Option(
                key="given_softness",
                limits=FRACTION,
                symbol="rho",
                meaning="target of a given positive",
                default=0.9,
            ),
            Option(
                key="given_most_weight",
                limits=FRACTION,
                symbol="l1",
                meaning="a given positive weighs at most this",
                default=0.7,
                by_dataset={"voc2012": 0.7, "coco2014": 0.7, "nuswide": 0.7, "cub": 0.8},
            ),
            Option(
                key="given_least_weight",
                limits=FRACTION,
                symbol="l2",
                meaning="a given positive weighs at least this",
                default=0.5,
                by_dataset={"voc2012": 0.4, "coco2014": 0.5, "nuswide": 0.5, "cub": 0.2},
            ),
            Option(
                key="penalty_weight",
                limits=AT_LEAST_0,
                symbol="reg",
                meaning="weight of EPR's penalty",
                default=0.001,
                by_dataset={"voc2012": 0.05, "coco2014": 0.001, "nuswide": 0.001, "cub": 0.01},
                search="{float: {low: 0.0001, high: 1.0, log: true}}",
            ),
            EXPECTED_POSITIVES,
            *_options_of_gr(),
        ),
        published_map={
            "voc2012": (90.46, None),
            "coco2014": (73.54, None),
            "nuswide": (50.70, None),
            "cub": (24.89, None),
        },
        published_source="Tran et al., ICCV 2025, with scores of CLIP ViT-B/16 of whole images and of their parts",
    ),
)
