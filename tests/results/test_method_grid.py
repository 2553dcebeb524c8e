"""Methods beside methods at each level: which can be told from AN, in words and as a heat map."""

import numpy as np
import pandas as pd

from tests.results.study_records import record_of
from wsml_study.report.figures.figure import Figure
from wsml_study.report.figures.method_heat import method_heat
from wsml_study.results.method_grid import grid_lines, method_grid
from wsml_study.testing.sampler_contract import study_with

BACKBONES, DRAWS, SEEDS = ["small_cnn", "resnet18"], [1, 2, 3, 4], [0, 1, 2]
GAINS = {"AN": 0.0, "WAN": 3.0, "EPR": -4.0, "LSAN": 0.0, "full": 9.0}
STUDY = study_with(
    "random",
    search={},
    factors={
        "method.name": list(GAINS),
        "model.backbone": BACKBONES,
        "data.observe.seed": DRAWS,
        "training.seed": SEEDS,
    },
    trials=1,
)


def table() -> pd.DataFrame:
    """Draws and seeds move all methods alike; what is left is a method's own gain, and noise."""
    draw = np.random.default_rng(0)
    rows = [
        {
            "method": method,
            "config_number": 0,
            "state": "complete",
            "value": 50.0,
            "test_map": 40 + 5 * place + number + seed + gain + 0.2 * draw.normal(),
            "data.observe.seed": number,
            "training.seed": seed,
            "model.backbone": backbone,
            "method.name": method,
        }
        for place, backbone in enumerate(BACKBONES)
        for method, gain in GAINS.items()
        for number in DRAWS
        for seed in SEEDS
    ]
    return pd.DataFrame(rows).assign(run=range(len(rows)))


def test_methods_are_ordered_by_their_means_and_compared_with_an_run_by_run():
    grid = method_grid(STUDY, table())
    assert grid is not None
    assert grid.methods[:2] == ["full", "WAN"]
    assert grid.methods[-1] == "EPR"
    cells = grid.by_level["backbone small_cnn"]
    assert abs(cells["WAN"].gain.mean - 3) < 0.3
    assert {method for method, cell in cells.items() if cell.is_apart} == {"WAN", "EPR"}
    assert cells["full"].gain is None
    assert cells["AN"].gain is None
    # The draws move the mean far more than the difference of two methods.
    assert cells["WAN"].value.high - cells["WAN"].value.low > 5 * (cells["WAN"].gain.high - cells["WAN"].gain.low)


def test_a_sentence_says_what_can_be_told_apart_at_each_level():
    how, *sentences = grid_lines(STUDY, table())[:3]
    assert "Holm-corrected for 3 comparisons" in how
    assert "3 seeds and 4 draws" in how
    assert [one.split(":")[0] for one in sentences] == ["backbone small_cnn", "backbone resnet18"]
    for one in sentences:
        assert "better than AN is WAN (+" in one
        assert "worse is EPR (-" in one
        assert one.endswith("1 of 3 cannot be told from it.")


def test_a_search_over_methods_is_no_grid():
    searched = study_with("random", search={"method.name": {"choice": ["AN", "WAN"]}})
    assert method_grid(searched, table()) is None
    assert method_heat(record_of(table(), searched)) is None


def test_the_heat_map_has_a_cell_per_method_and_level():
    figure = method_heat(record_of(table(), STUDY))
    assert isinstance(figure, Figure)
    assert len(figure.table.body) == len(GAINS) * len(BACKBONES)
    marked = [row for row in figure.table.body if "▲" in row[2] or "▼" in row[2]]
    assert {row[0] for row in marked} == {"WAN", "EPR"}
    figure.panels[0].chart.to_dict()
