"""Optuna's own samplers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsml_study.options import COUNT, COUNT_OR_0, FLAG, Option
from wsml_study.registry import Requirement
from wsml_study.study.sampler_record import BATCH, SamplerRecord, SamplerRequest

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

N_STARTUP_TRIALS = Option(
    key="n_startup_trials",
    limits=COUNT_OR_0,
    default=10,
    meaning="number of trials that are proposed at random before the model is used",
)


def tpe(request: SamplerRequest) -> BaseSampler:
    """The tree-structured Parzen estimator."""
    from optuna.samplers import TPESampler

    multivariate = request.options["multivariate"]
    return TPESampler(
        seed=request.seed,
        constant_liar=request.several_at_once,
        n_startup_trials=int(request.options["n_startup_trials"] or 0),
        n_ei_candidates=int(request.options["n_ei_candidates"] or 1),
        multivariate=None if multivariate is None else bool(multivariate),
        group=bool(request.options["group"]),
    )


def uniform(request: SamplerRequest) -> BaseSampler:
    """Uniform draws."""
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=request.seed)


def gaussian_process(request: SamplerRequest) -> BaseSampler:
    """Bayesian optimization with a Gaussian process."""
    from optuna.samplers import GPSampler

    return GPSampler(seed=request.seed, n_startup_trials=int(request.options["n_startup_trials"] or 0))


def cmaes(request: SamplerRequest) -> BaseSampler:
    """The covariance matrix adaptation evolution strategy; needs the package cmaes."""
    from optuna.samplers import CmaEsSampler

    return CmaEsSampler(seed=request.seed, warn_independent_sampling=False)


def nsga2(request: SamplerRequest) -> BaseSampler:
    """The genetic algorithm NSGA-II."""
    from optuna.samplers import NSGAIISampler

    return NSGAIISampler(seed=request.seed, population_size=int(request.options["population_size"] or 1))


RECORDS = (
    SamplerRecord(
        name="tpe",
        position=10,
        title="the tree-structured Parzen estimator, a model-based sampler for any search",
        create=tpe,
        options=(
            BATCH,
            N_STARTUP_TRIALS,
            Option(
                key="n_ei_candidates",
                limits=COUNT,
                default=24,
                meaning="candidates that are drawn for each proposal, of which the best is taken",
            ),
            Option(
                key="multivariate",
                limits=FLAG,
                computed="as Optuna chooses for the search",
                meaning="models searched keys jointly, instead of each independently",
            ),
            Option(
                key="group",
                limits=FLAG,
                default=False,
                meaning="with multivariate: models the keys that trials of the same conditions share, not only those "
                "that all trials have",
            ),
        ),
    ),
    SamplerRecord(name="random", position=20, title="uniform draws", create=uniform, model_based=False),
    SamplerRecord(
        name="grid",
        position=30,
        title="every combination once, in a fixed order",
        create=uniform,
        model_based=False,
        exhaustive=True,
    ),
    SamplerRecord(
        name="gp",
        position=40,
        title="Bayesian optimization with a Gaussian process",
        create=gaussian_process,
        needs_numbers=True,
        options=(BATCH, N_STARTUP_TRIALS),
    ),
    SamplerRecord(
        name="cmaes",
        position=50,
        title="an evolution strategy for numbers (CMA-ES)",
        create=cmaes,
        needs_numbers=True,
        options=(BATCH,),
        requires=(Requirement(module="cmaes", install="pip install 'wsml-study[cmaes]'"),),
    ),
    SamplerRecord(
        name="nsgaii",
        position=60,
        title="a genetic algorithm (NSGA-II)",
        create=nsga2,
        options=(
            BATCH,
            Option(key="population_size", limits=COUNT, default=50, meaning="trials of a generation"),
        ),
    ),
)
