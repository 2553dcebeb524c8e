"""Record of CRISP: name, formula, options, published numbers."""

from __future__ import annotations

from dataclasses import replace

from wsml_study.methods.method_record import SUM_OR_MEAN, MethodRecord
from wsml_study.options import AT_LEAST_0, COUNT_OR_0, Limits, Option

SUM_OR_MEAN_OF_CLASSES = replace(SUM_OR_MEAN, meaning="sum or mean over the classes")
"""Option of the losses that are published as a sum over the classes."""

RECORDS = (
    MethodRecord(
        name="CRISP",
        position=180,
        title="class-prior risk: how common a class is stands in for its negatives",
        formula="of class j: 2 pi_j mean over observed positives (1 - p) + |mean over images p - pi_j|,\n"
        "pi_j estimated after each epoch from scores of all training images; AN before",
        reduction="sum",
        reduced_over="classes",
        source='Liu et al., "Can Class-Priors Help Single-Positive Multi-Label Learning?", NeurIPS 2025 '
        "(arXiv 2309.13886), equation 7; no public code",
        factory="wsml_study.methods.class_prior:ClassPriorRisk",
        options=(
            Option(
                key="warmup_epochs",
                limits=COUNT_OR_0,
                symbol="w",
                meaning="epochs of AN before the first estimate of the priors, at least one",
                default=1,
                search="{int: {low: 1, high: 5}}",
            ),
            Option(
                key="prior_confidence",
                limits=Limits(most=1, without_least=True, without_most=True),
                symbol="delta",
                meaning="how often the bound on a prior may fail; smaller asks for more positives above the threshold",
                default=0.01,
            ),
            Option(
                key="prior_tolerance",
                limits=AT_LEAST_0,
                symbol="tau",
                meaning="how much more the uncertainty of the bound counts",
                default=0.01,
            ),
            SUM_OR_MEAN_OF_CLASSES,
        ),
        published_map={
            "voc2012": (89.82, None),
            "coco2014": (74.64, None),
            "nuswide": (50.00, None),
            "cub": (21.65, None),
        },
        published_source="Liu et al., NeurIPS 2025 (arXiv 2309.13886), whose training has a further term (equation 8)",
    ),
)
