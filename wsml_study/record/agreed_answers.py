"""What several answers to one question come to, and where people contradict each other or themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wsml_study.record.answer_log import by_time
from wsml_study.record.questions import Answer, Reply

Pair = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Agreed:
    """What counts.

    Attributes:
        replies: (image, class) -> what the people's latest answers come to.
        changed: pairs about which one person has said yes and no, or has come to say "cannot say"; the latest counts.
        disputed: pairs about which people say yes and no; the majority counts, and a tie as "cannot say".
    """

    replies: Mapping[Pair, Reply]
    changed: tuple[Pair, ...]
    disputed: tuple[Pair, ...]

    def count(self, reply: Reply) -> int:
        """How many pairs have a reply."""
        return sum(one == reply for one in self.replies.values())


def agreed(answers: Sequence[Answer]) -> Agreed:
    """What answers come to: of each person the latest, between people the majority of yes and no."""
    latest: dict[Pair, dict[str, Reply]] = {}
    changed: dict[Pair, None] = {}
    for answer in by_time(answers):
        of_pair = latest.setdefault(answer.pair, {})
        if of_pair.get(answer.by, answer.answer) != answer.answer:
            changed[answer.pair] = None
        of_pair[answer.by] = answer.answer
    return Agreed(
        replies={pair: _majority(list(replies.values())) for pair, replies in latest.items()},
        changed=tuple(changed),
        disputed=tuple(pair for pair, replies in latest.items() if {"yes", "no"} <= set(replies.values())),
    )


def _majority(replies: Sequence[Reply]) -> Reply:
    """The more frequent of yes and no; who cannot say does not vote.

    >>> [_majority(said.split()) for said in ("yes no yes", "yes no", "unsure no", "unsure")]
    ['yes', 'unsure', 'no', 'unsure']
    """
    yes, no = replies.count("yes"), replies.count("no")
    return "unsure" if yes == no else "yes" if yes > no else "no"
