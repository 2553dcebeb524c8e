"""Which method of a column is best, and which are not told apart from it, by the tests of its study.

Never by whether intervals overlap: configs run with the same seeds, so that a difference can be certain where the
intervals of the two means overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from wsml_study.results.all_pairs import Difference
from wsml_study.results.confirmation import Confirmation
from wsml_study.results.confirmed_runs import ConfirmedConfig
from wsml_study.results.ranking import UPPER_BOUND
from wsml_study.results.verdicts import Verdict

ToldApart = Callable[[ConfirmedConfig, ConfirmedConfig], bool]
"""Whether two configs differ, by a test."""


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What is marked in a column.

    Attributes:
        best: the method with the best mean of those that see only the observed labels; None if nothing was compared.
        alike: the others that are not told apart from it.
    """

    best: str | None = None
    alike: frozenset[str] = frozenset()


def marks(shown: Mapping[str, ConfirmedConfig], told_apart: ToldApart) -> Marks:
    """What to mark among methods; nothing where fewer than two could be the best."""
    rivals = {method: config for method, config in shown.items() if config.method != UPPER_BOUND}
    if len(rivals) < 2:
        return Marks()
    best = max(rivals, key=lambda method: rivals[method].test.mean)
    others = (method for method in rivals if method != best)
    return Marks(best=best, alike=frozenset(one for one in others if not told_apart(rivals[best], rivals[one])))


def by_confirmation(found: Confirmation) -> ToldApart:
    """As a confirmation has it: by its verdict where one of the two is the baseline, else by the test of the pair."""
    of_pair = by_pairs(found.pairs())

    def told_apart(one: ConfirmedConfig, other: ConfirmedConfig) -> bool:
        for config, against in ((one, other), (other, one)):
            if against is found.baseline:
                compared = found.against(config)
                return compared is not None and compared.verdict in (Verdict.ABOVE, Verdict.BELOW)
        return of_pair(one, other)

    return told_apart


def by_pairs(pairs: Sequence[Difference]) -> ToldApart:
    """By the paired tests of all pairs; two configs that share too few seeds for a test are not told apart."""
    differ = {frozenset((pair.better.identity, pair.worse.identity)) for pair in pairs if pair.is_significant}
    return lambda one, other: frozenset((one.identity, other.identity)) in differ
