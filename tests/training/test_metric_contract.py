"""Every epoch metric keeps the contract of `wsml_study.testing`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wsml_study.study.metric_record import METRICS
from wsml_study.testing.metric_contract import METRIC_CONTRACT, MetricCase
from wsml_study.testing.promises import promise_in_words


@pytest.mark.parametrize("promise", METRIC_CONTRACT, ids=promise_in_words)
@pytest.mark.parametrize("name", METRICS)
def test_every_metric_keeps(name: str, promise: Callable[[MetricCase], None]) -> None:
    promise(MetricCase(name=name))
