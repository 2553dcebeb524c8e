"""Optuna's own samplers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wsml_study.options import AT_LEAST_0, COUNT, COUNT_OR_0, FLAG, FRACTION, Kind, Limits, Option, one_of
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

    arguments = {"seed": request.seed, "constant_liar": request.several_at_once, **_given(request)}
    if request.num_proposals == 1:
        return TPESampler(**arguments)
    from wsml_study.tuning.shared_tpe import SharedTpe

    return SharedTpe(**arguments)


def uniform(request: SamplerRequest) -> BaseSampler:
    """Uniform draws."""
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=request.seed)


def gaussian_process(request: SamplerRequest) -> BaseSampler:
    """Bayesian optimization with a Gaussian process."""
    from optuna.samplers import GPSampler

    return GPSampler(seed=request.seed, **_given(request))


def cmaes(request: SamplerRequest) -> BaseSampler:
    """The covariance matrix adaptation evolution strategy; needs the package cmaes."""
    from optuna.samplers import CmaEsSampler

    return CmaEsSampler(seed=request.seed, warn_independent_sampling=False, **_given(request))


def nsga2(request: SamplerRequest) -> BaseSampler:
    """The genetic algorithm NSGA-II."""
    from optuna.samplers import NSGAIISampler

    return NSGAIISampler(seed=request.seed, **_given(request))


def quasi_monte_carlo(request: SamplerRequest) -> BaseSampler:
    """A sequence of low discrepancy; its points depend on the study's seed and the proposal's number only."""
    from wsml_study.tuning.point_sequence import PointSequence

    return PointSequence(space=dict(request.space), number=request.number, seed=request.study_seed, **_given(request))


def _given(request: SamplerRequest) -> dict[str, Any]:
    """The options that have a value, as arguments of a sampler of Optuna's."""
    return {key: value for key, value in request.options.items() if value is not None and key != BATCH.key}


RECORDS = (
    SamplerRecord(
        name="tpe",
        position=10,
        title="the tree-structured Parzen estimator, a model-based sampler for any search",
        create=tpe,
        takes_second_objective=True,
        takes_given_trials=True,
        sees_window=True,
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
            Option(
                key="prior_weight",
                limits=AT_LEAST_0,
                computed="1",
                meaning="weight of the uniform prior over the whole range in the model",
            ),
            Option(
                key="consider_magic_clip",
                limits=FLAG,
                computed="as Optuna chooses",
                meaning="bounds how narrow the model's kernels become",
            ),
            Option(
                key="consider_endpoints",
                limits=FLAG,
                computed="as Optuna chooses",
                meaning="lets the ends of a range widen the kernels next to them",
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
        takes_priors=False,
    ),
    SamplerRecord(
        name="brute_force",
        position=32,
        title="every combination once, in an order drawn at random, so that a search cut short has seen an even sample",
        create=uniform,
        model_based=False,
        exhaustive=True,
        shuffled=True,
        takes_priors=False,
    ),
    SamplerRecord(
        name="qmc",
        position=35,
        title="a quasi-random sequence, which covers the ranges more evenly than random draws",
        create=quasi_monte_carlo,
        model_based=False,
        takes_priors=False,
        options=(
            Option(
                key="qmc_type",
                limits=one_of(sobol="best with 2, 4, 8, 16 ... trials", halton="for any number of trials"),
                default="sobol",
                meaning="the sequence",
            ),
            Option(
                key="scramble",
                limits=FLAG,
                default=True,
                meaning="randomizes the sequence by the seed; without it every study has the same points",
            ),
        ),
    ),
    SamplerRecord(
        name="gp",
        position=40,
        title="Bayesian optimization with a Gaussian process",
        create=gaussian_process,
        needs_numbers=True,
        takes_given_trials=True,
        options=(
            BATCH,
            N_STARTUP_TRIALS,
            Option(
                key="deterministic_objective",
                limits=FLAG,
                default=False,
                meaning="takes objectives as exact, instead of estimating their noise",
            ),
        ),
    ),
    SamplerRecord(
        name="cmaes",
        position=50,
        title="an evolution strategy for numbers (CMA-ES)",
        create=cmaes,
        needs_numbers=True,
        options=(
            BATCH,
            replace(N_STARTUP_TRIALS, default=1),
            Option(
                key="sigma0",
                limits=Limits(without_least=True),
                computed="a sixth of the range",
                meaning="deviation of the first generation",
            ),
            Option(
                key="popsize",
                limits=Limits(kind=Kind.WHOLE, least=2),
                computed="from the number of keys",
                meaning="trials of a generation",
            ),
            Option(
                key="consider_pruned_trials",
                limits=FLAG,
                default=False,
                meaning="lets trials that were stopped early count, by their last value",
            ),
            Option(
                key="use_separable_cma",
                limits=FLAG,
                default=False,
                meaning="models keys independently, which learns faster with many of them",
            ),
            Option(
                key="with_margin",
                limits=FLAG,
                default=False,
                meaning="keeps integers and steps from freezing at one value",
            ),
            Option(
                key="lr_adapt", limits=FLAG, default=False, meaning="adapts the learning rate, for noisy objectives"
            ),
        ),
        requires=(Requirement(module="cmaes", install="pip install 'wsml-study[cmaes]'"),),
    ),
    SamplerRecord(
        name="nsgaii",
        position=60,
        title="a genetic algorithm (NSGA-II)",
        create=nsga2,
        takes_second_objective=True,
        options=(
            BATCH,
            Option(key="population_size", limits=COUNT, default=50, meaning="trials of a generation"),
            Option(
                key="mutation_prob",
                limits=FRACTION,
                computed="1 / the number of keys",
                meaning="probability that a key of a child is drawn anew",
            ),
            Option(
                key="crossover_prob",
                limits=FRACTION,
                default=0.9,
                meaning="probability that a child has two parents",
            ),
            Option(
                key="swapping_prob",
                limits=FRACTION,
                default=0.5,
                meaning="probability that a key of a child comes from the second parent",
            ),
        ),
    ),
)
