"""Exports the best trials as configs for final training: study files without a search."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from wsml_study.errors import ResultsError
from wsml_study.record.files import write_whole
from wsml_study.results.answered_runs import MAP, AnsweredRuns, estimate_text, read_answered
from wsml_study.results.confirmation import confirmed_ranking
from wsml_study.results.ranking import ranked_trials, the_front, top_trials
from wsml_study.results.tradeoff import missed_by_all
from wsml_study.study.identity import fingerprint
from wsml_study.study.new_defaults import explicit
from wsml_study.study.provenance_section import Provenance
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Study, TrialConfig
from wsml_study.study.writing import dump_config


def export_configs(
    folder: Path,
    *,
    output: Path,
    top: int = 1,
    per_method: bool = False,
    by_confirmed: bool = False,
    front: bool = False,
    trial: int | None = None,
) -> list[Path]:
    """Write the best trials of a study, or a given one, as one config file each, best first.

    Args:
        folder: of the study's results.
        output: folder for the configs; created if absent.
        top: number of trials, per method with `per_method`.
        per_method: rank within each method.
        by_confirmed: rank only confirmed configs, by their mean, instead of all trials by their value.
        front: the trials on the front of two objectives, all of them.
        trial: the number of the trial to export instead of the best ones.

    Returns:
        The files, best trial first.

    Raises:
        ResultsError: no trial has a value yet, nothing is confirmed, there is no such trial, or a file of that name
            exists with other content.
    """
    study = read_study(folder / "study.yaml")
    if trial is not None:
        chosen = _given(ranked_trials(folder), trial, folder)
    elif front:
        ranked = _ranked_for_front(study, folder)
        chosen = the_front(ranked)
        _refuse_missed_by_all(ranked, folder)
    else:
        ranked = confirmed_ranking(folder) if by_confirmed else ranked_trials(folder)
        chosen = top_trials(ranked, top=top, per_method=per_method)
        _refuse_missed_by_all(ranked, folder)
    if chosen.empty:
        raise ResultsError(f"{folder}: no trial has completed an epoch yet; `wsml-study run` continues the study")
    return [_export(folder, study, row, output) for _, row in chosen.iterrows()]


def _refuse_missed_by_all(ranked: pd.DataFrame, folder: Path) -> None:
    if (none := missed_by_all(ranked)) is not None:
        raise ResultsError(f"{folder}: {none}")


def _ranked_for_front(study: Study, folder: Path) -> pd.DataFrame:
    if study.objective.second is None:
        raise ResultsError(
            f"{folder}: the study has one objective, and a front needs two: `objective.beside` in a study file"
        )
    return ranked_trials(folder)


def _given(ranked: pd.DataFrame, trial: int, folder: Path) -> pd.DataFrame:
    chosen = ranked[ranked["trial"] == trial]
    if chosen.empty:
        last = ranked["trial"].max()
        numbers = "it has none yet" if ranked.empty else f"they are numbered from 0 to {last}"
        raise ResultsError(f"{folder}: there is no trial {trial}; {numbers}")
    if chosen["value"].isna().any():
        raise ResultsError(f"{folder}: trial {trial} has not completed an epoch, so it has no result yet")
    return chosen


def _answered(folder: Path, row: pd.Series) -> AnsweredRuns | None:
    """The estimates that have ranked a trial; None if it was ranked by its value."""
    return read_answered(folder) if MAP in row and pd.notna(row[MAP]) else None


def _export(study_folder: Path, study: Study, row: pd.Series, output: Path) -> Path:
    answered = _answered(study_folder, row)
    config = explicit(TrialConfig.model_validate_json(row["config"]))
    provenance = Provenance(
        study=study.name,
        trial=int(row["trial"]),
        value=float(row["value"]),
        answered_map=None if answered is None else float(row[MAP]),
        answers=None if answered is None else answered.num_answers or None,
        best_epoch=int(row["best_epoch"]),
        fingerprint=fingerprint(study),
    )
    name = f"{study.name}-{config.method.name}-trial{row['trial']}"
    config = config.model_copy(update={"objective": config.objective.alone})
    exported = Study.of_trial(config, name=name, provenance=provenance, resources=study.resources)
    path = output / f"{exported.name}.yaml"
    objective = study.objective
    by = "" if answered is None else f"{answered.num_answers:,} answers" if answered.num_answers else "an estimate"
    ranked_by = f"# Ranked by {by}: {estimate_text(row)} mAP.\n" if by else ""
    text = (
        f"# Trial {row['trial']} of study {study.name}: {objective.text(row['value'])} {objective.metric} "
        f"in the search{_over_runs(row)}.\n{ranked_by}"
        f"# Suggested: {json.dumps(json.loads(row['values']))}\n"
        f"# Final training: wsml-study train {path} --seeds 3\n"
    ) + dump_config(exported)
    if path.exists() and path.read_text() != text:
        raise ResultsError(f"{path} exists and differs from what would be exported; move it, or name another -o folder")
    write_whole(path, text.encode())
    return path


def _over_runs(row: pd.Series) -> str:
    return f", mean of {row['runs']} seeds" if "runs" in row else ""
