"""Records of Hill and SPLC: names, formulas, options."""

from __future__ import annotations

from wsml_study.methods.asymmetric_entry import focus
from wsml_study.methods.method_record import SUM_OR_MEAN, MethodRecord
from wsml_study.options import AT_LEAST_0, COUNT_OR_0, FRACTION, Limits, Option

ZHANG = (
    'Zhang et al., "Simple and Robust Loss Design for Multi-Label Learning with Missing Labels", 2021 '
    "(arXiv 2112.07368); xinyu1205/robust-loss-mlml"
)

RECORDS = (
    MethodRecord(
        name="Hill",
        position=120,
        title="Hill: a negative of high p is likely a missing positive, so its loss flattens",
        formula="positive -(1-pm)^gamma ln pm, pm = sigmoid(logit - margin); all others (lambda - p) p^2",
        reduction="sum",
        source=ZHANG,
        factory="wsml_study.methods.missing_labels:Hill",
        options=(
            Option(
                key="hill_lambda",
                limits=Limits(least=1),
                symbol="lambda",
                meaning="height of the hill",
                default=1.5,
                search="{float: {low: 1.0, high: 2.0}}",
            ),
            focus("gamma", "positives", 2.0, "gamma", 4.0),
            Option(
                key="logit_margin",
                limits=AT_LEAST_0,
                symbol="m",
                meaning="subtracted from a positive's logit",
                default=1.0,
                search="{float: {low: 0.0, high: 2.0}}",
            ),
            SUM_OR_MEAN,
        ),
    ),
    MethodRecord(
        name="SPLC",
        position=130,
        title="self-paced loss correction: an unobserved label of high p becomes a positive in the loss",
        formula="positive -(1-pm)^gamma ln pm, pm = sigmoid(logit - margin); all others -p^gamma ln(1-p)\n"
        "after the warm-up unobserved with p > tau -(1-p)^gamma ln p",
        reduction="sum",
        source=ZHANG,
        factory="wsml_study.methods.missing_labels:SelfPacedCorrection",
        options=(
            Option(
                key="positive_threshold",
                limits=FRACTION,
                symbol="tau",
                meaning="unobserved labels with a larger p become positives",
                default=0.6,
                search="{float: {low: 0.5, high: 0.9}}",
            ),
            focus("gamma", "all labels", 2.0, "gamma", 4.0),
            Option(
                key="logit_margin",
                limits=AT_LEAST_0,
                symbol="m",
                meaning="subtracted from a positive's logit",
                default=1.0,
                search="{float: {low: 0.0, high: 2.0}}",
            ),
            Option(
                key="warmup_epochs",
                limits=COUNT_OR_0,
                symbol="change_epoch",
                meaning="epochs at the start without corrections",
                default=1,
                search="{int: {low: 0, high: 5}}",
            ),
            SUM_OR_MEAN,
        ),
    ),
)
