"""Record of IGNORE: name, formula, options."""

from __future__ import annotations

from dataclasses import replace

from wsml_study.methods.method_record import MASKED, STRONG, MethodRecord
from wsml_study.methods.view_consistency_entry import CONSISTENCY_WEIGHT
from wsml_study.options import AT_LEAST_0, COUNT_OR_0, FRACTION, Option

RECORDS = (
    MethodRecord(
        name="IGNORE",
        position=240,
        title="information gap: an unobserved label that loses its logit without the rest of the image is left out",
        formula="AN in the strong view, mean over all labels but rejected ones;\n"
        "plus a times -ln p, mean over observed positives;\n"
        "plus lambda (logit in the strong view - logit)^2, mean over all labels\n"
        "rejected: unobserved, epoch > w, gap > G and logit > M_c;\n"
        "gap = |logit - logit of the masked image|, G its running mean over observed\n"
        "positives, M_c the class's running mean logit",
        reduction="mean",
        reduced_over="views",
        source='Song et al., "IGNORE: Information Gap-based False Negative Loss Rejection for Single Positive '
        'Multi-Label Learning", ECCV 2024; gyeong-ryeol-song/SPML-IGNORE',
        factory="wsml_study.methods.information_gap:InformationGap",
        takes_views=(STRONG, MASKED),
        options=(
            Option(
                key="warmup_epochs",
                limits=COUNT_OR_0,
                symbol="w",
                meaning="epochs at the start that reject nothing",
                default=3,
                search="{int: {low: 1, high: 5}}",
            ),
            Option(
                key="gap_momentum",
                limits=FRACTION,
                symbol="m",
                meaning="share of the running means that a batch leaves as it is",
                default=0.999,
                search="{choice: [0.9, 0.99, 0.999]}",
            ),
            Option(
                key="positive_weight",
                limits=AT_LEAST_0,
                symbol="a",
                meaning="weight of the term of observed positives",
                default=0.5,
                by_dataset={"voc2012": 0.1},
                search="{float: {low: 0.05, high: 1.0}}",
            ),
            replace(CONSISTENCY_WEIGHT, default=0.5),
        ),
    ),
)
