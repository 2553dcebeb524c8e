"""Final trainings laid out like the paper's table, with the paper's figures beside ours."""

import math

import pandas as pd
import pytest

from tests.sample_studies.stories import epoch_result
from wsml_study.methods.catalogue import METHODS
from wsml_study.record.history import StudyHistory
from wsml_study.record.tables import write_tables
from wsml_study.report.training_summary import training_summary
from wsml_study.study.provenance_section import Provenance
from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.writing import dump_config

PAPERS = {"backbone": "resnet50", "weights": "IMAGENET1K_V1"}
VOC_TRAINING = {
    "stop_below_best": 3,
    "optimizer": "sgd",
    "learning_rate": 5e-3,
    "weight_decay": 1e-3,
    "precision": "fp32",
}


def trained(folder, name, method, test_maps, *, data=None, best_epoch=2, **sections):
    """A training's folder as a run leaves it: so many seeds of two epochs, None for one that is not done."""
    schedule = {"schedule": {"rate_per_epoch": 0.002}} if method.startswith("LL") else {}
    content = {
        "name": name,
        "data": data or {"dataset": "digit_scenes"},
        "method": {"name": method} | schedule,
        "search": {"training.seed": {"int": {"low": 0, "high": 999}}},
        "sampler": {"name": "grid"},
        "trials": len(test_maps),
    } | sections
    study = parse_study(content, source=name)
    history = StudyHistory()
    history.apply({"event": "run", "time": 0.0, "classes": ("cat", "dog")})
    space = SearchSpace.from_study(study)
    for number, test_map in enumerate(test_maps):
        values = {"training.seed": number}
        config = space.resolve(study, values).model_dump(mode="json")
        history.apply({"event": "created", "trial": number, "values": values, "config": config, "sampler_state": {}})
        result = epoch_result(best_epoch, 60.0 + number, (best_epoch, 60.0 + number), None)
        test = (
            None
            if test_map is None
            else {
                "test_map": None if math.isnan(test_map) else test_map,
                "best_epoch": best_epoch,
                "test_ap_C": [1.0, None],
            }
        )
        told = {"event": "epoch", "trial": number, "attempt": 1, "time": 1.0, "result": result, "test": test}
        history.apply(told | {"state": "running" if test is None else "complete"})
    path = folder / name
    path.mkdir(parents=True)
    (path / "study.yaml").write_text(dump_config(study))
    write_tables(path, study, history)
    return path


def voc(**changes):
    return {"dataset": "voc2012", "root": "VOC2012"} | changes


def test_seeds_their_mean_and_their_spread(tmp_path):
    folder = trained(tmp_path / "models", "digits", "LL-R", [86.0, 88.0, None])
    lines = training_summary(folder)
    assert lines[0].split() == ["seed", "epoch", "val", "mAP", "test", "mAP", "model"]
    assert lines[1].split()[:4] == ["0", "2", "60.00", "86.00"]
    assert lines[2].split()[4].endswith("models/digits/seed_1")
    assert lines[4] == (
        "digits: test mAP 87.00 % (standard deviation 1.41 over 2 seeds), of the epoch with the best validation mAP"
    )
    assert not any("paper" in line for line in lines), "digit_scenes is no dataset of the paper's"


def test_seeds_whose_test_images_judge_no_class_are_done_all_the_same(tmp_path):
    lines = training_summary(trained(tmp_path / "models", "digits", "AN", [math.nan, math.nan]))
    assert lines[1].split()[:4] == ["0", "2", "60.00", "-"]
    assert lines[4] == "digits: test mAP - %, of the epoch with the best validation mAP"


def test_methods_down_datasets_across_and_the_paper_s_figures_beside_ours(tmp_path):
    models = tmp_path / "models"
    trained(models, "digits-an", "AN", [85.5])
    trained(models, "voc-llr", "LL-R", [88.0, 89.0], data=voc(), model=PAPERS, training=VOC_TRAINING)
    trained(models, "voc-iu", "IU", [70.0], data=voc(observe={"positives": 1, "negatives": 1}), model=PAPERS)
    folder = trained(models, "voc-an", "AN", [84.0], data=voc(image_size=224), model=PAPERS, training=VOC_TRAINING)
    lines = training_summary(folder)
    start = next(number for number, line in enumerate(lines) if line.startswith("method"))
    assert lines[start : start + 4] == [
        "method  digit_scenes  VOC 2012          VOC 2012, paper",
        "AN      85.50 (1)     84.00 (1)         85.1 / 86.9",
        "IU      -             70.00 (1)         -",
        "LL-R    -             88.50 ± 0.71 (2)  89.2 / 89.4",
    ]
    assert "voc-an differs from the paper's protocol: image_size 224 instead of 448" in lines
    assert not any(line.startswith("voc-llr differs") for line in lines)
    markdown = (models / "summary.md").read_text()
    assert "| AN | 85.50 (1) | 84.00 (1) | 85.1 / 86.9 |" in markdown
    assert "Kim et al., CVPR 2022" in markdown
    table = pd.read_csv(models / "summary.csv").set_index("training")
    assert table.loc["voc-llr", ["test_map_mean", "paper_end_to_end", "paper_linear_init"]].tolist() == [
        88.5,
        89.2,
        89.4,
    ]
    assert table.loc["voc-llr", "test_map_deviation"] == pytest.approx(0.5**0.5)
    assert table.loc["voc-an", "departs_from_paper"] == "image_size 224 instead of 448"
    assert table["paper_end_to_end"].isna().sum() == 2


def test_trainings_that_differ_otherwise_have_rows_of_their_own(tmp_path):
    models = tmp_path / "models"
    trained(models, "one", "LL-R", [80.0])
    trained(models, "two", "LL-R", [81.0])
    trained(models, "boosted", "LL-R", [82.0], model={"head": "boostlu"})
    both = {"dataset": "digit_scenes", "train_on": "train+validation"}
    folder = trained(
        models, "both", "LL-R", [83.0], data=both, best_epoch=11, training={"epochs": 14, "stop_after_epoch": 11}
    )
    lines = training_summary(folder)
    rows = {line.split("  ")[0] for line in lines[lines.index("") + 4 :]}
    assert {"LL-R (one)", "LL-R (two)", "LL-R + boostlu", "LL-R, train+validation"} <= rows
    assert any(
        "trained on train and validation images for 11 of 14 epochs, as the config says" in line for line in lines
    )


@pytest.mark.parametrize(
    ("training", "provenance", "words"),
    [
        ({"epochs": 14}, None, "all 14 epochs, since the config does not record the search's best one"),
        (
            {"epochs": 14, "stop_after_epoch": 11},
            Provenance(study="s", trial=7, value=88.5, best_epoch=11, fingerprint="f"),
            "11 of 14 epochs, as trial 7 was best in the search",
        ),
    ],
)
def test_it_says_how_many_epochs_and_why(tmp_path, training, provenance, words):
    sections = {"training": training}
    if provenance is not None:
        sections["provenance"] = provenance.model_dump()
    both = {"dataset": "digit_scenes", "train_on": "train+validation"}
    folder = trained(tmp_path, "both", "AN", [83.0], data=both, **sections)
    assert any(words in line for line in training_summary(folder))


def test_a_damaged_training_is_named_and_the_others_are_shown(tmp_path):
    folder = trained(tmp_path, "whole", "AN", [85.5])
    damaged = trained(tmp_path, "damaged", "AN", [80.0])
    (damaged / "trials.parquet").write_bytes(b"PAR1 and no more")
    lines = training_summary(folder)
    assert any(line.startswith("damaged is left out: ") for line in lines)
    assert any(line.startswith("AN      85.50 (1)") for line in lines)


def test_a_model_with_boostlu_stands_beside_boostlu_s_figures(tmp_path):
    models = tmp_path / "models"
    trained(models, "plain", "LL-R", [88.0], data=voc(), model=PAPERS)
    folder = trained(models, "boosted", "LL-R", [88.0], data=voc(), model=PAPERS | {"head": "boostlu"})
    lines = training_summary(folder)
    assert "LL-R            88.00 (1)  89.2 / 89.4" in lines
    assert "LL-R + boostlu  88.00 (1)  89.29 / -" in lines
    assert any("Kim et al., CVPR 2022 (arXiv 2206.03740) and Kim et al., CVPR 2023 (BoostLU" in line for line in lines)


def test_the_paper_s_table_is_as_published():
    """The corners of the table, and what has no figures there."""
    assert METHODS["full"].published_map["voc2012"] == (90.2, 91.1)
    assert METHODS["LL-Cp"].published_map["cub"] == (20.1, 21.4)
    assert METHODS["LL-Ct"].published_map["openimages_v3"] == (82.6, None)
    assert not METHODS["ASL"].published_map
