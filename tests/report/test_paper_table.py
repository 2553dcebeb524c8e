"""The paper's table of a study: means over seeds beside the published figures, as text, CSV and LaTeX."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.sample_studies.stories import epoch_result
from wsml_study.cli.entry import app
from wsml_study.errors import ResultsError
from wsml_study.methods.published_numbers import published
from wsml_study.record.history import StudyHistory
from wsml_study.record.tables import write_tables
from wsml_study.report.figures.figure import Figure
from wsml_study.report.figures.groups import map_by_group
from wsml_study.report.paper_table import paper_table
from wsml_study.results.study_results import read_record
from wsml_study.study.factors import num_runs
from wsml_study.study.published_protocol import differences_from_paper
from wsml_study.study.reading import read_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study, TrialConfig
from wsml_study.study.writing import dump_config

STUDIES = Path(__file__).parents[2] / "studies" / "paper"

CLASSES = ("cat", "dog", "plate", "tree", "sky", "sea", "sun", "elk", "cow", "hen")
GROUPS = (1, 1, 2, 2, 3, 3, 4, 4, 5, 5)


def finished(
    folder: Path,
    study: Study,
    test_map: Callable[[TrialConfig], float | None],
    *,
    groups: tuple[int, ...] = (),
    untested: int = 0,
) -> Path:
    """A study's folder with every trial of its grid; None for one that failed. `untested` first classes have no AP."""
    history = StudyHistory()
    history.apply({"event": "run", "time": 0.0, "classes": CLASSES, "class_groups": groups})
    space = SearchSpace.from_study(study)
    for number, values in enumerate(space.grid()):
        config = space.resolve(study, values)
        created = {"event": "created", "trial": number, "values": values, "config": config.model_dump(mode="json")}
        history.apply(created | {"sampler_state": {}})
        value = test_map(config)
        if value is None:
            history.apply({"event": "failed", "trial": number, "time": 1.0, "error": "it diverged"})
            continue
        result = epoch_result(2, 60.0, (2, 60.0), None) | {"val_ap_C": [60.0] * len(CLASSES)}
        ap_C = [None if place < untested else value + place - 4.5 for place in range(len(CLASSES))]
        test = {"test_map": value, "best_epoch": 2, "test_ap_C": ap_C}
        told: dict[str, Any] = {"event": "epoch", "trial": number, "attempt": 1, "time": 1.0, "state": "complete"}
        history.apply(told | {"result": result, "test": test})
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(dump_config(study))
    write_tables(folder, study, history)
    return folder


def near_the_paper(config: TrialConfig) -> float:
    """The published figure plus 0.1 per seed: 0.2 above it on average."""
    found = published(config.method.name, config.data.dataset.value, mode=config.training.mode)
    assert found is not None
    return found.map + config.training.seed / 10


def printed(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("file", sorted(STUDIES.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_study_of_the_paper_runs_its_grid_in_the_paper_s_protocol(file: Path) -> None:
    study = read_study(file)
    space = SearchSpace.from_study(study)
    configs = [space.resolve(study, values) for values in space.grid()]
    assert len(configs) == num_runs(study, study.trials) == (35 if "openimages" in study.name else 90)
    assert {tuple(differences_from_paper(config)) for config in configs} == {()}
    for config in configs:
        assert published(config.method.name, config.data.dataset.value, mode=config.training.mode) is not None
        if config.method.schedule is not None and config.data.dataset != "openimages_v3":
            by_dataset = config.method.record.rate_by_dataset[config.data.dataset.value]
            assert config.method.schedule.rate_per_epoch == by_dataset


def test_the_table_of_voc_2012_beside_the_paper_s(tmp_path: Path) -> None:
    folder = finished(tmp_path / "paper_voc2012", read_study(STUDIES / "voc2012.yaml"), near_the_paper)
    lines = printed("results", folder, "--paper").splitlines()
    assert lines[0] == ("paper_voc2012, VOC 2012: test mAP in percent, mean ± standard deviation (number of seeds)")
    assert lines[1].split("  ")[0] == "method"
    assert len(lines[2 : lines.index("")]) == 18, "nine methods in two modes"
    rows = {tuple(line.split()[:2]): line for line in lines[2 : lines.index("")]}
    assert rows["LL-R", "end_to_end"].split() == (
        ["LL-R", "end_to_end", "89.40", "±", "0.16", "(5)", "89.22", "to", "89.58", "89.2", "+0.20", "none"]
    )
    assert "91.30 ± 0.16 (5)" in rows["full", "linear_init"]
    assert lines[-1] == "none: the published protocol in every key that is published"
    table = paper_table(folder).arrow().to_pylist()
    assert [round(row["difference"], 6) for row in table] == [0.2] * 18
    assert {row["departs_from_paper"] for row in table} == {""}


def test_the_number_of_classes_behind_a_mean_is_told_below(tmp_path: Path) -> None:
    study = read_study(STUDIES / "voc2012.yaml")
    objective = study.objective.model_copy(update={"classes": "present"})
    study = study.model_copy(update={"objective": objective})
    folder = finished(tmp_path / "present", study, near_the_paper)
    assert not any("mean over" in line for line in paper_table(folder).text()), "all are there"
    absent = finished(tmp_path / "absent", study, near_the_paper, untested=3)
    assert "mAP is the mean over the classes with a positive: 7 of 10 in test" in paper_table(absent).text()
    assert "differs from the protocol by classes present instead of all" in printed("results", absent, "--paper")
    assert {row["num_classes"] for row in paper_table(absent).arrow().to_pylist()} == {7}


def test_departures_and_missing_seeds_are_named(tmp_path: Path) -> None:
    study = read_study(STUDIES / "voc2012.yaml")
    smaller = study.model_copy(update={"data": study.data.model_copy(update={"image_size": 224})})
    no_code = smaller.method.model_copy(update={"variant": None})

    def last_seed_of_an_fails(config: TrialConfig) -> float | None:
        if (config.method.name, config.training.seed) == ("AN", 4):
            return None
        return near_the_paper(config)

    changed = smaller.model_copy(update={"method": no_code})
    folder = finished(tmp_path / "small", changed, last_seed_of_an_fails)
    lines = printed("results", folder, "--paper").splitlines()
    rows = {tuple(line.split()[:2]): line.split() for line in lines[2 : lines.index("")]}
    assert rows["AN", "end_to_end"][5:8] == ["(4", "of", "5)"]
    assert {key: row[-1] for key, row in rows.items()} == {key: "b" if key[0] == "LL-Cp" else "a" for key in rows}
    assert "a: differs from the protocol by image_size 224 instead of 448" in lines
    assert any(line.startswith("b: ") and "variant code instead of as_published" in line for line in lines)
    assert lines[-1] == "88 of 90 trials have been evaluated on the test images"


def test_groups_of_openimages_stand_beside_the_published_ones(tmp_path: Path) -> None:
    study = read_study(STUDIES / "openimages_v3.yaml")
    folder = finished(tmp_path / "oi", study, near_the_paper, groups=GROUPS)
    lines = printed("results", folder, "--paper").splitlines()
    assert next(line for line in lines if line.startswith("IMCL")).split() == ["IMCL", "-", "-", "78.1", "-", "-"]
    start = next(number for number, line in enumerate(lines) if line.startswith("mAP by groups"))
    groups = {line.split()[0]: line.split()[1:] for line in lines[start + 2 : start + 11]}
    # LL-R: 82.5 + 0.2 on average; classes deviate by -4.5 ... 4.5, so groups by -4, -2, 0, 2, 4.
    assert groups["LL-R"] == ["78.70", "77.4", "80.70", "79.1", "82.70", "82.0", "84.70", "84.5", "86.70", "89.5"]
    assert groups["Curriculum"] == ["-", "70.4", "-", "71.3", "-", "76.2", "-", "80.5", "-", "86.8"]
    assert lines[-1] == "optimizer, learning rate and rejection rates on OpenImages are not published, nor compared"
    assert printed("results", folder).splitlines()[37:40] == [
        "mAP by groups of classes on the test images, best trials; published figures are of the test images",
        "G1 are the classes with the fewest training labels, the last group those with the most",
        "method  trial  G1     G1 published  G2     G2 published  G3     G3 published  G4     G4 published  G5     "
        "G5 published",
    ]
    figure = map_by_group(read_record(folder))
    assert isinstance(figure, Figure)
    assert figure.table is not None
    assert ("IU", "71.90 (69.5)") in {row[:2] for row in figure.table.body}
    row = {row["method"]: row for row in paper_table(folder).arrow().to_pylist()}["LL-R"]
    assert (row["g5"], row["published_g5"]) == (pytest.approx(86.7), 89.5)


def test_boostlu_has_boostlu_s_figure_in_the_paper_s_column(tmp_path: Path) -> None:
    study = read_study(STUDIES / "voc2012.yaml")
    content = {**study.model_dump(mode="json", exclude_none=True)}
    content["model"] |= {"head": "boostlu"}
    del content["training"]["hand_over"]
    content |= {"search": {}, "factors": {"training.seed": [0, 1]}, "trials": 1}
    folder = finished(tmp_path / "boosted", Study.model_validate(content), lambda config: 89.0)
    row = paper_table(folder).rows[0]
    assert (row.label, row.paper and row.paper.text) == ("LL-R + boostlu", "89.29")
    assert "optimizer sgd instead of adam" in row.departures
    assert row.difference == pytest.approx(-0.29)


def test_a_dataset_of_no_paper_has_nothing_beside_it(tmp_path: Path, folder: Path) -> None:
    content = {
        "name": "digits",
        "data": {"dataset": "digit_scenes"},
        "method": {"name": "AN"},
        "search": {"training.seed": {"choice": [0, 1]}, "training.learning_rate": {"choice": [0.1, 0.2]}},
        "sampler": {"name": "grid"},
        "trials": 4,
        "test_trials": True,
    }
    done = finished(
        tmp_path / "digits", Study.model_validate(content), lambda config: 50 + config.training.learning_rate
    )
    lines = printed("results", done, "--paper").splitlines()
    assert [line.split("  ")[0] for line in lines[2:4]] == ["AN (learning_rate 0.1)", "AN (learning_rate 0.2)"]
    assert "not published" in lines[2]
    assert lines[-1] == "digit_scenes is no dataset of the papers, so nothing stands beside it"
    with pytest.raises(ResultsError, match="set `test_trials: true`"):
        paper_table(folder)


def test_latex_is_a_tabular_whose_special_characters_are_escaped(tmp_path: Path) -> None:
    done = finished(tmp_path / "voc", read_study(STUDIES / "voc2012.yaml"), near_the_paper)
    file = tmp_path / "table.tex"
    printed("results", done, "--paper", "-o", file)
    text = file.read_text()
    assert r"LL-R & end\_to\_end & 89.40 $\pm$ 0.16 (5) & 89.22 to 89.58 & 89.2 & +0.20 & none \\" in text
    assert text.startswith("\\begin{tabular}{llllrrl}\n\\toprule\nmethod & mode & test mAP & 95 \\% interval")
    assert text.count(r"\\") == 19
    assert r"{\footnotesize published: Kim et al." in text


def test_rows_are_chosen_by_a_condition(tmp_path: Path) -> None:
    done = finished(tmp_path / "voc", read_study(STUDIES / "voc2012.yaml"), near_the_paper)
    without = ("--where", "method != 'LL-Cp' and mode == 'end_to_end'")
    lines = printed("results", done, "--paper", *without, "--format", "markdown").splitlines()
    assert lines[:2] == [
        "| method | test mAP | 95 % interval | published | difference | departs |",
        "| --- | --- | --- | ---: | ---: | --- |",
    ]
    assert len(lines[2 : lines.index("")]) == 8
    assert lines[-1] == "- none: the published protocol in every key that is published"
    with pytest.raises(ResultsError, match="no row of the table meets it"):
        printed("results", done, "--paper", "--where", "method == 'none'")
    with pytest.raises(ResultsError, match="expected a condition"):
        printed("results", done, "--paper", "--where", "nothing == 1")


def test_csv_has_a_row_per_method_and_mode(tmp_path: Path) -> None:
    done = finished(tmp_path / "voc", read_study(STUDIES / "voc2012.yaml"), near_the_paper)
    rows = json.loads(printed("results", done, "--paper", "--format", "json"))
    assert (len(rows), rows[0]["seeds"], rows[0]["published_map"]) == (18, 5, 85.1)
    assert printed("results", done, "--paper", "--format", "csv").startswith(
        '"study","dataset","method","mode","seeds"'
    )
    refused = CliRunner().invoke(app, ["results", str(done), "--paper", "--top", "1"])
    assert refused.exit_code == 2
