"""Every method, and every variant of those that have some, keeps the contract of `wsml_study.testing`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from tests.methods.cases import CASES, STOPPED, options_of
from wsml_study.testing.method_contract import METHOD_CONTRACT, MethodCase, gradients_are_those_of_finite_differences
from wsml_study.testing.promises import promise_in_words


@cache  # what a case has been trained to serves all promises
def case_of(case: str) -> MethodCase:
    return MethodCase(name=case.partition(" ")[0], options=options_of(case), stops_gradients=case in STOPPED)


@pytest.mark.parametrize("promise", METHOD_CONTRACT, ids=promise_in_words)
@pytest.mark.parametrize("case", CASES)
def test_every_method_keeps(case: str, promise: Callable[[MethodCase], None]) -> None:
    if case in STOPPED and promise is gradients_are_those_of_finite_differences:
        pytest.skip("test_oracles.py takes finite differences that stop where the formula does")
    promise(case_of(case))
