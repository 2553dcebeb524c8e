"""Results of final training: the seeds of a training, and all trainings of a folder laid out like the paper's table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from wsml_study.errors import WsmlStudyError
from wsml_study.methods.catalogue import DATASETS, METHODS
from wsml_study.methods.published_numbers import Published, published
from wsml_study.record.files import write_whole
from wsml_study.record.formats import aligned, csv_text, number, percent
from wsml_study.record.wording import short_path
from wsml_study.results.class_counts import class_note_of
from wsml_study.results.ranking import ranked_trials
from wsml_study.study.published_protocol import differences_from_paper
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Study

MARKDOWN_FILE, CSV_FILE = "summary.md", "summary.csv"


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedConfig:
    """A config and its trained seeds.

    Attributes:
        folder: holds a folder per seed.
        study: the config.
        seeds: a row per seed that is done: seed, best_epoch, value (validation mAP) and test_map in percent.
        class_notes: over how many classes mAP is a mean, where these are not all.
        num_classes: that the test mAP is the mean of; None if no seed was tested.
    """

    folder: Path
    study: Study
    seeds: pd.DataFrame
    class_notes: tuple[str, ...]
    num_classes: int | None

    @property
    def mean(self) -> float:
        """Test mAP in percent, mean over the seeds; NaN if no class can be evaluated on the test images."""
        return float(self.seeds["test_map"].mean())

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the seeds; None for one seed."""
        return float(self.seeds["test_map"].std()) if self.seeds["test_map"].count() > 1 else None

    @property
    def published(self) -> tuple[Published | None, Published | None] | None:
        """The published results of this method and head, end to end and LinearInit; None if there is neither."""
        study = self.study
        found = [
            published(study.method.name.value, study.data.dataset.value, head=study.model.head, mode=mode)
            for mode in ("end_to_end", "linear_init")
        ]
        return (found[0], found[1]) if any(found) else None


def training_summary(folder: Path) -> list[str]:
    """Test mAP per seed of a training, then all trainings of the folder above, which are written there as well.

    Args:
        folder: of the training.

    Raises:
        ResultsError: the summary cannot be written.
    """
    trained = trained_config(folder)
    if trained.seeds.empty:
        return ["No seed has been trained to its end yet; the same command resumes the training."]
    trainings, left_out = _trainings_in(folder.parent)
    write_whole(folder.parent / MARKDOWN_FILE, _markdown(trainings).encode())
    write_whole(folder.parent / CSV_FILE, _csv(trainings))
    files = " and ".join(short_path(str(folder.parent / name)) for name in (MARKDOWN_FILE, CSV_FILE))
    return [
        *_seed_lines(trained),
        "",
        f"All trainings in {short_path(str(folder.parent))}: {CAPTION}",
        *aligned(_table(trainings)),
        *_notes(trainings),
        *left_out,
        f"Written to {files}",
    ]


CAPTION = "test mAP in percent, mean ± standard deviation (number of seeds)"


def trained_config(folder: Path) -> TrainedConfig:
    """Read a training's folder.

    Raises:
        ResultsError, StudyFileError: it holds no training.
    """
    # Not those with a test mAP: there is none if no class can be evaluated on the test images.
    trials = ranked_trials(folder).query("state == 'complete'").sort_values("trial")
    seeds = trials[["best_epoch", "value", "test_map"]].copy()
    seeds.insert(0, "seed", [json.loads(values)["training.seed"] for values in trials["values"]])
    study = read_study(folder / "study.yaml")
    numbers = trials["num_test_classes"].dropna()
    return TrainedConfig(
        folder=folder,
        study=study,
        seeds=seeds,
        class_notes=tuple(class_note_of(folder, study.objective)),
        num_classes=int(numbers.iloc[0]) if len(numbers) else None,
    )


def _trainings_in(folder: Path) -> tuple[list[TrainedConfig], list[str]]:
    """All trainings with a finished seed, by method in the paper's order; and a line for each that cannot be read."""
    trainings, left_out = [], []
    for path in sorted(folder.glob("*/trials.parquet")):
        try:
            trained = trained_config(path.parent)
        except (WsmlStudyError, KeyError) as error:
            left_out.append(f"{path.parent.name} is left out: {error}")
        else:
            trainings += [] if trained.seeds.empty else [trained]
    order = list(METHODS)
    return sorted(trainings, key=lambda one: (order.index(one.study.method.name.value), one.study.name)), left_out


def _seed_lines(trained: TrainedConfig) -> list[str]:
    seeds, study = trained.seeds, trained.study
    table = aligned(
        {
            "seed": [str(seed) for seed in seeds["seed"]],
            "epoch": seeds["best_epoch"].map(number).tolist(),
            "val mAP": seeds["value"].map(percent).tolist(),
            "test mAP": seeds["test_map"].map(percent).tolist(),
            "model": [f"{short_path(str(trained.folder))}/seed_{seed}" for seed in seeds["seed"]],
        }
    )
    deviation = trained.deviation
    spread = "" if deviation is None else f" (standard deviation {deviation:.2f} over {len(seeds)} seeds)"
    return [
        *table,
        *trained.class_notes,
        "",
        f"{study.name}: test mAP {percent(trained.mean)} %{spread}, {_which_epoch(study)}",
    ]


def _which_epoch(study: Study) -> str:
    if study.data.holds_out:
        return "of the epoch with the best validation mAP"
    training, provenance = study.training, study.provenance
    count = f"{training.last_epoch} of {training.total_epochs} epochs"
    if training.stop_after_epoch is None:
        why = f"all {training.total_epochs} epochs, since the config does not record the search's best one"
    elif provenance is not None and provenance.best_epoch == training.last_epoch:
        why = f"{count}, as trial {provenance.trial} was best in the search"
    else:
        why = f"{count}, as the config says"
    return f"trained on train and validation images for {why}"


def _table(trainings: Sequence[TrainedConfig]) -> dict[str, list[str]]:
    """Methods downwards and datasets across, as the paper has them, with the paper's figures beside ours."""
    labels = _labels(trainings)
    rows = list(dict.fromkeys(labels))
    datasets = dict.fromkeys(one.study.data.dataset.value for one in trainings)
    columns: dict[str, list[str]] = {"method": rows}
    for dataset in datasets:
        of_dataset = {
            label: one for label, one in zip(labels, trainings, strict=True) if one.study.data.dataset.value == dataset
        }
        called = DATASETS.get(dataset, dataset)
        columns[called] = [_ours(of_dataset.get(row)) for row in rows]
        if dataset in DATASETS:
            columns[f"{called}, paper"] = [_papers(of_dataset.get(row)) for row in rows]
    return columns


def _labels(trainings: Sequence[TrainedConfig]) -> list[str]:
    """A row's name for each training: its method, and what distinguishes it from others on the same dataset."""
    short = [_label(one.study) for one in trainings]
    places = [(label, one.study.data.dataset) for label, one in zip(short, trainings, strict=True)]
    return [
        label if places.count(place) == 1 else f"{label} ({one.study.name})"
        for label, place, one in zip(short, places, trainings, strict=True)
    ]


def _label(study: Study) -> str:
    head = "" if study.model.head in (None, "linear") else f" + {study.model.head}"
    mode = "" if study.training.mode in (None, "end_to_end") else f", {study.training.mode}"
    return f"{study.method.name.value}{head}{mode}{'' if study.data.holds_out else ', train+validation'}"


def _ours(trained: TrainedConfig | None) -> str:
    if trained is None:
        return "-"
    spread = "" if trained.deviation is None else f" ± {trained.deviation:.2f}"
    return f"{percent(trained.mean)}{spread} ({len(trained.seeds)})"


def _papers(trained: TrainedConfig | None) -> str:
    if trained is None or trained.published is None:
        return "-"
    return " / ".join("-" if one is None else one.text for one in trained.published)


def _notes(trainings: Sequence[TrainedConfig]) -> Iterator[str]:
    for trained in trainings:
        yield from (f"{trained.study.name}: {note}" for note in trained.class_notes)
    found = [one for trained in trainings for one in trained.published or () if one is not None]
    if not found:
        return
    sources = " and ".join(sorted({one.source for one in found}))
    yield f"paper: {sources}, end to end / LinearInit; re-runs by others differ from it by more than a point"
    for one in trainings:
        if one.published and (different := differences_from_paper(one.study)):
            yield f"{one.study.name} differs from the paper's protocol: {', '.join(different)}"


def _markdown(trainings: Sequence[TrainedConfig]) -> str:
    columns = _table(trainings)
    rows = zip(*columns.values(), strict=True)
    lines = [
        "# Trained configs",
        "",
        f"{CAPTION[0].upper()}{CAPTION[1:]}.",
        "",
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        *(f"- {note}." for note in _notes(trainings)),
        *(f"- {one.study.name}: {_which_epoch(one.study)}." for one in trainings),
        "",
    ]
    return "\n".join(lines)


def _csv(trainings: Sequence[TrainedConfig]) -> bytes:
    rows = [_csv_row(one) for one in trainings]
    safe = [{key: csv_text(value) if isinstance(value, str) else value for key, value in row.items()} for row in rows]
    return pd.DataFrame(safe).to_csv(index=False).encode()


def _csv_row(trained: TrainedConfig) -> dict[str, object]:
    study, papers = trained.study, trained.published
    end_to_end, linear_init = papers or (None, None)
    return {
        "training": study.name,
        "dataset": study.data.dataset.value,
        "method": study.method.name.value,
        "head": study.model.head or "linear",
        "mode": study.training.mode or "end_to_end",
        "train_on": study.data.train_on or "train",
        "last_epoch": study.training.last_epoch,
        "seeds": len(trained.seeds),
        "test_map_mean": trained.mean,
        "test_map_deviation": trained.deviation,
        "num_test_classes": trained.num_classes,
        "val_map_mean": trained.seeds["value"].mean(),
        "paper_end_to_end": end_to_end and end_to_end.map,
        "paper_linear_init": linear_init and linear_init.map,
        "departs_from_paper": "; ".join(differences_from_paper(study)) if papers else None,
    }
