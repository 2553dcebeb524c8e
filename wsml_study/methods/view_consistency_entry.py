"""Record of PLC, the first stage of LAGC: name, formula, options."""

from __future__ import annotations

from wsml_study.methods.method_record import STRONG, MethodRecord
from wsml_study.options import AT_LEAST_0, Limits, Option

CONSISTENCY_WEIGHT = Option(
    key="consistency_weight",
    limits=AT_LEAST_0,
    symbol="lambda",
    meaning="weight of the term that compares two views of an image",
    default=1.0,
    search="{float: {low: 0.1, high: 2.0}}",
)
"""What methods take that compare a strong view with the image as it is."""

RECORDS = (
    MethodRecord(
        name="PLC",
        position=230,
        title="pseudo-label consistency: what is sure in an image is the target of a strongly changed view of it",
        formula="AN, mean over all labels;\n"
        "plus lambda times the cross-entropy in the strong view, mean over sure labels\n"
        "sure: observed; unobserved with p >= theta, positive; with p < 1 - theta,\n"
        "negative",
        reduction="mean",
        reduced_over="views",
        source='Xie et al., "Label-Aware Global Consistency for Multi-Label Learning with Single Positive Labels", '
        "NeurIPS 2022 (LAGC), its first stage; xiemk/SPML-LAC",
        factory="wsml_study.methods.view_consistency:ViewConsistency",
        takes_views=(STRONG,),
        options=(
            CONSISTENCY_WEIGHT,
            Option(
                key="consistency_threshold",
                limits=Limits(least=0.5, most=1),
                symbol="theta",
                meaning="unobserved labels with p at least as large are positive in the strong view, with p below "
                "1 - theta negative",
                default=0.6,
                search="{float: {low: 0.5, high: 0.95}}",
            ),
        ),
    ),
)
