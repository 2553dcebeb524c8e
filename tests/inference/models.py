"""Small models, really trained, in the folders that final training writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wsml_study.data.digit_scenes import read_digit_scenes
from wsml_study.data.label_states import POSITIVE
from wsml_study.record.model_folder import write_model_folder
from wsml_study.report.model_card import model_card
from wsml_study.study.provenance_section import Provenance
from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import TrialConfig
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import open_trial_data

PROVENANCE = Provenance(study="searched", trial=3, value=70.5, best_epoch=2, fingerprint="0123456789abcdef")


def train_model(folder: Path, config: TrialConfig, *, name: str = "small") -> Path:
    """Train a config in this process and write its folder, `folder`/`name`/seed_<n>."""
    trial = TrialTraining(config, open_trial_data(config.data), keep_best=True)
    for _ in range(config.training.last_epoch):
        trial.run_epoch()
    model = folder / name / f"seed_{config.training.seed}"
    write_model_folder(
        model,
        name=name,
        config=config,
        provenance=PROVENANCE,
        metrics=vars(trial.test()),
        weights=trial.best_weights_safetensors(),
        card=model_card,
    )
    return model


def config_of(content: dict[str, Any]) -> TrialConfig:
    study = parse_study({"name": "small"} | content, source="small")
    return SearchSpace.from_study(study).resolve(study, {})


def digits_config(method: str = "AN", **training: Any) -> TrialConfig:
    """A config that is trained in seconds."""
    schedule = {"schedule": {"rate_per_epoch": 0.01}} if method.startswith("LL") else {}
    settings = {"epochs": 2, "batch_size": 64, "learning_rate": 2e-3, "head_learning_rate_multiplier": 1.0}
    return config_of(
        {
            "data": {"dataset": "digit_scenes"},
            "method": {"name": method} | schedule,
            "training": settings | training,
        }
    )


def label_rows(count: int) -> list[tuple[str, list[int]]]:
    """Files of the test scenes, as the fixture `scenes` has them, and the numbers of their classes."""
    labels_NC = read_digit_scenes().test.labels_NC[:count]
    return [
        (f"{number // 10}0s/{number:03d}.png", [c for c in range(10) if labels_NC[number, c] == POSITIVE])
        for number in range(count)
    ]
