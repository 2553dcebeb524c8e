"""`TrialConfig`, the config of one trial, and `Study`, all sections of a study file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from wsml_study.description import Description, PositiveInt, Scalar
from wsml_study.study.budget_section import UNBOUNDED_TRIALS, Budget, StopWhen
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
from wsml_study.study.seeds_section import SeedsKey
from wsml_study.study.tracking_section import Tracking
from wsml_study.study.training_section import Training


def clashes_of(content: Mapping[str, Any]) -> list[Clash]:
    """Contradictions among the values of plain content, which must include defaults."""
    return clashes(
        dataset=value_at(content, "data.dataset"),
        backbone=value_at(content, "model.backbone"),
        weights=value_at(content, "model.weights"),
        head=value_at(content, "model.head"),
        mode=value_at(content, "training.mode"),
        method=value_at(content, "method.name"),
        mixup=value_at(content, "training.mixup"),
        has_lora=value_at(content, "model.lora") is not None and value_at(content, "model.lora.rank") != 0,
    )


def _refuse(broken: list[BrokenRule], clashing: list[Clash]) -> None:
    problems = [f"{one.rule.key}: {one.message}" for one in broken] + [f"{one.key}: {one.message}" for one in clashing]
    if problems:
        raise ValueError("; ".join(problems))


class TrialConfig(Description):
    """All settings that affect the result of one trial."""

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
    """A study file whose keys are each valid; `Study` also checks that they do not contradict each other."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] = Field(
        description="Names the study's folder: letters, digits, `.`, `_` and `-`."
    )
    recipe: Literal["kim2022", "asl2021", "splc2022", "gr2024"] | None = Field(
        default=None,
        exclude=True,
        description="The optimization of published code, for keys of `training` that the file leaves out; `wsml-study "
        "check` shows its values. The study's folder records these, and no recipe.",
    )
    data: Data = Field(description="Images, labels, and which labels are hidden from the method.")
    model: Model = Field(default=Model(), description="The classifier: a backbone and one linear head.")
    method: Method = Field(description="How unobserved labels are treated.")
    training: Training = Field(default=Training(), description="Optimization of one trial.")
    search: dict[str, Parameter] = Field(
        default={}, description="Search space: dotted key of the base config -> its range or choices."
    )
    factors: dict[str, Annotated[tuple[Scalar, ...], Field(min_length=1, strict=False)]] | None = Field(
        default=None,
        min_length=1,
        description="Dotted key of the base config -> its levels: every config of the search runs at each combination.",
    )
    weights_of: dict[str, str] | None = Field(
        default=None,
        min_length=1,
        description="Backbone -> its pretrained weights, for a study of several backbones; of a backbone that is not "
        "listed, those of `model.weights`.",
    )
    start_from: tuple[Annotated[str | dict[str, Scalar], Field(union_mode="left_to_right")], ...] | None = Field(
        default=None,
        min_length=1,
        strict=False,
        description="Configs that run first: `paper` (the published settings of each method), the path of an exported "
        "config, or a mapping of searched keys to values.",
    )
    warm_start: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        strict=False,
        description="Folders of earlier studies on the same question, whose complete trials inform the sampler.",
    )
    objective: Objective = Field(default=Objective(), description="The metric that trials are compared by.")
    sampler: Sampler = Field(default=Sampler(), description="The sampler that proposes the values of trials.")
    early_stopping: EarlyStopping = Field(
        default=EarlyStopping(), description="The rule that ends trials before their last epoch."
    )
    trials: PositiveInt = Field(
        default=1,
        description="Total number of trials; with `fidelity`, the number of trials of the first level; with `seeds`, "
        "that of configs. With `budget` and without `trials`, as many as the budget holds.",
    )
    seeds: SeedsKey = Field(
        default=None,
        description="Run each config over so many seeds, and judge it by the mean; a bad config loses after one seed.",
    )
    budget: Budget | None = Field(
        default=None,
        description="What the search may spend; a larger budget later goes on with it. A confirmation comes on top.",
    )
    stop_when: StopWhen | None = Field(default=None, description="When the search has found enough and ends.")
    fidelity: tuple[Level, ...] | None = Field(
        default=None,
        min_length=1,
        strict=False,
        description="Multi-fidelity search: cheaper levels, the cheapest first; only survivors run at full size.",
    )
    test_trials: bool | None = Field(
        default=None,
        description="Evaluate the best epoch of every complete trial on the test images, for a study whose trials are "
        "results, such as a table of methods over seeds; false by default, so that a search never sees them.",
    )
    confirm: Confirm | None = Field(
        default=None,
        description="After the search, run the best configs and the best baseline again over fresh seeds; `wsml-study "
        "confirm` does the same later.",
    )
    retries: Annotated[int, Field(ge=0, le=10)] = Field(
        default=2, description="How often a failed trial is retried before it counts as failed."
    )
    tracking: Tracking = Field(default=Tracking(), description="Experiment trackers that show the study while it runs.")
    resources: Resources = Field(default=Resources(), description="Workers, GPUs and CPUs of one trial.")
    storage: Annotated[str, AfterValidator(without_secret)] = Field(
        default="results", description="Folder, or URI such as s3://bucket/studies, that holds one folder per study."
    )
    provenance: Provenance | None = Field(
        default=None, description="Study and trial that an exported config comes from; without effect on results."
    )

    @model_validator(mode="before")
    @classmethod
    def _as_many_as_the_budget_holds(cls, content: Any) -> Any:
        if isinstance(content, dict) and content.get("budget") and "trials" not in content:
            return {**content, "trials": UNBOUNDED_TRIALS}
        return content

    @property
    def sampler_sees_window(self) -> bool:
        """Whether the sampler of a long search is shown some of its trials only; see `WINDOWED_FROM`."""
        return self.sampler.record.sees_window and self.objective.second is None and not self.objective.bounds

    @property
    def is_unbounded(self) -> bool:
        """Whether only the budget ends the search."""
        return self.trials >= UNBOUNDED_TRIALS

    @property
    def varied(self) -> dict[str, Parameter]:
        """The keys in which trials may differ: those that are searched, and the factors, as choices."""
        return self.search | {key: Parameter(choice=levels) for key, levels in (self.factors or {}).items()}

    @property
    def full_size_trials(self) -> int:
        """The number of trials at full size."""
        return self.trials if self.fidelity is None else self.fidelity[-1].survivors

    def set_weights(self, content: dict[str, Any]) -> None:
        """Give the model of a plain config the weights that the study lists for its backbone, if it lists any."""
        weights = (self.weights_of or {}).get(value_at(content, "model.backbone"))
        if weights is not None:
            content["model"]["weights"] = weights

    def broken_rules(self) -> list[BrokenRule]:
        """Key rules that the base config breaks regardless of the search."""
        return [broken for broken in broken_rules(self.model_dump(mode="json")) if not self._left_open(broken)]

    def _left_open(self, broken: BrokenRule) -> bool:
        """Whether it depends on searched values; the config of every trial is checked when it is created."""
        if broken.rule.controlling_key in self.varied:
            return True
        key = broken.rule.key
        return broken.missing and any(searched == key or searched.startswith(f"{key}.") for searched in self.varied)


class Study(Draft):
    """A base config and the search around it; without `search`, a single config."""

    @model_validator(mode="after")
    def _keys_go_together(self) -> Self:
        content = self.model_dump(mode="json")
        self.set_weights(content)
        clashing = [clash for clash in clashes_of(content) if not clash.about & self.varied.keys()]
        _refuse(self.broken_rules(), clashing)
        return self

    @classmethod
    def of_trial(
        cls, config: TrialConfig, *, name: str, provenance: Provenance | None = None, resources: Resources | None = None
    ) -> Study:
        """A study without a search, whose only trial has this config."""
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
