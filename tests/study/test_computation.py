"""Two configs have the same computation only if their trials must give the same results."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsml_study.study.computation import computation
from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace


def config(name="LL-Cp", rate=0.001, batch_size=16, epochs=10, **changes):
    """A trial's config."""
    method = {"name": name} | ({"schedule": {"rate_per_epoch": rate}} if name.startswith("LL") else {}) | changes
    content = {
        "name": "one",
        "data": {"dataset": "digit_scenes"},
        "method": method,
        "training": {"batch_size": batch_size, "epochs": epochs},
    }
    study = parse_study(content, source="test")
    return SearchSpace.from_study(study).resolve(study, {})


def same(one, other, *, num_images=160, num_classes=20, num_ranks=1):
    """Whether two configs compute the same."""
    sizes = {"num_images": num_images, "num_classes": num_classes, "num_ranks": num_ranks}
    return computation(one, **sizes) == computation(other, **sizes)


def test_rates_that_select_one_label_are_one_for_corrections_for_good_and_two_for_rejection():
    assert same(config(rate=0.0005), config(rate=0.002))
    assert not same(config("LL-R", 0.0005), config("LL-R", 0.002))
    assert not same(config(rate=0.003), config(rate=0.0032))  # .96 and 1.02 labels of a batch
    assert same(config(rate=0.0032), config(rate=0.006))


def test_the_last_batch_counts_too():
    assert same(config(rate=0.0033), config(rate=0.006), num_images=160)
    assert not same(config(rate=0.0033), config(rate=0.006), num_images=160 + 9)  # 180 entries: .6 and 1.08 labels


def test_a_last_batch_that_may_be_joined_counts_at_both_sizes():
    assert same(config(rate=0.0059), config(rate=0.006), num_images=161)  # 340 entries: 2.01 and 2.04
    assert not same(config(rate=0.0058), config(rate=0.006), num_images=161)  # 1.97 and 2.04


def test_all_else_makes_a_difference():
    one = config()
    assert same(one, config())
    assert not same(one, config("LL-Ct"))
    assert not same(one, config(variant="kept"))
    assert not same(one, config(epochs=11))
    assert not same(one, config(batch_size=8))
    assert not same(config("AN"), config("WAN"))


@pytest.mark.parametrize("variant", ["paper", "unobserved", "mlcpl"])
def test_where_k_depends_on_the_labels_of_a_batch_the_rates_are_compared(variant):
    assert not same(config(rate=0.001, variant=variant), config(rate=0.0011, variant=variant))
    assert same(config(rate=0.001, variant=variant), config(rate=1e-3, variant=variant))


@given(
    one=st.integers(1, 300),
    other=st.integers(1, 300),
    batch_size=st.sampled_from([4, 16, 33]),
    num_images=st.integers(30, 90),
)
def test_rejections_are_one_exactly_if_every_batch_rejects_as_many(one, other, batch_size, num_images):
    def counts(thousandths):
        batches = [batch_size] * (num_images // batch_size) + [num_images % batch_size]
        rates = [min(Fraction(thousandths, 10_000) * epoch, 1) for epoch in range(4)]
        return [[math.ceil(rate * images * 10) for images in batches] for rate in rates]

    configs = [config("LL-R", rate / 10_000, batch_size=batch_size, epochs=4) for rate in (one, other)]
    found = same(*configs, num_images=num_images, num_classes=10)
    left = num_images % batch_size
    if left != 1:  # a batch of one may be joined to the one before, which is compared as well
        assert found == (counts(one) == counts(other))
    elif found:
        assert counts(one) == counts(other)
