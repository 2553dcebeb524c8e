"""Gains over the classes."""

import pandas as pd
import pytest

from wsml_study.results.gain import ap_by_class, gain


def test_the_mean_is_over_classes_that_both_have():
    one = gain(pd.Series({"cat": 80.0, "dog": 70.0, "hen": 60.0}), pd.Series({"cat": 75.0, "dog": 72.0, "fox": 1.0}))
    assert (one.mean, one.num_classes) == (1.5, 2)
    assert (one.low, one.high) == (-2.0, 5.0)  # of two differences, 5 and -2, each draw may take one twice


def test_the_interval_is_the_percentile_bootstrap_over_classes():
    differences = pd.Series({f"class {n}": float(n % 5) for n in range(100)})
    one = gain(differences, differences * 0)
    assert one.mean == 2.0
    assert one.low == pytest.approx(2 - 1.96 * 2**0.5 / 10, abs=0.03)  # the standard deviation is the root of two
    assert one.high == pytest.approx(2 + 1.96 * 2**0.5 / 10, abs=0.03)


def test_one_class_is_too_few():
    assert gain(pd.Series({"cat": 1.0}), pd.Series({"cat": 2.0})) is None


def test_classes_without_annotations_and_the_test_split_are_left_out():
    columns = ["trial", "split", "class", "average_precision"]
    rows = [
        (0, "validation", "cat", 50.0),
        (0, "validation", "dog", None),
        (0, "test", "cat", 1.0),
        (1, "test", "a", 2.0),
    ]
    assert ap_by_class(pd.DataFrame(rows, columns=columns), 0).to_dict() == {"cat": 50.0}
