"""Labels that the best trial of LL-Cp has corrected for good: right and wrong ones by epoch, precision by class."""

from __future__ import annotations

import altair as alt
import pandas as pd

from wsml_study.methods.catalogue import METHODS
from wsml_study.record.label_tables import CORRECTIONS
from wsml_study.report.figures.figure import Figure, Key, LeftOut, Panel, Table, table_rows
from wsml_study.report.figures.look import GRAY, GREEN, VERMILION
from wsml_study.results.corrections import Corrections, read_corrections
from wsml_study.results.study_results import StudyRecord

MOST_CLASSES = 25
LOOKS = {"right": GREEN, "wrong": VERMILION, "not known": GRAY}


def corrections(record: StudyRecord) -> Figure | LeftOut | None:
    """Right and wrong corrections by epoch, and by class, of the best trial whose corrections are kept."""
    name, title = "corrections", "Corrected labels"
    correcting = [name for name, one in METHODS.items() if one.corrects_for_good]
    if not record.trials["method"].isin(correcting).any():
        return None
    if not CORRECTIONS.trials(record.folder):
        why = "No trial that corrects labels for good has run through all its epochs, or an earlier version ran them."
        return LeftOut(name=name, title=title, why=why)
    found = read_corrections(record.folder)
    if not len(found.frame):
        return LeftOut(name=name, title=title, why=f"Trial {found.trial} ({found.method}) corrected no label.")
    by_epoch, by_class = found.by_epoch, found.by_class
    by_epoch = by_epoch.assign(epoch=by_epoch["epoch"].astype(object).where(by_epoch["epoch"].notna(), "?").astype(str))
    looks = {kind: color for kind, color in LOOKS.items() if _kinds(by_epoch)[kind].any()}
    return Figure(
        name=name,
        title=title,
        caption=_caption(found, by_class),
        panels=(
            Panel(chart=_bars(by_epoch, "epoch", looks), title="By epoch"),
            Panel(chart=_bars(by_class.head(MOST_CLASSES), "class", looks), title="By class"),
        ),
        keys=tuple(Key(label=kind, color=color, shape="square") for kind, color in looks.items()),
        table=Table(
            head=("class", "corrected", "right", "wrong", "precision"),
            body=tuple(
                (one["class"], str(one.corrected), str(one.right), str(one.wrong), _percent(one.precision))
                for _, one in by_class.head(MOST_CLASSES).iterrows()
            ),
        ),
    )


def _caption(found: Corrections, by_class: pd.DataFrame) -> str:
    right, wrong = int(by_class["right"].sum()), int(by_class["wrong"].sum())
    text = (
        f"Trial {found.trial}, the best of {found.method} whose corrections are kept, turned {len(found.frame):,} "
        f"unobserved labels into positives for good"
    )
    text += f"; {_percent(right / (right + wrong))} of those with known truth are right." if right + wrong else "."
    if len(by_class) > MOST_CLASSES:
        text += f" Shown are the {MOST_CLASSES} most corrected of {len(by_class)} classes."
    return f"{text} `wsml-study corrections` lists them, and draws them beside their photos."


def _kinds(counts: pd.DataFrame) -> pd.DataFrame:
    unknown = counts["corrected"] - counts["right"] - counts["wrong"]
    return pd.DataFrame({"right": counts["right"], "wrong": counts["wrong"], "not known": unknown})


def _bars(counts: pd.DataFrame, by: str, looks: dict[str, str]) -> alt.Chart:
    """Stacked bars of right, wrong and unjudged corrections, in the order of the rows."""
    order = counts[by].tolist()
    parts = [
        counts[[by, "precision"]].assign(kind=kind, number=_kinds(counts)[kind], rank=rank)
        for rank, kind in enumerate(looks)
    ]
    across, along = alt.X("number:Q", title="labels"), alt.Y(f"{by}:N", title=by, sort=order)
    if by == "epoch":
        across, along = (
            alt.X("epoch:N", title="epoch", sort=order, axis=alt.Axis(labelAngle=0)),
            alt.Y("number:Q", title="labels"),
        )
    chart: alt.Chart = (
        alt.Chart(table_rows(pd.concat(parts), [by, "kind", "number", "precision", "rank"]))
        .mark_bar()
        .encode(
            across,
            along,
            alt.Color("kind:N", title=None, scale=alt.Scale(domain=list(looks), range=list(looks.values()))),
            alt.Order("rank:Q"),
            tooltip=[
                alt.Tooltip(f"{by}:N"),
                alt.Tooltip("kind:N"),
                alt.Tooltip("number:Q", title="labels"),
                alt.Tooltip("precision:Q", format=".1%"),
            ],
        )
    )
    return chart


def _percent(share: float) -> str:
    return "-" if pd.isna(share) else f"{share:.1%}"
