"""Seeds in rounds: error rates and power on simulated studies, and p values against simulations of their own."""

import numpy as np
import pytest
from scipy import stats

from wsml_study.results.sequential import (
    Rounds,
    chance_to_settle,
    equivalence_p,
    lower_p,
    rounds_up_to,
    two_sided_p,
)
from wsml_study.results.verdicts import FIXED, Rule, Verdict, judge

ROUNDS = Rounds(rounds_up_to(15))
VALUES = np.array([0.4, 1.1, 0.2, 0.9, 0.3])


def test_rounds_have_five_seeds_or_a_multiple():
    assert rounds_up_to(30) == (5, 10, 15, 20, 25, 30)
    assert rounds_up_to(12) == (5, 10, 12)
    assert rounds_up_to(6) == (5, 6)
    assert rounds_up_to(1000)[:3] == (5, 105, 205)
    assert rounds_up_to(1000)[-1] == 1000


def test_tests_of_a_round_are_scipys():
    assert two_sided_p(VALUES) == pytest.approx(stats.ttest_1samp(VALUES, 0).pvalue)
    assert two_sided_p(-VALUES) == pytest.approx(two_sided_p(VALUES), abs=0)
    assert lower_p(VALUES, 1.0) == pytest.approx(stats.ttest_1samp(VALUES, 1.0, alternative="less").pvalue)
    above = stats.ttest_1samp(VALUES, -1.0, alternative="greater").pvalue
    assert equivalence_p(VALUES, 1.0) == pytest.approx(max(lower_p(VALUES, 1.0), above))


def test_differences_that_do_not_vary_have_clear_p_values():
    assert two_sided_p(np.zeros(3)) == 1.0
    assert two_sided_p(np.full(3, -0.5)) == 0.0
    assert equivalence_p(np.zeros(3), 0.1) == 0.0
    assert equivalence_p(np.full(3, 0.1), 0.1) == 1.0


def test_one_round_is_a_plain_test():
    assert FIXED.p_value([0.03]) == 0.03
    assert FIXED.last_level(0.05) == 0.05


def test_the_p_value_over_rounds_is_that_of_the_smallest_under_independent_simulation():
    rng = np.random.default_rng(5)
    draws = rng.standard_normal((20_000, 15))
    p_by_round = [stats.ttest_1samp(draws[:, :count], 0, axis=1).pvalue for count in (5, 10, 15)]
    least = np.min([p * 15 / count for p, count in zip(p_by_round, (5, 10, 15), strict=True)], axis=0)
    for p_values in ([0.004], [0.2, 0.01], [0.5, 0.3, 0.02]):
        mine = min(p * 15 / count for p, count in zip(p_values, (5, 10, 15), strict=False))
        assert ROUNDS.p_value(p_values) == pytest.approx((least <= mine).mean(), abs=0.005)
    assert ROUNDS.p_value([0.004]) >= ROUNDS.p_value([0.004, 0.001]), "more rounds only add evidence"
    assert 0.0 < ROUNDS.p_value([1e-12]) < 1e-10
    assert ROUNDS.last_level(0.05) == pytest.approx(np.quantile(least, 0.05), abs=0.004)


def test_a_comparison_without_prospect_is_given_up_and_others_go_on():
    level = np.array([1.0, -1.0, 0.5, -0.5, 0.2, -0.2, 1.5, -1.5, 0.3, -0.3])
    steep = np.array([0.2, 1.9, 0.4, 1.5, 0.5])
    assert chance_to_settle(level, ROUNDS, alpha=0.05, margin=None) < 0.05
    assert chance_to_settle(steep, ROUNDS, alpha=0.05, margin=None) > 0.5
    rule = Rule(rounds=ROUNDS, alpha=0.05, margin=None)
    verdicts = [one.verdict for one in judge([[level[:5], level], [steep], []], rule)]
    assert verdicts == [Verdict.FUTILE, Verdict.OPEN, Verdict.OPEN]


def test_a_certain_difference_within_the_margin_is_equivalence():
    points = np.array([0.10, 0.11, 0.09, 0.10, 0.12])
    (found,) = judge([[points]], Rule(rounds=FIXED, alpha=0.05, margin=0.5))
    assert found.corrected < 0.05
    assert found.verdict is Verdict.EQUIVALENT


def simulated(shifts, *, margin=None, studies=200, seed=12):
    """Verdicts on three configs in each of many simulated studies, and their seeds."""
    rng, rule = np.random.default_rng(seed), Rule(rounds=ROUNDS, alpha=0.05, margin=margin)
    for _ in range(studies):
        runs = rng.standard_normal((len(shifts) + 1, 15)) / np.sqrt(2)
        differences = runs[1:] - runs[0] + np.array(shifts)[:, None]
        rounds = [[] for _ in shifts]
        going = range(len(shifts))
        for count in ROUNDS.looks:
            for config in going:
                rounds[config].append(differences[config, :count])
            found = judge(rounds, rule)
            going = [config for config, one in enumerate(found) if one.verdict is Verdict.OPEN]
            if not going:
                break
        yield [one.verdict for one in found], [len(one[-1]) for one in rounds]


def test_simulated_null_studies_claim_a_difference_as_rarely_as_stated():
    wrong = np.mean([{*verdicts} & {Verdict.ABOVE, Verdict.BELOW} != set() for verdicts, _ in simulated((0, 0))])
    assert wrong <= 0.09  # of 200 studies at a rate of .05, 99 % have fewer


def test_simulated_shifted_studies_are_found_with_fewer_seeds_than_allowed():
    found = list(simulated((1.5, 0)))
    assert np.mean([verdicts[0] is Verdict.ABOVE for verdicts, _ in found]) >= 0.95
    assert np.mean([seeds[0] for _, seeds in found]) < 11


def test_simulated_equal_configs_are_found_to_be_and_those_at_the_margin_are_not():
    verdicts = [verdicts for verdicts, _ in simulated((0, 1.2), margin=1.2)]
    assert np.mean([first is Verdict.EQUIVALENT for first, _ in verdicts]) >= 0.9
    assert np.mean([second is Verdict.EQUIVALENT for _, second in verdicts]) <= 0.09
