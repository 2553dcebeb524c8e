"""The table of a running study, on a terminal of 80 columns."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console

from wsml_study.cli.progress import BARS, Progress
from wsml_study.record.events import read_history
from wsml_study.study.reading import read_study

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
FINISHED = Path(__file__).parents[1] / "recorded" / "finished" / "results" / "finished"


def printed(*, width: int, preparation: str = "") -> list[str]:
    """The table of a recorded study, as lines."""
    console = Console(file=io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), width=width, force_terminal=True)
    history = read_history(FINISHED)
    progress = Progress(console, objective=read_study(FINISHED / "study.yaml").objective)
    with console.capture() as captured:
        progress.on_slots(2, len(history.trials), history)
        progress.on_preparation(preparation)
        console.print(progress.rendered())
    return ESCAPES.sub("", captured.get()).splitlines()


def test_eighty_columns_hold_a_row_with_its_curve() -> None:
    lines = printed(width=80)
    rows = [line for line in lines if "/3 " in line]
    assert rows
    for row in rows:
        assert len(row.rstrip()) <= 80
        assert any(bar in row for bar in BARS)
        assert row.rstrip().endswith(("complete", "stopped"))


def test_without_room_for_it_there_is_no_curve() -> None:
    assert not any(bar in line for line in printed(width=60) for bar in BARS)


def test_what_workers_do_before_they_train_is_said() -> None:
    assert printed(width=80, preparation="computing features: 64 of 942 images")[-1].strip() == (
        "computing features: 64 of 942 images ..."
    )
