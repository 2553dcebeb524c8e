"""Record of ROLE: name, formula, options, published numbers."""

from __future__ import annotations

from wsml_study.methods.baselines_entry import COLE
from wsml_study.methods.expected_positives_entry import EXPECTED_POSITIVES
from wsml_study.methods.method_record import MethodRecord, published
from wsml_study.options import AT_LEAST_0, Option

RECORDS = (
    MethodRecord(
        name="ROLE",
        position=70,
        title="regularized online label estimation: a label matrix q is learnt with the classifier",
        formula="half of, for p and for q: cross-entropy of the observed labels,\n"
        "cross-entropy against the stopped other one, and the penalty of EPR",
        reduction="mean",
        source=COLE,
        factory="wsml_study.methods.role:OnlineLabelEstimation",
        by_image=True,
        options=(
            EXPECTED_POSITIVES,
            Option(
                key="estimate_learning_rate_multiplier",
                limits=AT_LEAST_0,
                symbol="lr_mult",
                meaning="q learns at this multiple of the backbone's learning rate",
                default=10.0,
                search="{float: {low: 1.0, high: 1000.0, log: true}}",
            ),
        ),
        published_map=published((87.9, 88.2), (66.3, 69.0), (43.1, 51.0), (15.0, 16.8)),
    ),
)
