"""Importance of the searched keys."""

from __future__ import annotations

import json
import warnings

import altair as alt
import numpy as np

from wsml_study.report.figures.figure import Figure, LeftOut, Panel, rows
from wsml_study.report.figures.look import BLUE
from wsml_study.results.study_results import StudyRecord
from wsml_study.study.search_space import SearchSpace

FEWEST_TRIALS = 10
MOST_TRIALS = 10_000
"""Of more trials a sample is enough: it holds a thousand of the best tenth."""

BEST_SHARE, FEWEST_BEST = 0.1, 5
"""The best trials are a tenth of all, and at least five: fewer do not suffice for a density estimate."""


def importance(record: StudyRecord) -> Figure | LeftOut:
    """PED-ANOVA importance of every searched key."""
    name, title = "importance", "Importance of the searched keys"
    num_trials = int(record.trials["value"].notna().sum())
    if num_trials < FEWEST_TRIALS:
        why = f"It takes at least {FEWEST_TRIALS} trials with a value, and there are {num_trials}."
        return LeftOut(name=name, title=title, why=why)
    shares = ped_anova(record)
    if not shares:
        return LeftOut(name=name, title=title, why="No searched key distinguishes the best trials from the others.")
    found = [{"key": record.key_names[key], "share": share} for key, share in shares.items()]
    y = alt.Y("key:N", sort=[record.key_names[key] for key in shares], title=None, axis=alt.Axis(labelLimit=180))
    x = alt.X(
        "share:Q",
        title="PED-ANOVA importance (share)",
        axis=alt.Axis(format=".0%"),
        scale=alt.Scale(domain=[0, 1.12 * max(shares.values())]),  # room for the number
    )
    base = alt.Chart(rows(found)).encode(x=x, y=y)
    tooltip = [alt.Tooltip("key:N"), alt.Tooltip("share:Q", format=".1%")]
    bars = base.mark_bar(color=BLUE, height=14, cornerRadiusEnd=2).encode(tooltip=tooltip)
    numbers = base.mark_text(align="left", dx=5).encode(text=alt.Text("share:Q", format=".0%"))
    chart = alt.layer(bars, numbers).properties(height=32 * len(found))
    caption = (
        f"How much the values of a key among the best {_num_best(num_trials)} trials differ from its values among all "
        f"{num_trials}, as a share of all such differences. A trial that was stopped early counts with the value "
        "it had reached. With few trials the shares are unreliable."
    )
    if num_trials > MOST_TRIALS:
        caption += f" Computed from {MOST_TRIALS:,} of these trials, evenly by rank, a tenth of them the best."
    return Figure(name=name, title=title, caption=caption, panels=(Panel(chart=chart),), wide=True)


def ped_anova(record: StudyRecord) -> dict[str, float]:
    """Searched key -> its share of the importance, largest first; empty if no key has any.

    Source: Watanabe et al., "PED-ANOVA", IJCAI 2023, with Optuna's treatment of keys that only some trials have.
    """
    with warnings.catch_warnings():  # a notebook without ipywidgets: tqdm, which Optuna imports, would complain
        warnings.filterwarnings("ignore", message="IProgress not found")
        import optuna
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    space = SearchSpace.from_study(record.study)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    valued = record.trials.dropna(subset=["value"])
    if len(valued) > MOST_TRIALS:
        valued = valued.iloc[np.linspace(0, len(valued) - 1, MOST_TRIALS).round().astype(int)]
    for values, value in zip(valued["values"].map(json.loads), valued["value"], strict=True):
        study.add_trial(
            optuna.trial.create_trial(params=values, distributions=space.distributions(values), value=float(value))
        )
    evaluator = PedAnovaImportanceEvaluator(target_quantile=_num_best(len(valued)) / len(valued))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about few trials per branch of the search, which the caption says
        found = get_param_importances(study, evaluator=evaluator, normalize=False)
    total = sum(found.values())
    return {key: share / total for key, share in found.items()} if total > 0 else {}


def _num_best(num_trials: int) -> int:
    return max(round(BEST_SHARE * num_trials), FEWEST_BEST)
