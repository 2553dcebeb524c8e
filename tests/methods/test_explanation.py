"""`wsml-study methods`: what it says, and that its curves are those of the methods."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from wsml_study.errors import MethodError
from wsml_study.methods.catalogue import HEADS, METHODS
from wsml_study.methods.curves import curve
from wsml_study.methods.explanation import WIDEST, explain, overview, plot


def test_the_overview_has_a_line_for_every_method_and_head() -> None:
    lines = overview()
    for name, title in [(one.name, one.title) for one in (*METHODS.values(), *HEADS.values())]:
        assert f" {name} {title}" in " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= WIDEST


def test_the_overview_starts_without_torch() -> None:
    program = (
        "import sys; from wsml_study.methods.explanation import overview; overview(); print('torch' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "False"


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_explained_whole(name: str) -> None:
    lines, method = explain(name.lower()), METHODS[name]
    text = " ".join(" ".join(lines).split())
    assert text.startswith(f"{name}: {method.title}")
    for part in (*method.formula.split("\n"), method.source, *(one.search for one in method.options)):
        assert " ".join(part.split()) in text
    for one in method.options:
        assert f"{one.key}" in text
        assert one.meaning in text
    for end_to_end, linear_init in method.published_map.values():
        assert f"{end_to_end}" in text
        assert linear_init is None or f"{end_to_end} / {linear_init}" in text
    assert max(map(len, lines)) <= WIDEST
    assert sum("unobserved: gradient" in line for line in lines) == (method.reduced_over == "entries")


@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_explained(name: str) -> None:
    assert " ".join(explain(name)).startswith(f"{name}: {HEADS[name].title}")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(MethodError, match=r"expected a method among AN, .* got 'LL-X'"):
        explain("LL-X")


def test_the_command_prints_it_without_a_traceback() -> None:
    command = [sys.executable, "-c", "from wsml_study.cli import main; main()", "methods"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert listed.split("\n")[:-1] == overview()
    refused = subprocess.run([*command, "LL-X"], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith("wsml-study: expected a method among")


def test_the_curves_of_an_are_those_of_the_cross_entropy() -> None:
    unobserved, positive = curve("AN", 0, 20), curve("AN", 1, 20)
    p = np.array(unobserved.p)
    np.testing.assert_allclose(unobserved.gradient, p, atol=1e-6)
    np.testing.assert_allclose(positive.gradient, p - 1, atol=1e-6)
    np.testing.assert_allclose(np.diff(unobserved.loss), -np.diff(np.log1p(-p)), rtol=0.1)
    np.testing.assert_allclose(np.diff(positive.loss), -np.diff(np.log(p)), rtol=0.1)
    assert min(unobserved.loss) < 0.05


@pytest.mark.parametrize(("name", "distrusted"), [("LL-R", 0.0), ("LL-Ct", -1.0), ("LL-Cp", -1.0)])
def test_a_label_is_distrusted_as_soon_as_it_is_the_likeliest(name: str, distrusted: float) -> None:
    points = curve(name, 0, 20)
    for p, gradient in zip(points.p, points.gradient, strict=True):
        assert gradient == pytest.approx(p if p < 0.5 else p + distrusted if distrusted else 0.0, abs=1e-6)


def test_a_summed_loss_is_not_scaled_and_a_mean_is_taken_per_entry() -> None:
    hill = curve("Hill", 0, 20)
    p = np.array(hill.p)
    np.testing.assert_allclose(hill.gradient, 3 * p**2 * (1 - p) ** 2, atol=1e-6)


def test_curves_leave_the_random_state_alone() -> None:
    import torch

    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    curve("ROLE", 0, 2)
    assert torch.equal(torch.rand(1), expected)


def test_a_plot_names_its_ends_and_marks_zero() -> None:
    lines = plot([-1.0, 0.0, 1.0, 2.5, -1.0, -1.0, -1.0, -1.0], "title")
    assert lines[0].split() == ["title"]
    assert lines[1] == " 2.50 |   *"
    assert lines[8] == "-1.00 |*   ****"
    assert lines[6] == "      |.*......"
    assert lines[-1].split() == ["p", "=", "0", "1"]


def test_a_flat_curve_is_plotted() -> None:
    lines = plot([math.pi] * 8, "flat")
    assert lines[8] == " 3.14 |********"


def test_ll_cp_is_explained_with_the_variant_behind_its_published_numbers() -> None:
    text = " ".join(" ".join(explain("LL-Cp")).split())
    assert "published mAP below: variant as_published" in text
    assert "k - 1 without ties: LL-Cp's published numbers" in text
