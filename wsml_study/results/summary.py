"""A study's and a training's results as lines of text."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from wsml_study.errors import ResultsError
from wsml_study.results.ranking import best_per_method, ranked_trials
from wsml_study.results.storage import open_storage

WHAT_DECIDES = {"method.name"}
UPPER_BOUND = "full"
"""The method that sees every true label: what the others could reach at most, not an answer."""


def trials_table(folder: Path, *, top: int | None = None) -> list[str]:
    """Ranked trials as aligned columns.

    Raises:
        ResultsError: the folder holds no study's tables.
    """
    ranked = ranked_trials(folder)
    shown = ranked.head(top or len(ranked))
    searched = [key for key in _searched_keys(ranked) if key not in WHAT_DECIDES]
    columns = {
        "rank": shown["rank"].astype(str),
        "trial": shown["trial"].astype(str),
        "method": shown["method"],
        **{key.rpartition(".")[2]: shown[key].map(_number) for key in searched},
        "val mAP": shown["value"].map(_percent),
        "best epoch": shown["best_epoch"].map(_number),
        "epochs": shown["last_epoch"].astype(str),
        "state": shown["state"] + shown["error"].map(lambda error: f": {error}" if isinstance(error, str) else ""),
    }
    return _aligned({name: list(values) for name, values in columns.items()})


def study_summary(folder: Path, *, place: str, num_trials: int, study_argument: str) -> list[str]:
    """What the screen shows after a run: the ranking, the answer, where the tables are, what to type next."""
    ranked = ranked_trials(folder)
    counts = ranked["state"].value_counts()
    ended = int(sum(counts.get(state, 0) for state in ("complete", "stopped", "failed")))
    lines = [
        f"{folder.name}: {ended} of {num_trials} trials ended ({counts.get('complete', 0)} complete, "
        f"{counts.get('stopped', 0)} stopped early, {counts.get('failed', 0)} failed)",
        "",
        *trials_table(folder),
        "",
        *_answer(ranked),
        f"Tables: {_short(place)}/trials.parquet, epochs.parquet, classes.parquet",
    ]
    if ended < num_trials:
        return [*lines, "Not finished; nothing is lost. Go on with the same command."]
    if ranked["value"].notna().any():
        best = _contenders(ranked).iloc[0]
        config = f"configs/{folder.name}-{best['method']}-trial{best['trial']}.yaml"
        lines += ["Next:", f"  wsml-study export {study_argument} --per method -o configs/"]
        lines += [f"  wsml-study train {config} --seeds 3"]
    return lines


def training_summary(folder: Path) -> list[str]:
    """Test mAP per seed, their mean and spread, and where the models are."""
    trials = ranked_trials(folder).dropna(subset=["test_map"]).sort_values("trial")
    if trials.empty:
        return ["No seed has been trained to its end yet; the same command goes on."]
    seeds = [json.loads(values)["training.seed"] for values in trials["values"]]
    lines = _aligned(
        {
            "seed": [str(seed) for seed in seeds],
            "best epoch": trials["best_epoch"].map(_number).tolist(),
            "val mAP": trials["value"].map(_percent).tolist(),
            "test mAP": trials["test_map"].map(_percent).tolist(),
            "model": [f"{_short(str(folder))}/seed_{seed}" for seed in seeds],
        }
    )
    mean = f"test mAP {trials['test_map'].mean():.2f} %"
    spread = f" (standard deviation {trials['test_map'].std():.2f} over {len(trials)} seeds)" if len(trials) > 1 else ""
    return [*lines, "", f"{folder.name}: {mean}{spread}, of the epoch with the best validation mAP"]


def study_folder(name: str, storage: str) -> Path:
    """Where a study's results are, or a fresh copy of them if they are kept elsewhere.

    Raises:
        ResultsError: they are not there.
    """
    place = open_storage(storage, name)
    if not place.exists():
        raise ResultsError(f"{place.described}: no results of study {name} yet; `wsml-study run` makes them")
    return place.fetch()


def _answer(ranked: pd.DataFrame) -> list[str]:
    methods = best_per_method(ranked)
    if methods.empty:
        return ["No trial ended an epoch."]
    upper_bound = methods[methods["method"] == UPPER_BOUND]
    best = _contenders(methods).iloc[0]
    searched = {key.rpartition(".")[2]: best[key] for key in _searched_keys(ranked) if key not in WHAT_DECIDES}
    at = ", ".join(f"{name} {_number(value)}" for name, value in searched.items() if _number(value) != "-")
    lines = [
        f"Best in this search: {best['method']}{f' at {at}' if at else ''}, "
        f"{best['value']:.2f} % validation mAP (trial {best['trial']})"
    ]
    baseline = methods[methods["method"] == "AN"]
    if best["method"] != "AN" and not baseline.empty:
        gain = best["value"] - baseline.iloc[0]["value"]
        lines.append(f"That is {gain:.2f} points above the best AN trial ({baseline.iloc[0]['value']:.2f} %).")
    if best["method"] != UPPER_BOUND and not upper_bound.empty:
        lines.append(
            f"With all labels ({UPPER_BOUND}), which is no contender, it is {upper_bound.iloc[0]['value']:.2f} %."
        )
    lines.append("The best of a search flatters itself: train it over several seeds before you quote a figure.")
    return lines


def _contenders(ranked: pd.DataFrame) -> pd.DataFrame:
    """Trials that saw no more than the observed labels; all trials if every one saw more."""
    contenders = ranked[ranked["method"] != UPPER_BOUND]
    return contenders if contenders["value"].notna().any() else ranked


def _searched_keys(ranked: pd.DataFrame) -> list[str]:
    return list(ranked.columns[list(ranked.columns).index("config") + 1 :])


def _aligned(columns: dict[str, list[str]]) -> list[str]:
    widths = {name: max(len(name), *(len(value) for value in values), 0) for name, values in columns.items()}
    rows = zip(*columns.values(), strict=True)
    lines = ["  ".join(name.ljust(widths[name]) for name in columns)]
    lines += ["  ".join(value.ljust(width) for value, width in zip(row, widths.values(), strict=True)) for row in rows]
    return [line.rstrip() for line in lines]


def _number(value: object) -> str:
    if value is None or pd.isna(value):  # type: ignore[call-overload]
        return "-"
    if isinstance(value, float):
        return str(int(value)) if value == int(value) and abs(value) >= 1 else f"{value:.4g}"
    return str(value)


def _percent(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.2f}"


def _short(place: str) -> str:
    """A path relative to where the command runs, where that is shorter."""
    path = Path(place)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else place
