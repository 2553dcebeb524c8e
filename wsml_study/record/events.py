"""The events of a study, as its log keeps them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wsml_study.errors import ResultsError
from wsml_study.record.history import StudyHistory
from wsml_study.record.storage import EVENTS


def read_events(path: Path) -> list[dict[str, Any]]:
    """All whole events of a log, oldest first. A last line without a line end is still being written: left out.

    Raises:
        ResultsError: a line is not an event.
    """
    text = path.read_text(encoding="utf-8")
    events = []
    for number, line in enumerate(text[: text.rfind("\n") + 1].splitlines(), start=1):
        try:
            event = json.loads(line)
            events.append(event | {"event": event["event"]})
        except (ValueError, KeyError, TypeError) as error:
            raise ResultsError(
                f"{path}:{number}: expected an event as one JSON object, got {line[:60]!r}; the log is damaged: "
                f"restore it from a copy, or set the study aside with --restart"
            ) from error
    return events


def read_history(folder: Path) -> StudyHistory:
    """What the events in a study's folder add up to; nothing has happened where there are none.

    Raises:
        ResultsError: a line is not an event, or the file cannot be read.
    """
    path = folder / EVENTS
    return StudyHistory.replay(read_events(path)) if path.exists() else StudyHistory()
