"""Final training: one config, several seeds, a model folder each; a study whose only searched key is the seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from wsml_study.errors import ResultsError
from wsml_study.study.early_stopping_section import EarlyStopping
from wsml_study.study.sampler_section import Sampler
from wsml_study.study.search_section import IntRange, Parameter
from wsml_study.study.spec import Study
from wsml_study.tuning.ledger import Listener
from wsml_study.tuning.run import Outcome, run_study

MOST_SEEDS = 1000
LONGEST_NAME = 100
ON_BOTH = "-trainval"
"""Suffix of the name of a training that uses the validation images too."""

TrainOn = Literal["train", "train+validation"]


def final_training(study: Study, listener: Listener, *, restart: bool = False, address: str | None = None) -> Outcome:
    """Train a config with several seeds.

    An interrupted training is resumed; a larger number of seeds than before adds to those that are done.

    Args:
        study: what `over_seeds` returns; models are written to `storage`/`name`/seed_<n>.
        listener: follows the training.
        restart: move earlier models aside.
        address: of a Ray cluster; None starts a local one.

    Raises:
        ResultsError, DataError, ResourcesError: as `run_study`.
    """
    folder = Path(study.storage) / study.name
    return run_study(study, listener, restart=restart, address=address, model_folder=folder)


def over_seeds(config: Study, *, num_seeds: int, on: TrainOn | None = None) -> Study:
    """The study that trains a config with several seeds.

    Args:
        config: with nothing left to search.
        num_seeds: how many.
        on: `train` keeps the epoch with the best validation score. `train+validation` trains on the validation images
            too and stops after the best epoch of the search, or after all epochs if the config does not record it; the
            name gets the suffix `-trainval`. None: as the config says.

    Raises:
        ResultsError: the config has searched keys, its name is too long for the suffix, or its storage is no folder.
    """
    if config.search:
        raise ResultsError(
            f"{config.name}: this is a study with {len(config.search)} searched keys, not a config; run it with "
            f"`wsml-study run` and export its best trials with `wsml-study export`"
        )
    if "://" in config.storage:
        raise ResultsError(
            f"{config.storage}: models are written to a folder that all machines can access; name one with -o"
        )
    first = config.training.seed
    changes: dict[str, Any] = {
        "search": {"training.seed": Parameter(int=IntRange(low=first, high=first + MOST_SEEDS - 1))},
        "sampler": Sampler(name="grid"),
        "early_stopping": EarlyStopping(name="none"),
        "trials": num_seeds,
    }
    if on == "train+validation" and config.data.holds_out:
        changes |= _on_both(config)
    if on == "train" and not config.data.holds_out:
        changes |= _on_train(config)
    return config.model_copy(update=changes)


def _on_both(config: Study) -> dict[str, Any]:
    name = f"{config.name}{ON_BOTH}"
    if len(name) > LONGEST_NAME:
        raise ResultsError(
            f"{name}: expected a name of at most {LONGEST_NAME} characters; give the config a shorter `name`"
        )
    best = None if config.provenance is None else config.provenance.best_epoch
    last = best if config.objective.of_best_epoch else None
    return {
        "name": name,
        "data": config.data.model_copy(update={"train_on": "train+validation"}),
        "training": config.training.model_copy(update={"stop_after_epoch": last or config.training.stop_after_epoch}),
    }


def _on_train(config: Study) -> dict[str, Any]:
    return {
        "name": config.name.removesuffix(ON_BOTH),
        "data": config.data.model_copy(update={"train_on": None}),
        "training": config.training.model_copy(update={"stop_after_epoch": None}),
    }
