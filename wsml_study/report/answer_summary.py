"""What answers say of a study, as lines of text: counts, contradictions, and whether the ranking is settled."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from wsml_study.record.agreed_answers import Agreed, Pair, agreed
from wsml_study.record.answer_log import AnswerLog
from wsml_study.record.questions import VALIDATION, Answer
from wsml_study.record.tables import read_table
from wsml_study.record.wording import describe
from wsml_study.results.answered_runs import MOST_TRIALS, AnsweredRuns, read_answered, read_hidden_positives

MOST_NAMED = 3
WITHOUT_ANSWERS = (
    "Nobody has answered a question yet: such an estimate tells the level of mAP better than the recorded value, and "
    "often not which trial is best."
)
SAID: Mapping[str, str] = {"yes": "yes", "no": "no", "unsure": "cannot say"}


def reply_counts(replies: Sequence[str]) -> str:
    """How often what was said: `3 answers (2 yes, 1 no, 0 cannot say)`."""
    counts = ", ".join(f"{replies.count(reply):,} {text}" for reply, text in SAID.items())
    return f"{len(replies):,} {'answer' if len(replies) == 1 else 'answers'} ({counts})"


def log_lines(log: AnswerLog) -> list[str]:
    """Sets of questions, how many of each are answered, and contradictions."""
    sets, answers, torn = log.question_sets(), log.read(), log.torn
    lines = (
        [] if torn is None else [f"the last write to the log was cut short, and nothing of it counts: {torn[:60]!r}"]
    )
    if not sets:
        return [*lines, "nothing has been asked yet"]
    answered = {(answer.set_number, answer.pair) for answer in answers}
    for one in sets:
        num = sum((one.number, question.pair) in answered for question in one.questions)
        kind = "" if one.kind == VALIDATION else f" ({one.kind})"
        lines.append(f"set {one.number}{kind}: {num:,} of {len(one.questions):,} questions answered")
    kinds = {one.number: one.kind for one in sets}
    for kind in dict.fromkeys(kinds.values()):
        of_kind = [answer for answer in answers if kinds[answer.set_number] == kind]
        found = agreed(of_kind)
        about = "validation" if kind == VALIDATION else "training"
        by = f", by {_people(of_kind)}" if of_kind else ""
        counts = reply_counts(list(found.replies.values()))
        lines += [f"{counts} about different pairs of {about} images{by}", *_contradictions(found)]
    return lines


def _people(answers: Sequence[Answer]) -> str:
    names = list(dict.fromkeys(answer.by for answer in answers))
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _contradictions(found: Agreed) -> list[str]:
    lines = []
    if found.changed:
        lines.append(f"changed by who had said otherwise, the latest counts: {_named(found.changed)}")
    if found.disputed:
        lines.append(f"disputed, the majority counts and a tie as cannot say: {_named(found.disputed)}")
    return lines


def _named(pairs: Sequence[Pair]) -> str:
    some = ", ".join(f"{class_name} in {image}" for image, class_name in pairs[:MOST_NAMED])
    return f"{len(pairs):,} ({some}{', ...' if len(pairs) > MOST_NAMED else ''})"


def answered_lines(folder: Path, *, study_argument: str) -> list[str]:
    """By what trials are ranked where it is an estimate, and whether more answers are needed; else nothing."""
    found = read_answered(folder)
    if found is None:
        return []
    replies = list(found.agreed.replies.values())
    source = f"{reply_counts(replies)} and the labels given" if replies else "the labels given and all trials' scores"
    lines = [
        f"Ranked by the mAP estimated from {source}, with 90 % intervals; the recorded value is that on the labels "
        f"given alone.",
        *([] if replies else [WITHOUT_ANSWERS]),
    ]
    if found.num_unknown:
        lines.append(f"{found.num_unknown:,} of them are about images or classes that the study no longer has.")
    if found.left_out:
        numbers = ", ".join(map(str, found.left_out[:10])) + (", ..." if len(found.left_out) > 10 else "")
        lines.append(
            f"Trials without an estimate come last: {numbers} (no scores of these images, or not among the "
            f"{MOST_TRIALS} of the best value)."
        )
    return [*lines, *settled_lines(folder, found, study_argument=study_argument)]


def hidden_lines(folder: Path) -> list[str]:
    """How many of the unobserved labels are positive, by the answers; nothing where people have not answered."""
    runs = read_answered(folder)
    if runs is None or not runs.num_answers or not runs.num_open:
        return []
    found, _ = read_hidden_positives(folder)
    interval = f"95 % interval {100 * found.low:.1f} to {100 * found.high:.1f}"
    return [
        f"Of the validation labels that nobody has told, about {100 * found.share:.1f} % are positive ({interval}). In "
        "a next study they give the range of the rejection rate:",
        f"  search: {{method.schedule.rate_per_epoch: {{auto: {folder}}}}}",
    ]


def settled_lines(folder: Path, found: AnsweredRuns, *, study_argument: str) -> list[str]:
    """Whether the best trial is settled, and about how many more answers would settle it."""
    best, second = found.best
    if second is None:
        return []
    values = {
        row["trial"]: row["values"] for row in read_table(folder, "trials").select(["trial", "values"]).to_pylist()
    }
    first, other = (f"trial {trial} ({describe(json.loads(values[trial]))})" for trial in (best, second))
    if found.figures.settled:
        return [f"Settled: {first} is better than {other}, with 90 % certainty."]
    if found.figures.more_answers is None or found.figures.more_answers > found.num_open:
        return [f"Not settled: {first} and {other} are so close that more answers would hardly tell which is better."]
    return [
        f"About {found.figures.more_answers:,} more answers would settle {first} against {other}:",
        f"  wsml-study ask {study_argument} --answers {min(found.figures.more_answers, 200)}",
    ]
