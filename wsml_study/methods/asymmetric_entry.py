"""Record of ASL: name, formula, options."""

from __future__ import annotations

from wsml_study.methods.method_record import SUM_OR_MEAN, MethodRecord
from wsml_study.options import AT_LEAST_0, Limits, Option, one_of


def focus(symbol: str, of: str, default: float, key: str, high: float) -> Option:
    """Option of a focusing exponent."""
    return Option(
        key=key,
        limits=AT_LEAST_0,
        symbol=symbol,
        meaning=f"focus of {of}: the larger, the less easy ones count",
        default=default,
        search=f"{{float: {{low: 0.0, high: {high}}}}}",
    )


RECORDS = (
    MethodRecord(
        name="ASL",
        position=110,
        title="asymmetric loss: easy negatives count less, very easy ones not at all",
        formula="positive -(1-p)^g+ ln p; all others -pm^g- ln(1-pm), pm = max(p - margin, 0)",
        reduction="sum",
        source='Ridnik et al., "Asymmetric Loss For Multi-Label Classification", ICCV 2021; Alibaba-MIIL/ASL',
        factory="wsml_study.methods.asymmetric:AsymmetricLoss",
        options=(
            focus("g+", "positives", 0.0, "gamma_positive", 2.0),
            focus("g-", "negatives", 4.0, "gamma_negative", 6.0),
            Option(
                key="probability_margin",
                limits=Limits(most=1, without_most=True),
                symbol="m",
                meaning="negatives with p up to this cost nothing",
                default=0.05,
                search="{float: {low: 0.0, high: 0.2}}",
            ),
            Option(
                key="focus_gradients",
                limits=one_of(
                    flow="gradients flow through the powers, as in the formula",
                    stopped="the powers are constants to the gradient, as the authors' training script has it",
                ),
                symbol="disable_torch_grad_focal_loss",
                meaning="whether gradients flow through the focusing powers",
                default="flow",
                search="{choice: [flow, stopped]}",
            ),
            SUM_OR_MEAN,
        ),
    ),
)
