"""What a search knows when it begins, copied into its event log: start points and trials of earlier studies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from wsml_study.record.event_log import EventLog
from wsml_study.results.warm_start import read_warm_start
from wsml_study.study.new_study import resolved_start_points
from wsml_study.study.spec import Study


def record_prior_knowledge(study: Study, log: EventLog, notify: Callable[[str], None] | None = None) -> None:
    """Read what the study names, unless its log has it already: files may be gone or changed after an interruption.

    Raises:
        StudyFileError: a file of `start_from` cannot be read.
        ResultsError: a folder of `warm_start` cannot be used.
    """
    if study.start_from is not None and log.history.start_points is None:
        points = [{"values": one.values, "origin": one.origin} for one in resolved_start_points(study)]
        log.append("start_points", points=points)
    if study.warm_start is not None and log.history.observations is None:
        fingerprint = log.history.runs[-1].get("data_fingerprint") if log.history.runs else None
        found = read_warm_start(study, data_fingerprint=fingerprint)
        log.append("warm_start", observations=[asdict(one) for one in found.observations], notes=list(found.notes))
        if notify is not None:
            for note in found.notes:
                notify(note)
