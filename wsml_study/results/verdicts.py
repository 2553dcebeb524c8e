"""What a confirmation finds of each config: above the baseline, below it, equivalent, or not settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from wsml_study.results.sequential import Floats, Rounds, chance_to_settle, equivalence_p, two_sided_p
from wsml_study.results.statistics import holm

HOPELESS = 0.05
"""A comparison is given up when its chance to be settled by the last round is below this."""


class Verdict(StrEnum):
    """The outcome of a comparison with the baseline."""

    ABOVE = "above"
    BELOW = "below"
    EQUIVALENT = "equivalent"
    FUTILE = "given up"
    OPEN = "open"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How comparisons are judged, stated before the confirmation begins.

    Attributes:
        rounds: numbers of seeds after which they are judged.
        alpha: rate at which a confirmation may claim any wrong difference, and likewise any wrong equivalence.
        margin: largest difference that counts as none, in the unit of the differences; None asks for no equivalence.
    """

    rounds: Rounds
    alpha: float
    margin: float | None

    @property
    def in_rounds(self) -> bool:
        """Whether seeds are added in rounds; otherwise their number is fixed."""
        return len(self.rounds.looks) > 1


FIXED = Rounds((1,))
"""One round, of however many seeds there are."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Verdict on a comparison, and the p values that it rests on.

    Attributes:
        verdict: the outcome.
        p_value: of the difference, over all rounds.
        corrected: the same, by Holm over all comparisons.
        equivalence: p value of equivalence within the margin, by Holm over all comparisons; None without a margin.
    """

    verdict: Verdict
    p_value: float
    corrected: float
    equivalence: float | None


def judge(comparisons: Sequence[Sequence[Floats]], rule: Rule) -> list[Judged]:
    """Judge all comparisons of a confirmation.

    Of the two null hypotheses of a comparison, no difference and a difference of at least the margin, only one can be
    true, so the two kinds of finding are corrected for the number of comparisons, not for each other.

    Args:
        comparisons: of each, the paired differences after each round that it took part in; those of a round contain
            those of the rounds before. A comparison whose first round has not ended is open.
        rule: of the confirmation.
    """
    p_values = [_over_rounds(rule, [two_sided_p(one) for one in by_round]) for by_round in comparisons]
    corrected, margin = holm(p_values), rule.margin
    equivalence: list[float | None] = [None] * len(comparisons)
    if margin is not None:
        one_sided = [[equivalence_p(one, margin) for one in by_round] for by_round in comparisons]
        equivalence = [*holm([_over_rounds(rule, by_round, two_sided=False) for by_round in one_sided])]
    # Its share without Holm's steps, which may leave it more: so a comparison is given up by its own seeds, for good.
    share = rule.alpha / max(1, len(comparisons))
    return [
        Judged(
            verdict=_verdict(by_round[-1], p, same, rule, share=share) if by_round else Verdict.OPEN,
            p_value=p_value,
            corrected=p,
            equivalence=same,
        )
        for by_round, p_value, p, same in zip(comparisons, p_values, corrected, equivalence, strict=True)
    ]


def _over_rounds(rule: Rule, by_round: Sequence[float], *, two_sided: bool = True) -> float:
    return rule.rounds.p_value(by_round, two_sided=two_sided) if by_round else 1.0


def _verdict(points: Floats, p: float, same: float | None, rule: Rule, *, share: float) -> Verdict:
    # Equivalence first: a difference that is certain and smaller than the margin is of no account.
    if same is not None and same < rule.alpha:
        return Verdict.EQUIVALENT
    if p < rule.alpha:
        return Verdict.ABOVE if points.mean() > 0 else Verdict.BELOW
    more_seeds = rule.in_rounds and len(points) < rule.rounds.looks[-1]
    if more_seeds and chance_to_settle(points, rule.rounds, alpha=share, margin=rule.margin) < HOPELESS:
        return Verdict.FUTILE
    return Verdict.OPEN
