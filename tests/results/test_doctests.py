"""The examples in the docstrings hold."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize("module", ["figures.parts", "statistics", "wording"])
def test_examples_hold(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"wsml_study.results.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
