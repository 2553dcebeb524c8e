"""What a column of the paper's table says: which method is best, which are like it, and what is not confirmed."""

from __future__ import annotations

from pathlib import Path

from tests.sample_studies.confirmations import SEARCH, Told
from tests.sample_studies.stories import small_study, told_events
from tests.sample_studies.synthetic import write_events, write_folder
from tests.sample_studies.tested import write_tested
from wsml_study.report.paper.result_table import ResultTable
from wsml_study.report.paper.study_columns import Basis, Column, columns_of
from wsml_study.results.study_results import read_record
from wsml_study.study.confirm_section import Confirm
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Study, TrialConfig

PAPER = Path(__file__).parents[3] / "studies" / "paper"
METHODS = [*SEARCH[:2], {"method.name": "LL-Ct", "method.schedule.rate_per_epoch": 0.01}]
LUCK = (-6.0, 0.0, 5.0, 2.0, -3.0)
"""Of a seed, the same for all configs: intervals of their means are wide, their differences certain."""
NOISE = (0.1, -0.1, 0.05, -0.05, 0.0)


def confirmed(folder: Path, *, an: float, ll_r: float, ll_ct: float, plan: Confirm | None = None) -> Column:
    told = Told(folder, values=[70.0, 75.0, 74.0], search=METHODS)
    write_events(folder, told_of_search(told))
    for seed, (luck, noise) in enumerate(zip(LUCK, NOISE, strict=True), start=1):
        told.run(0, seed, 70 + luck, an + luck)
        told.run(1, seed, 75 + luck, ll_r + luck + noise)
        told.run(2, seed, 74 + luck, ll_ct + luck - 3 * noise)
    if plan is not None:
        told.plan(plan)
    told.tell()
    (column,) = columns_of(read_record(folder))
    return column


def told_of_search(told: Told) -> list[dict]:
    """The log of its search."""
    events = [told.events[0]]
    for number, suggested in enumerate(METHODS):
        events += told.trial(number, suggested, told.config(number), [70.0, 75.0, 74.0][number])
    return events


def marked(column: Column) -> dict[str, str]:
    return {
        method: "best" if cell.is_best else "alike" if cell.is_alike else "" for method, cell in column.cells.items()
    }


def test_a_certain_difference_is_told_apart_although_intervals_overlap(tmp_path: Path) -> None:
    column = confirmed(tmp_path, an=70.0, ll_r=71.0, ll_ct=70.9)
    assert column.cells["AN"].mean.high > column.cells["LL-R"].mean.low
    assert marked(column) == {"AN": "", "LL-R": "best", "LL-Ct": "alike"}
    assert column.basis is Basis.CONFIRMED


def test_what_the_tests_do_not_tell_apart_is_like_the_best(tmp_path: Path) -> None:
    assert marked(confirmed(tmp_path, an=70.0, ll_r=70.02, ll_ct=60.0)) == {"AN": "alike", "LL-R": "best", "LL-Ct": ""}


def test_equivalent_configs_are_alike(tmp_path: Path) -> None:
    column = confirmed(tmp_path, an=70.0, ll_r=70.3, ll_ct=60.0, plan=Confirm(seeds=5, margin=1.0))
    assert {one.config.method: one.verdict.value for one in column.comparisons}["LL-R"] == "equivalent"
    assert marked(column)["AN"] == "alike"


def test_nothing_of_a_search_is_marked_or_has_an_interval(tmp_path: Path) -> None:
    study = small_study()
    write_folder(tmp_path, study, told_events(study))
    (column,) = columns_of(read_record(tmp_path))
    assert column.basis is Basis.SEARCH
    assert marked(column) == {"AN": "", "LL-R": ""}
    assert [(cell.mean.mean, cell.mean.low) for cell in column.cells.values()] == [(60.0, None), (70.0, None)]
    assert "values of one seed have no interval" in column.notes
    table = ResultTable(columns=(column,))
    assert r"AN & 60.00 \\" in table.latex_parts()[0].splitlines()
    assert "Bold" not in " ".join(table.notes())
    assert table.unconfirmed() == [column]


def study_of_the_paper(**changes: object) -> Study:
    study = read_study(PAPER / "voc2012.yaml")
    return Study.model_validate(study.model_dump(mode="json", exclude_none=True) | changes)


def by_method(config: TrialConfig) -> float:
    """LL-R a point above all others, `full` far above it; seeds differ by the same for all."""
    method, seed = config.method.name.value, config.training.seed
    noise = 0.01 * ((seed * 7 + len(method)) % 5)
    return {"full": 95.0, "LL-R": 81.0}.get(method, 80.0) + LUCK[seed] + noise


def test_a_study_over_seeds_has_a_column_per_mode_beside_the_published_figures(tmp_path: Path) -> None:
    columns = columns_of(read_record(write_tested(tmp_path, study_of_the_paper(), by_method)))
    assert [column.heading for column in columns] == ["VOC 2012, end to end", "VOC 2012, linear init"]
    for column in columns:
        assert column.basis is Basis.OVER_SEEDS
        assert marked(column) == {method: "best" if method == "LL-R" else "" for method in column.cells}
        assert column.cells["full"].mean.count == 5
    assert [column.cells["LL-R"].published.map for column in columns] == [89.2, 89.4]
    latex = ResultTable(columns=tuple(columns)).latex_parts()[0].splitlines()
    assert latex[2] == (r" & \multicolumn{2}{c}{VOC 2012, end to end} & \multicolumn{2}{c}{VOC 2012, linear init} \\")
    assert [line.partition(" & ")[0] for line in latex[6:9]] == ["full", r"\midrule", "AN"]
    row = next(line for line in latex if line.startswith("LL-R"))
    assert row.startswith(r"LL-R & \textbf{80.62} {\scriptsize [")
    assert row.endswith(r" & 89.4 \\")


def test_departures_from_the_published_protocol_are_named(tmp_path: Path) -> None:
    study = study_of_the_paper()
    smaller = study.model_copy(update={"data": study.data.model_copy(update={"image_size": 224})})
    columns = columns_of(read_record(write_tested(tmp_path, smaller, by_method)))
    notes = ResultTable(columns=tuple(columns)).notes()
    assert notes[-1].endswith("all methods: differs from the published protocol by image_size 224 instead of 448")


def test_one_seed_has_no_interval_and_is_not_tested(tmp_path: Path) -> None:
    study = study_of_the_paper(factors={"training.seed": [0]})
    for column in columns_of(read_record(write_tested(tmp_path, study, by_method))):
        assert set(marked(column).values()) == {""}
        assert {cell.mean.low for cell in column.cells.values()} == {None}
        assert any("one seed has no interval" in note for note in column.notes)


def test_the_best_of_several_configs_is_not_confirmed(tmp_path: Path) -> None:
    search = {"method.name": {"choice": ["AN", "LL-R"]}, "training.learning_rate": {"choice": [0.001, 0.005]}}
    search["training.mode"] = {"choice": ["linear_init"]}
    columns = columns_of(read_record(write_tested(tmp_path, study_of_the_paper(search=search, trials=4), by_method)))
    assert [column.basis for column in columns] == [Basis.SEARCH]
    assert set(marked(columns[0]).values()) == {""}
    assert any(note.startswith("not confirmed") for note in columns[0].notes)


def test_studies_on_one_dataset_are_told_apart_by_their_names(tmp_path: Path) -> None:
    columns = []
    for name in ("first", "second"):
        study = small_study().model_copy(update={"name": name})
        write_folder(tmp_path / name, study, told_events(study))
        columns += columns_of(read_record(tmp_path / name))
    assert ResultTable(columns=tuple(columns)).markdown().splitlines()[0] == (
        r"| method | digit\_scenes (first): val. mAP (%) | digit\_scenes (second): val. mAP (%) |"
    )
