"""A trial's config and the study around it: all sections of a study file together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from wsml_study.description import Description, PositiveInt
from wsml_study.study.clashes import Clash, clashes
from wsml_study.study.confirm_section import Confirm
from wsml_study.study.credentials import without_secret
from wsml_study.study.data_section import Data
from wsml_study.study.early_stopping_section import EarlyStopping
from wsml_study.study.fidelity_section import Level
from wsml_study.study.key_rules import BrokenRule, broken_rules, value_at
from wsml_study.study.method_section import Method
from wsml_study.study.model_section import Model
from wsml_study.study.objective_section import Objective
from wsml_study.study.provenance_section import Provenance
from wsml_study.study.resources_section import Resources
from wsml_study.study.sampler_section import Sampler
from wsml_study.study.search_section import Parameter
from wsml_study.study.tracking_section import Tracking
from wsml_study.study.training_section import Training


def clashes_of(content: Mapping[str, Any]) -> list[Clash]:
    """Values of plain content, defaults included, that no trial can have together."""
    return clashes(
        dataset=value_at(content, "data.dataset"),
        backbone=value_at(content, "model.backbone"),
        weights=value_at(content, "model.weights"),
        head=value_at(content, "model.head"),
        mode=value_at(content, "training.mode"),
    )


def _refuse(broken: list[BrokenRule], clashing: list[Clash]) -> None:
    problems = [f"{one.rule.key}: {one.message}" for one in broken] + [f"{one.key}: {one.message}" for one in clashing]
    if problems:
        raise ValueError("; ".join(problems))


class TrialConfig(Description):
    """Everything that decides what one trial computes."""

    data: Data
    model: Model = Model()
    method: Method
    training: Training = Training()
    objective: Objective = Objective()

    @model_validator(mode="after")
    def _keys_go_together(self) -> Self:
        content = self.model_dump(mode="json")
        _refuse(broken_rules(content), clashes_of(content))
        return self


class Draft(Description):
    """A study file's keys, each of them good by itself; whether they go together is `Study`'s business."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] = Field(
        description="Names the study's folder: letters, digits, `.`, `_` and `-`."
    )
    data: Data = Field(description="Images, labels, and what is hidden of them.")
    model: Model = Field(default=Model(), description="The classifier: a backbone and one linear head.")
    method: Method = Field(description="How unobserved labels are treated.")
    training: Training = Field(default=Training(), description="One trial's optimization.")
    search: dict[str, Parameter] = Field(
        default={}, description="What to search: dotted key of the base config -> its values."
    )
    objective: Objective = Field(default=Objective(), description="What a trial is judged by.")
    sampler: Sampler = Field(default=Sampler(), description="Who proposes the next trial.")
    early_stopping: EarlyStopping = Field(
        default=EarlyStopping(), description="Who ends a trial before its last epoch."
    )
    trials: PositiveInt = Field(
        default=1,
        description="How many trials the study has in the end; with `fidelity`, how many its first level has.",
    )
    fidelity: tuple[Level, ...] | None = Field(
        default=None,
        min_length=1,
        strict=False,
        description="Search on cheaper levels first, the cheapest one first; only survivors run at full size.",
    )
    confirm: Confirm | None = Field(
        default=None,
        description="After the search: the best configs and the best baseline again, over fresh seeds; `wsml-study "
        "confirm` does the same later.",
    )
    retries: Annotated[int, Field(ge=0, le=10)] = Field(
        default=2, description="How often a trial that fails is tried again before it counts as failed."
    )
    tracking: Tracking = Field(default=Tracking(), description="Other programs that show the study as it runs.")
    resources: Resources = Field(default=Resources(), description="What one trial runs on.")
    storage: Annotated[str, AfterValidator(without_secret)] = Field(
        default="results", description="Folder that receives a folder per study."
    )
    provenance: Provenance | None = Field(
        default=None, description="Where an exported config comes from. Decides nothing."
    )

    @property
    def full_size_trials(self) -> int:
        """How many trials run with nothing made cheaper."""
        return self.trials if self.fidelity is None else self.fidelity[-1].survivors

    def broken_rules(self) -> list[BrokenRule]:
        """What is wrong with the base config whichever values are searched."""
        return [broken for broken in broken_rules(self.model_dump(mode="json")) if not self._left_open(broken)]

    def _left_open(self, broken: BrokenRule) -> bool:
        """Whether the search decides it: every trial's own config is checked when it is made."""
        if broken.rule.controlling_key in self.search:
            return True
        key = broken.rule.key
        return broken.missing and any(searched == key or searched.startswith(f"{key}.") for searched in self.search)


class Study(Draft):
    """A base config and the search around it; without `search`, one config with nothing left to search."""

    @model_validator(mode="after")
    def _keys_go_together(self) -> Self:
        clashing = [clash for clash in clashes_of(self.model_dump(mode="json")) if not clash.about & self.search.keys()]
        _refuse(self.broken_rules(), clashing)
        return self

    @classmethod
    def of_trial(
        cls, config: TrialConfig, *, name: str, provenance: Provenance | None = None, resources: Resources | None = None
    ) -> Study:
        """A study that is this one trial, with nothing left to search."""
        return cls(
            name=name,
            data=config.data,
            model=config.model,
            method=config.method,
            training=config.training,
            objective=config.objective,
            resources=resources or Resources(),
            provenance=provenance,
        )
