"""The folder of a paper: what is in it, that its document compiles, and that its data open."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from tests.latex import compiled, text_of
from tests.sample_studies.stories import small_study, told_events
from tests.sample_studies.synthetic import write_folder
from wsml_study.cli.entry import app
from wsml_study.data.reader_record import READERS
from wsml_study.errors import ResultsError
from wsml_study.methods.catalogue import METHODS
from wsml_study.report.paper.citations import OF_BACKBONE, OF_DATASET, OF_METHOD, OF_SETTING, bibliography, cited_in
from wsml_study.report.paper.dataset_folder import dataset_files
from wsml_study.report.paper.methods_text import methods_text
from wsml_study.report.paper.paper_folder import write_paper
from wsml_study.report.paper.study_columns import columns_of
from wsml_study.results.study_results import read_record

RECORDED = Path(__file__).parents[2] / "recorded"
CONFIRMED = RECORDED / "confirmed" / "results" / "confirmed"


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a confirmed study, and of one that is not."""
    folder = tmp_path_factory.mktemp("paper")
    study = small_study()
    write_folder(folder / "told", study, told_events(study))
    done = CliRunner().invoke(app, ["paper", str(CONFIRMED), str(folder / "told"), "-o", str(folder / "paper")])
    assert done.exit_code == 0, done.output
    assert "told is not confirmed: nothing of it is marked" in done.output
    return folder / "paper"


def test_the_document_compiles_and_shows_what_it_has_to(paper: Path) -> None:
    shown = text_of(compiled(paper / "paper.tex", bibliography=True))
    for text in (
        "86.65[86.58,86.72]",
        "Holm-correctedfor2comparisons",
        "notconfirmed",
        "References",
        "Everykeyofthestudies",
    ):
        assert text in shown
    assert "[?]" not in shown


def test_the_markdown_has_all_of_it_as_well(paper: Path) -> None:
    text = (paper / "paper.md").read_text()
    assert "| LL-Ct | **86.65** (86.58, 86.72) | -- |" in text
    assert "| AN | <ins>83.34</ins> (80.90, 85.78) | 60.00 |" in text
    linked = re.findall(r"\]\((figures/[^)]+)\)", text)
    assert linked
    assert {(paper / link).read_bytes()[:5] for link in linked} == {b"%PDF-"}


def test_the_card_names_every_table_and_every_table_opens(paper: Path) -> None:
    card = (paper / "dataset" / "README.md").read_text()
    front = YAML(typ="safe").load(card.split("---\n")[1])
    files = {config["config_name"]: config["data_files"] for config in front["configs"]}
    assert {*files.values(), "README.md"} == {path.name for path in (paper / "dataset").iterdir()}
    frames = {name: pd.read_parquet(paper / "dataset" / file) for name, file in files.items()}
    assert frames["results"].loc[lambda row: row["is_best"].eq(True), "method"].tolist() == ["LL-Ct"]
    assert frames["runs"]["test_map"].groupby(frames["runs"]["trial"]).size().tolist() == [2, 2, 2]
    assert frames["differences"]["verdict"].tolist() == ["open", "open"]
    assert frames["trials"].groupby(["study", "part"]).size().to_dict() == {
        ("confirmed", "confirmation"): 6,
        ("confirmed", "search"): 13,
        ("told", "search"): 4,
    }
    assert frames["trials"]["config"].str.contains('"root": null').all()
    found = duckdb.sql(f"SELECT method FROM '{paper}/dataset/results.parquet' WHERE is_best").fetchall()
    assert found == [("LL-Ct",)]


@pytest.mark.slow
def test_the_data_open_with_the_library_datasets(paper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HF_HOME": str(tmp_path), "HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}.items():
        monkeypatch.setenv(name, value)
    import datasets

    folder = str(paper / "dataset")
    names = datasets.get_dataset_config_names(folder)
    assert names == ["results", "runs", "differences", "trials", "epochs", "classes"]
    for name in names:
        table = datasets.load_dataset(folder, name, split="train")
        assert table.num_rows == len(pd.read_parquet(paper / "dataset" / f"{name}.parquet"))


def test_what_was_changed_is_replaced_on_request_only(paper: Path, tmp_path: Path) -> None:
    told = paper.parent / "told"
    write_paper([told], tmp_path)
    write_paper([told], tmp_path)  # the same again
    (tmp_path / "paper.tex").write_text("mine")
    with pytest.raises(ResultsError, match=r"paper\.tex exists and differs .* --overwrite"):
        write_paper([told], tmp_path)
    write_paper([told], tmp_path, overwrite=True)
    assert (tmp_path / "paper.tex").read_text() != "mine"


def test_a_study_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="got 'confirmed' twice"):
        write_paper([CONFIRMED, CONFIRMED], tmp_path)


def test_a_study_without_a_value_is_refused(tmp_path: Path) -> None:
    study = small_study()
    write_folder(tmp_path / "new", study, told_events(study)[:1])
    with pytest.raises(ResultsError, match="no trial has a value yet"):
        write_paper([tmp_path / "new"], tmp_path / "paper")


def test_a_searched_key_that_is_text_in_one_study_and_a_number_in_another_becomes_text(tmp_path: Path) -> None:
    records = []
    for name, key, choices in (
        ("one", "training.learning_rate", [0.1, 0.2]),
        ("two", "training.optimizer", ["adam", "sgd"]),
    ):
        study = small_study().model_copy(update={"name": name})
        study = study.model_validate(study.model_dump(exclude_none=True) | {"search": {key: {"choice": choices}}})
        events = told_events(small_study())
        for event in events:
            if event["event"] == "created":
                event["values"] = {"model.weights": 1.5 if name == "one" else "a.pth"}
        write_folder(tmp_path / name, study.model_copy(update={"search": small_study().search}), events)
        records.append(read_record(tmp_path / name))
    columns = [column for record in records for column in columns_of(record)]
    assert "trials.parquet" in dataset_files(records, columns, title="both")


def test_the_text_has_every_setting(tmp_path: Path) -> None:
    text = methods_text(read_record(CONFIRMED))
    for said in (
        "1 positive and 0 negative labels are observed, drawn at random (seed 1200)",
        "30 % of the training images (seed 1200) are held out",
        "4 epochs with Adam",
        "batches of 8 images",
        "learning rate ([0.003, 0.1], on a logarithmic scale) (3 times that for the head)",
        "weight decay 0",
        "warmup_epochs 1",
        "13 configs proposed by tpe",
        "fresh seeds of training (1, 2) and of the draw of observed labels (1, 2)",
        "Holm-corrected for 2 comparisons",
        "at an error rate of 0.05",
        "torch 2.11.0",
        "fingerprint of the data 25fb3f58e109b0b9",
    ):
        assert said in text
    assert len(cited_in(text)) == 10


def test_a_key_that_no_sentence_names_is_listed(tmp_path: Path) -> None:
    study = small_study()
    training = study.training.model_copy(update={"ema_decay": 0.99, "gradient_clipping": 1.0, "seed": 7})
    data = study.data.model_copy(update={"store": "none"})
    study = study.model_copy(update={"training": training, "data": data})
    write_folder(tmp_path / "told", study, told_events(study))
    text = methods_text(read_record(tmp_path / "told"))
    assert "Further keys: data.store none, training.ema_decay 0.99, training.gradient_clipping 1." in text
    assert "The seed of training is 7." in text


def test_everything_that_can_be_cited_has_an_entry() -> None:
    assert OF_METHOD.keys() == METHODS.keys() - {"full"}
    keys = {*OF_METHOD.values(), *OF_DATASET.values(), *OF_BACKBONE.values(), *OF_SETTING.values()}
    assert bibliography(sorted(keys)).count("\n@") + 1 == len(keys)
    assert OF_DATASET.keys() <= READERS.keys()


def test_methods_that_are_left_out_are_named_and_tests_stay_those_of_all(tmp_path: Path) -> None:
    write_paper([CONFIRMED], tmp_path / "paper", where="method != 'AN'")
    text = (tmp_path / "paper" / "paper.md").read_text()
    assert "| LL-Ct | **86.65** (86.58, 86.72) |" in text
    assert "| AN |" not in text
    assert "left out here: AN; tests and their corrections are those of all methods" in text


def test_nothing_is_marked_where_the_best_method_is_left_out(tmp_path: Path) -> None:
    write_paper([CONFIRMED], tmp_path / "paper", where="method == 'AN'")
    text = (tmp_path / "paper" / "tables" / "results.md").read_text()
    assert "| AN | 83.34 (80.90, 85.78) |" in text
    assert "the best mean is among what is left out" in (tmp_path / "paper" / "paper.md").read_text()


@pytest.mark.parametrize(("where", "said"), [("method == 'ROLE'", "no row"), ("methd == 'AN'", "dataset, setting")])
def test_a_condition_that_nothing_meets_is_refused(where: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=said):
        write_paper([CONFIRMED], tmp_path / "paper", where=where)
    assert not (tmp_path / "paper").exists()
