"""A study's test mAP over its seeds beside the published figures: the paper's table, as text, LaTeX or data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_lowercase

import pandas as pd
import pyarrow as pa

from wsml_study.errors import ResultsError
from wsml_study.methods.catalogue import DATASETS, METHODS
from wsml_study.methods.method_record import KIM
from wsml_study.methods.published_numbers import ELSEWHERE, Published, published
from wsml_study.record.formats import Format, aligned, rendered
from wsml_study.record.markup import latex, latex_text, markdown, markdown_text
from wsml_study.record.tables import read_table
from wsml_study.record.wording import describe
from wsml_study.report.group_table import group_columns, published_for
from wsml_study.results.class_counts import class_note
from wsml_study.results.class_groups import EXPLAINED, trial_groups
from wsml_study.results.statistics import Estimate, estimate
from wsml_study.results.trial_filter import matching
from wsml_study.study.factors import num_runs
from wsml_study.study.identity import without_seeds
from wsml_study.study.published_protocol import PROTOCOLS, differences_from_paper, protocol_of
from wsml_study.study.reading import read_study
from wsml_study.study.spec import TrialConfig

NOT_PUBLISHED = "not published"
SHOWN_ELSEWHERE = ("method.name", "model.head", "training.mode", "training.seed", "data.observe.seed")
"""Searched keys that the columns method and mode show, or that seeds are."""


@dataclass(frozen=True, kw_only=True)
class PaperRow:
    """A method in a mode, over its seeds.

    Attributes:
        label: the method, its head if it is not linear, and what else distinguishes it.
        mode: of training.
        test_maps: in percent, one per seed that was evaluated on the test images; empty for a row of the paper's alone.
        num_seeds: trials of this config, whatever their state.
        num_classes: that the test mAP is the mean of; None for a row of the paper's alone.
        groups: mAP in percent of the dataset's groups of classes, mean over the seeds.
        paper: the published result; None if there is none.
        departures: from the protocol of that result.
    """

    label: str
    mode: str
    test_maps: tuple[float, ...] = ()
    num_seeds: int = 0
    num_classes: int | None = None
    groups: tuple[float, ...] = ()
    paper: Published | None = None
    departures: tuple[str, ...] = ()

    @property
    def estimate(self) -> Estimate | None:
        """Mean over the seeds with its interval."""
        return estimate(self.test_maps) if self.test_maps else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the seeds; None for fewer than two."""
        return float(pd.Series(self.test_maps).std()) if len(self.test_maps) > 1 else None

    @property
    def difference(self) -> float | None:
        """Points of mAP above the published figure."""
        mean = self.estimate
        return None if mean is None or self.paper is None else mean.mean - self.paper.map


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """The table of a study.

    Attributes:
        study: its name.
        dataset: as in study files.
        rows: methods in the order of the catalogue, then those that only the paper has.
        num_trials: how many trials the study asks for.
        num_tested: how many were evaluated on the test images.
        class_notes: over how many classes mAP is a mean, where these are not all.
    """

    study: str
    dataset: str
    rows: tuple[PaperRow, ...]
    num_trials: int
    num_tested: int
    class_notes: tuple[str, ...] = ()

    def arrow(self) -> pa.Table:
        """A row per method and mode; numbers unrounded, absent ones null."""
        return pa.Table.from_pylist([self._record(row) for row in self.rows], schema=self._schema())

    def where(self, condition: str) -> PaperTable:
        """The table of the rows that meet a condition on the columns of `arrow`, such as `method != 'LL-Cp'`.

        Raises:
            ResultsError: the condition is invalid, or no row meets it.
        """
        chosen = matching(self.arrow().to_pandas(), condition).index
        if chosen.empty:
            raise ResultsError(f"--where {condition!r}: no row of the table meets it")
        return replace(self, rows=tuple(self.rows[place] for place in chosen))

    def text(self) -> list[str]:
        """Aligned columns, then what the marks mean."""
        heading = f"{self.study}, {self._called}: test mAP in percent, mean ± standard deviation (number of seeds)"
        lines = [heading, *aligned(self._columns()), ""]
        if self._group_columns():
            lines += [f"mAP by groups of classes. {EXPLAINED}", *aligned(self._group_columns()), ""]
        return [*lines, *self.notes()]

    def latex(self) -> str:
        """The same as LaTeX's tabular with the rules of the package booktabs."""
        groups = self._group_columns()
        parts = [latex(self._columns()), *([latex(groups)] if groups else [])]
        notes = latex_text(" ".join(f"{note}." for note in self.notes()))
        return "\n\n".join([*parts, f"{{\\footnotesize {notes}\\par}}"]) + "\n"

    def markdown(self) -> str:
        """The same in Markdown."""
        groups = self._group_columns()
        parts = [markdown(self._columns()), *([markdown(groups)] if groups else [])]
        notes = "\n".join(f"- {markdown_text(note)}" for note in self.notes())
        return "\n\n".join([*parts, notes]) + "\n"

    def rendered(self, form: Format) -> bytes:
        """The table in a format."""
        match form:
            case Format.TABLE:
                return "".join(f"{line}\n" for line in self.text()).encode()
            case Format.LATEX:
                return self.latex().encode()
            case Format.MARKDOWN:
                return self.markdown().encode()
        return rendered(self.arrow(), form)

    def notes(self) -> list[str]:
        """Sources, departures by their marks, and what is missing."""
        sources = sorted({row.paper.source for row in self.rows if row.paper is not None})
        notes = [f"published: {' and '.join(sources)}"] if sources else []
        notes += [] if sources else [f"{self._called} is no dataset of the papers, so nothing stands beside it"]
        notes += [f"{mark}: differs from the protocol by {', '.join(texts)}" for texts, mark in self._marks().items()]
        if any(_is_compared(row) and not row.departures for row in self.rows):
            notes.append("none: the published protocol in every key that is published")
        protocol = PROTOCOLS.get(self.dataset)
        if protocol is not None and not protocol.rates_are_published:
            notes.append(
                f"optimizer, learning rate and rejection rates on {self._called} are not published, nor compared"
            )
        notes += self.class_notes
        if self.num_tested < self.num_trials:
            notes.append(f"{self.num_tested} of {self.num_trials} trials have been evaluated on the test images")
        return notes

    @property
    def _called(self) -> str:
        return DATASETS.get(self.dataset, self.dataset)

    def _marks(self) -> dict[tuple[str, ...], str]:
        """Departures -> the letter that stands for them in the table, in the order of the rows."""
        kinds = dict.fromkeys(row.departures for row in self.rows if row.departures and _is_compared(row))
        return {kind: _letters(number) for number, kind in enumerate(kinds)}

    def _columns(self) -> dict[str, list[str]]:
        marks, rows = self._marks(), self.rows
        columns = {
            "method": [row.label for row in rows],
            "mode": [row.mode for row in rows],
            "test mAP": [_ours(row) for row in rows],
            "95 % interval": [_interval(row.estimate) for row in rows],
            "published": [NOT_PUBLISHED if row.paper is None else row.paper.text for row in rows],
            "difference": ["-" if row.difference is None else f"{row.difference:+.2f}" for row in rows],
            "departs": [marks.get(row.departures, "none") if _is_compared(row) else "-" for row in rows],
        }
        return columns if len({row.mode for row in rows}) > 1 else {k: v for k, v in columns.items() if k != "mode"}

    def _group_columns(self) -> dict[str, list[str]]:
        """Ours and the paper's mAP of each group; empty without groups."""
        columns = group_columns([row.groups for row in self.rows], [row.paper for row in self.rows])
        return {"method": [row.label for row in self.rows], **columns} if columns else {}

    def _record(self, row: PaperRow) -> dict[str, object]:
        mean, paper = row.estimate, row.paper
        groups = {f"g{number}": value for number, value in enumerate(row.groups, start=1)}
        if paper is not None and self._num_groups():
            groups |= {f"published_g{number}": value for number, value in enumerate(paper.groups, start=1)}
        return {
            "study": self.study,
            "dataset": self.dataset,
            "method": row.label,
            "mode": row.mode,
            "seeds": len(row.test_maps),
            "num_classes": row.num_classes,
            "test_map_mean": mean and mean.mean,
            "test_map_deviation": row.deviation,
            "test_map_low": mean and mean.low,
            "test_map_high": mean and mean.high,
            "published_map": paper and paper.map,
            "difference": row.difference,
            "departs_from_paper": "; ".join(row.departures) if _is_compared(row) else None,
            "source": paper and paper.source,
        } | groups

    def _num_groups(self) -> int:
        return max((len(row.groups) for row in self.rows), default=0)

    def _schema(self) -> pa.Schema:
        texts = ("study", "dataset", "method", "mode")
        numbers = (
            "test_map_mean",
            "test_map_deviation",
            "test_map_low",
            "test_map_high",
            "published_map",
            "difference",
        )
        groups = [f"{name}{number}" for name in ("g", "published_g") for number in range(1, self._num_groups() + 1)]
        return pa.schema(
            [
                *(pa.field(name, pa.string(), nullable=False) for name in texts),
                pa.field("seeds", pa.int64(), nullable=False),
                pa.field("num_classes", pa.int64()),
                *(pa.field(name, pa.float64()) for name in numbers),
                *(pa.field(name, pa.string()) for name in ("departs_from_paper", "source")),
                *(pa.field(name, pa.float64()) for name in groups),
            ]
        )


def paper_table(folder: Path) -> PaperTable:
    """The table of a study, a confirmation or a final training whose trials were evaluated on the test images.

    Args:
        folder: of the results.

    Raises:
        ResultsError: the folder holds no study's tables, no trial was evaluated on the test images, or the trials are
            of several datasets.
        StudyFileError: its study file is damaged.
    """
    study, trials = read_study(folder / "study.yaml"), read_table(folder, "trials").to_pandas()
    if not trials["test_map"].notna().any():
        confirmed = (folder / "confirm").is_dir()
        raise ResultsError(
            f"{folder}: no trial has been evaluated on the test images; "
            + (f"its confirmation has: --paper with {folder / 'confirm'}; or " if confirmed else "")
            + "set `test_trials: true` in a study whose trials are results"
        )
    configs = [TrialConfig.model_validate_json(config) for config in trials["config"]]
    datasets = sorted({config.data.dataset.value for config in configs})
    if len(datasets) > 1:
        raise ResultsError(f"{folder}: expected trials of one dataset, got {', '.join(datasets)}")
    classes = read_table(folder, "classes").to_pandas()
    groups = trial_groups(classes, "test")
    kinds: dict[str, list[int]] = {}
    for position, config in enumerate(configs):
        kinds.setdefault(without_seeds(config), []).append(position)
    rows = [_row(trials.iloc[places], [configs[place] for place in places], groups) for places in kinds.values()]
    rows = _in_order(_with_settings(rows, trials, list(kinds.values())))
    return PaperTable(
        study=study.name,
        dataset=datasets[0],
        rows=(*rows, *_only_in_the_paper(datasets[0], rows)),
        class_notes=tuple(class_note(configs[0].objective, classes, ["test"])),
        num_tested=int(trials["test_map"].notna().sum()),
        num_trials=max(num_runs(study, study.trials), len(trials)) if study.test_trials else len(trials),
    )


def _row(trials: pd.DataFrame, configs: Sequence[TrialConfig], groups: pd.DataFrame) -> PaperRow:
    config = configs[0]
    tested = trials[trials["test_map"].notna()]
    method, head = config.method.name.value, config.model.head
    of_row = groups.loc[groups.index.isin(tested["trial"])] if len(groups) else groups
    departures = dict.fromkeys(text for one in configs for text in differences_from_paper(one))
    return PaperRow(
        label=method if head in (None, "linear") else f"{method} + {head}",
        mode=config.training.mode or "end_to_end",
        test_maps=tuple(tested["test_map"]),
        num_seeds=len(trials),
        num_classes=_only(tested["num_test_classes"]),
        groups=tuple(of_row.mean()) if len(of_row) else (),
        paper=published_for(config),
        departures=tuple(departures) if protocol_of(config) is not None else (),
    )


def _only(numbers: pd.Series) -> int | None:
    """The number that all have, null aside; None if there is none: all test on the same images."""
    known = numbers.dropna()
    return None if known.empty else int(known.iloc[0])


def _with_settings(rows: Sequence[PaperRow], trials: pd.DataFrame, places: Sequence[Sequence[int]]) -> list[PaperRow]:
    """Rows of one method and mode get their other searched values into their labels."""
    named = [(row.label, row.mode) for row in rows]
    found = []
    for row, own in zip(rows, places, strict=True):
        values = json.loads(trials.iloc[own[0]]["values"])
        others = {key: value for key, value in values.items() if key not in SHOWN_ELSEWHERE}
        more = f" ({describe(others)})" if others and named.count((row.label, row.mode)) > 1 else ""
        found.append(replace(row, label=f"{row.label}{more}"))
    return found


def _in_order(rows: Sequence[PaperRow]) -> list[PaperRow]:
    """By method as in the catalogue, then by mode."""
    methods = list(METHODS)
    return sorted(rows, key=lambda row: (methods.index(row.label.split(" ")[0]), row.label, row.mode))


def _only_in_the_paper(dataset: str, rows: Sequence[PaperRow]) -> Iterator[PaperRow]:
    """Results of Kim et al. without a trial of ours, in the modes that the study has."""
    ours = {(row.label.split(" (")[0], row.mode) for row in rows}
    for method in METHODS:
        for mode in sorted({row.mode for row in rows}):
            paper = published(method, dataset, mode=mode)
            if paper is not None and paper.source == KIM and (method, mode) not in ours:
                yield PaperRow(label=method, mode=mode, paper=paper)
    for method, paper in ELSEWHERE.get(dataset, {}).items():
        yield PaperRow(label=method, mode="end_to_end", paper=paper)


def _ours(row: PaperRow) -> str:
    mean = row.estimate
    if mean is None:
        return "-"
    spread = "" if row.deviation is None else f" ± {row.deviation:.2f}"
    missing = "" if len(row.test_maps) == row.num_seeds else f" of {row.num_seeds}"
    return f"{mean.mean:.2f}{spread} ({mean.count}{missing})"


def _is_compared(row: PaperRow) -> bool:
    """Whether both ours and the paper's figure are there."""
    return bool(row.test_maps) and row.paper is not None


def _interval(mean: Estimate | None) -> str:
    return "-" if mean is None or mean.low is None or mean.high is None else f"{mean.low:.2f} to {mean.high:.2f}"


def _letters(number: int) -> str:
    """The letters a, b, ..., z, aa, ab, ...: for any number of kinds."""
    rest, last = divmod(number, len(ascii_lowercase))
    return (_letters(rest - 1) if rest else "") + ascii_lowercase[last]
