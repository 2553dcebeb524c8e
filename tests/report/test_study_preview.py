from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data import trees
from wsml_study.data.voc2012 import CLASSES
from wsml_study.errors import DataError
from wsml_study.record.line_width import NARROW, fitted
from wsml_study.report.study_preview import Preview, preview
from wsml_study.study.reading import parse_study, read_study
from wsml_study.study.spec import Study

MakeStudy = Callable[..., Study]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VOC 2007 with ten images to train on and four to test on; three of the twenty classes are on each."""
    folder = tmp_path_factory.mktemp("voc") / "VOC2007"
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    (folder / "JPEGImages").mkdir()
    for image_set, images in {"trainval": range(10), "test": range(10, 14)}.items():
        for image in images:
            (folder / "JPEGImages" / f"{image:06}.jpg").touch()
        for number, name in enumerate(CLASSES):
            states = [(image, 1 if (number - image) % 20 < 3 else -1) for image in images]
            text = "".join(f"{image:06} {state:2}\n" for image, state in states)
            (folder / "ImageSets" / "Main" / f"{name}_{image_set}.txt").write_text(text)
    return folder


@pytest.fixture
def preview_of(photos: Path) -> Callable[..., Preview]:
    def make(search: dict[str, Any] | None = None, **sections: Any) -> Preview:
        content = {
            "name": "photos",
            "data": {"dataset": "voc2007", "root": str(photos)},
            "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.005}},
        }
        return preview(parse_study(content | sections | {"search": search or {}}, "test"))

    return make


def text_of(preview: Preview) -> str:
    """The preview without its line ends."""
    return " ".join(" ".join(preview.lines()).split())


@pytest.mark.parametrize(
    ("model", "search", "expected"),
    [
        ({}, {}, "model: small_cnn, images of 64 x 64 pixels"),
        (
            {"backbone": "resnet50"},
            {},
            "model: resnet50, random weights (`model.weights` names pretrained ones), images of",
        ),
        ({"backbone": "resnet50", "weights": "IMAGENET1K_V1"}, {}, "model: resnet50, weights IMAGENET1K_V1, images of"),
        ({}, {"model.backbone": {"choice": ["small_cnn", "resnet50"]}}, "model: backbone as searched, images of"),
    ],
)
def test_the_network_is_named_and_that_its_weights_are_random(
    preview_of: Callable[..., Preview], photos: Path, model: dict[str, str], search: dict[str, Any], expected: str
) -> None:
    data = {"dataset": "voc2007", "root": str(photos), "image_size": 64}
    assert expected in text_of(preview_of(search, model=model, data=data))


def test_a_whole_preview(preview_of: Callable[..., Preview], photos: Path) -> None:
    shown = preview_of(
        {
            "method.name": {"choice": ["AN", "LL-R", "LL-Ct", "LL-Cp"]},
            "method.schedule.rate_per_epoch": {
                "when": {"method.name": ["LL-R", "LL-Ct", "LL-Cp"]},
                "float": {"low": 0.005, "high": 0.01, "log": True},
            },
            "training.weight_decay": {"float": {"low": 0, "high": 0.1, "step": 0.05}},
        },
        early_stopping={"name": "asha"},
        trials=12,
        resources={"workers_per_trial": 2, "gpus_per_worker": 0},
        storage="out/",
    )
    data = "\n".join(fitted(f"data: voc2007 in {photos}, 20 classes", NARROW))  # the folder may be a long path
    assert (
        "\n".join(shown.lines())
        == f"""\
study photos

{data}
              images  positives per image  observed positives  observed negatives
  train            8                 3.00                   8                   0
  validation       2                 3.00                   2                   0
  test             4                 3.00                  12                  68
  false negatives among the unobserved training labels: 10.53% as counted,
      10.53% by (m-1)/(C-1)
  classes: aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow,
      diningtable, dog, horse, motorbike, person, pottedplant, sheep, sofa,
      train, tvmonitor
  classes that can be evaluated (some images show them, others are known not
      to): 6 of 20 in validation, 6 of 20 in test; mAP is the mean over these
  train has no observed positive of 'bicycle', 'boat', 'bus', 'car', 'cow',
      'horse', 'motorbike', 'person' and 5 more
  validation cannot evaluate 'aeroplane', 'bicycle', 'bird', 'car',
      'diningtable', 'dog', 'horse', 'motorbike' and 6 more
  test cannot evaluate 'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus',
      'car', 'cat' and 6 more
  no image of any split shows 'sheep', 'sofa', 'train', 'tvmonitor'
  seen of the training labels: 1 positive and 0 negative per image, drawn with
      seed 1200

search: 12 trials proposed by tpe, seed 0
  method.name                     AN, LL-R, LL-Ct, LL-Cp
  method.schedule.rate_per_epoch  0.005 to 0.01, logarithmic, when method.name
                                  is LL-R or LL-Ct or LL-Cp
  training.weight_decay           0.0 to 0.1 in steps of 0.05

k, the labels distrusted in a batch of 16 images (20 classes), by epoch
  epoch          1  2  3   4   5   6   7   8   9  10
  linear, warmup_epochs 1, rate_per_epoch 0.005
    LL-R, LL-Ct  0  2  4   5   7   8  10  12  13  15
    LL-Cp        0  2  2   2   2   2   2   2   2   2
  linear, warmup_epochs 1, rate_per_epoch 0.01
    LL-R, LL-Ct  0  4  7  10  13  16  20  23  26  29
    LL-Cp        0  4  4   4   4   4   4   4   4   4
  method.schedule.rate_per_epoch holds few different trainings, since k is a
      whole number: LL-Cp 2. Trials that are equal run once; a larger
      training.batch_size tells more rates apart

early stopping: asha, comparing trials after epoch 1, 3, 9
a trial that ends there is paused, and goes on once it is among the best there;
    while it can, its checkpoint is kept (weights, with Adam three times as
    much; none of a linear probe)
objective: best_val_map (max), on clean labels
model: small_cnn
each trial: 10 epochs, 2 workers of 1 CPU and 0 GPUs
a trial that fails is retried 2 times
results: out/photos"""
    )


def test_a_config_with_nothing_to_search(preview_of: Callable[..., Preview]) -> None:
    lines = preview_of(method={"name": "AN"}, training={"epochs": 1}, retries=1).lines()
    assert "search: nothing; the study is one trial" in lines
    assert not any(line.startswith("k,") for line in lines)
    assert "early stopping: none" in lines
    assert "each trial: 1 epoch, 1 worker of 1 CPU and a GPU where there is any" in lines
    assert "a trial that fails is retried 1 time" in lines


def test_epochs_of_category_wise_fine_tuning_are_told(preview_of: Callable[..., Preview]) -> None:
    training = {"epochs": 3, "class_wise_epochs": 2, "class_wise_unobserved": "negative"}
    lines = preview_of(method={"name": "AN"}, training=training).lines()
    assert any(line.startswith("each trial: 3 epochs, then 2 of category-wise fine-tuning, 1 worker") for line in lines)


def test_a_share_of_the_training_images_is_told(preview_of: Callable[..., Preview], photos: Path) -> None:
    shown = preview_of(data={"dataset": "voc2007", "root": str(photos), "train_share": 0.25})
    assert [counts.num_images for counts in shown.splits.values()] == [2, 2, 4]
    assert "trained on 25 % of the training images that are not held out, drawn with seed 1200" in text_of(shown)


def test_a_confirmation_to_come_is_announced(preview_of: Callable[..., Preview]) -> None:
    lines = preview_of(confirm={"top": 2, "seeds": 4}).lines()
    assert "then: the best 2 configs and the best baseline, 4 seeds each, up to 12 trials" in lines
    assert not any(line.startswith("then: ") for line in preview_of().lines())


def test_a_finite_space_is_counted(preview_of: Callable[..., Preview]) -> None:
    shown = preview_of({"training.seed": {"int": {"low": 1, "high": 5}}}, sampler={"name": "grid"})
    assert "search: 5 combinations, 1 trial proposed by grid, seed 0" in shown.lines()


def test_the_paper_counts_over_unobserved_labels(preview_of: Callable[..., Preview]) -> None:
    """One label of twenty is observed: 304 of the 320 of a batch count, as against 320 by the authors' code."""
    schedule = {"rate_per_epoch": 0.005}
    by_code, by_paper = (
        preview_of(method={"name": "LL-R", "variant": variant, "schedule": schedule}).distrusted[0]
        for variant in ("code", "paper")
    )
    assert by_code.count_by_epoch == (0, 2, 4, 5, 7, 8, 10, 12, 13, 15)
    assert by_paper.count_by_epoch == (0, 2, 4, 5, 7, 8, 10, 11, 13, 14)
    assert by_paper.methods == ("LL-R (paper)",)


def test_a_million_epochs_are_counted_up_to_a_limit(preview_of: Callable[..., Preview]) -> None:
    shown = preview_of(
        method={"name": "LL-R", "schedule": {"rate_per_epoch": 0.0005}},
        training={"epochs": 1_000_000, "batch_size": 16},
    )
    assert len(shown.distrusted[0].count_by_epoch) == 1000
    assert ", by epoch, the first 1,000 of 1,000,000" in text_of(shown)


def test_permanent_corrections_count_what_the_rate_has_grown_by(preview_of: Callable[..., Preview]) -> None:
    method = {"name": "LL-Cp", "schedule": {"shape": "constant", "final_rate": 0.01, "warmup_epochs": 3}}
    assert preview_of(method=method).distrusted[0].count_by_epoch == (0, 0, 0, 4, 0, 0, 0, 0, 0, 0)


def test_both_ends_of_a_search_over_batches_and_ramps(preview_of: Callable[..., Preview]) -> None:
    shown = preview_of(
        {
            "method.schedule.ramp_epochs": {"int": {"low": 1, "high": 8}},
            "method.schedule.final_rate": {"choice": [0.1, 0.2]},
            "training.batch_size": {"choice": [8, 16]},
            "training.epochs": {"choice": [2, 3]},
        },
        method={"name": "LL-R", "schedule": {"shape": "cosine"}},
    )
    fewest, most = shown.distrusted
    assert fewest.setting == "cosine, warmup_epochs 1, final_rate 0.1, ramp_epochs 8, batches of 8"
    assert fewest.count_by_epoch == (0, 1, 3)  # of 160 labels, 10 % of (1 - cos(pi / 8)) / 2 and (1 - cos(pi / 4)) / 2
    assert most.setting == "cosine, warmup_epochs 1, final_rate 0.2, ramp_epochs 1, batches of 16"
    assert most.count_by_epoch == (0, 64, 64)
    assert "k, the labels distrusted in a batch (20 classes), by epoch" in shown.lines()
    assert any(line.startswith("each trial: up to 3 epochs") for line in shown.lines())


def test_long_trainings_show_as_many_epochs_as_fit(preview_of: Callable[..., Preview]) -> None:
    lines = preview_of(training={"epochs": 1000}).lines()
    header = next(line for line in lines if line.lstrip().startswith("epoch")).split()
    assert header[1] == "1"
    assert header[-1] == "1000"
    assert 10 < len(header) < 30


def test_no_line_is_wider_than_100_columns(
    preview_of: Callable[..., Preview], monkeypatch: pytest.MonkeyPatch, photos: Path
) -> None:
    monkeypatch.chdir(photos)
    parameters = {"rate_per_epoch": 0.012345678, "final_rate": 0.12345678, "rate_per_step": 0.012345678}
    lines = preview_of(
        {
            "method.name": {"choice": ["LL-R", "LL-Ct", "LL-Cp"]},
            "method.variant": {"choice": ["code", "paper"]},
            "method.schedule.shape": {"choice": ["linear", "constant", "capped_linear", "cosine", "step"]},
            "training.batch_size": {"choice": [10**6, 10**9]},
            "training.seed": {"choice": list(range(100))},
        },
        data={"dataset": "voc2007", "root": "."},
        method={"name": "LL-R", "schedule": parameters | {"ramp_epochs": 5, "epochs_per_step": 2}},
        training={"epochs": 300},
    ).lines()
    assert max(map(len, lines)) <= 100
    assert any(line.startswith("  ... and ") for line in lines)


def test_missing_data_is_told_as_an_error_of_the_data(preview_of: Callable[..., Preview], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected ImageSets/Main in it"):
        preview_of(data={"dataset": "voc2007", "root": str(tmp_path)})


def test_the_default_study_can_be_previewed() -> None:
    study = read_study(Path(__file__).parents[2] / "studies" / "rejection_rate.yaml")
    shown = preview(study)
    assert shown.splits["train"].positives_per_image == pytest.approx(3, abs=1)
    assert shown.expected_false_negatives == pytest.approx(shown.splits["train"].false_negative_share, abs=0.01)


def test_a_method_that_these_labels_do_not_suit_is_announced(preview_of: Callable[..., Preview]) -> None:
    shown = preview_of(search={"method.name": {"choice": ["AN", "IU", "LL-R"]}})
    assert shown.failing == (
        "IU needs observed negatives, and none is observed; set data.observe.negatives to 1 or more",
    )
    assert text_of(shown).endswith(f"`run` refuses the study: {shown.failing[0]}")


def test_soft_labels_of_mirrored_images_need_mirrored_images(preview_of: Callable[..., Preview], photos: Path) -> None:
    method = {"name": "EM+APL", "pseudo_label_mirroring": True}
    data = {"dataset": "voc2007", "root": str(photos)}
    assert preview_of(method=method, data=data).failing == ()
    without = "EM+APL with pseudo_label_mirroring needs mirrored training images, and there are none; set "
    still = data | {"horizontal_flip": False}
    assert preview_of(method=method, data=still).failing == (f"{without}data.horizontal_flip: true",)
    probe = {"training": {"mode": "linear"}, "model": {"backbone": "resnet18", "weights": "IMAGENET1K_V1"}}
    assert preview_of(method=method, data=data, **probe).failing == (f"{without}training.mirror_features: true",)
    probe["training"] |= {"mirror_features": True}
    assert preview_of(method=method, data=still, **probe).failing == ()


def test_long_lines_on_what_trials_are_judged_by_and_take_are_wrapped(preview_of: Callable[..., Preview]) -> None:
    lines = preview_of(
        model={"backbone": "resnet18", "weights": "IMAGENET1K_V1"},
        training={"mode": "linear", "epochs": 2},
        objective={"beside": "train_seconds", "constraints": {"of1": {"min": 10}, "total_seconds": {"max": 300}}},
        search={"training.batch_size": {"choice": [16, 64]}},
    ).lines()
    start = next(number for number, line in enumerate(lines) if line.startswith("objective: "))
    assert max(len(line) for line in lines[start : start + 4]) <= 100
    assert " ".join(line.strip() for line in lines[start : start + 2]).endswith("total_seconds at most 300")


def test_modes_are_told_and_each_phase_distrusts_from_its_first_epoch(preview_of: Callable[..., Preview]) -> None:
    shown = preview_of(
        model={"backbone": "resnet18", "weights": "IMAGENET1K_V1"},
        training={"mode": "linear_init", "linear_epochs": 3, "epochs": 2},
    )
    assert shown.distrusted[0].count_by_epoch == (0, 2, 4, 0, 2)
    told = " ".join(line.strip() for line in shown.lines())
    assert "each trial: 5 epochs (the first 3 of a linear probe: only the head, on frozen features; the others" in told
    assert "the others from its best head), 1 worker" in told


def test_given_features_are_rows(tmp_path: Path) -> None:
    root, _ = trees.mulan(tmp_path / "mulan")
    files = {"file": "train.arff", "test_file": "test.arff", "classes": "scene.xml"}
    content = {
        "name": "given",
        "data": {"dataset": "features", "root": str(root), "features": files, "validation": {"fraction": 0.25}},
        "model": {"backbone": "linear"},
        "method": {"name": "AN"},
    }
    lines = preview(parse_study(content, "test")).lines()
    assert "              rows  known positives per row  observed positives  observed negatives" in lines
    assert "  2 features per row" in lines
    assert "  features get mean 0 and deviation 1 over the training rows" in lines
    content["data"]["feature_scaling"] = "none"
    assert "  features are used unscaled" in preview(parse_study(content, "test")).lines()


def test_levels_are_shown_with_their_trials_epochs_and_early_stopping(preview_of: Callable[..., Preview]) -> None:
    shown = preview_of(
        {"training.learning_rate": {"choice": [1e-4, 1e-3, 1e-2]}},
        training={"epochs": 8},
        sampler={"name": "grid"},
        early_stopping={"name": "asha", "grace_epochs": 3},
        trials=9,
        fidelity=[{"set": {"training.epochs": 3}, "survivors": 2}, {"set": {"training.epochs": 4}, "survivors": 1}],
    )
    lines = shown.lines()
    first = next(number for number, line in enumerate(lines) if line.startswith("level 1 of 3"))
    assert lines[first : first + 5] == [
        "level 1 of 3: training.epochs 3; the best 2 go on: 3 trials of 3 epochs, early",
        "    stopping: none",
        "level 2 of 3: training.epochs 4; the best 1 go on: 2 trials of 4 epochs, early",
        "    stopping: asha, comparing trials after epoch 3",
        "level 3 of 3: full size: 1 trial, as follows",
    ]


def own_study(folder: Path, text: str, labels: str = "", validation: str = "{}") -> Study:
    (folder / "labels.csv").write_text(text)
    for number in range(20):
        (folder / f"{number}.png").touch()
    study = f"""
name: own
data:
  dataset: table
  root: {folder}
  labels: {{file: {folder}/labels.csv, {labels}}}
  validation: {validation}
method: {{name: AN}}
"""
    (folder / "study.yaml").write_text(study)
    return read_study(folder / "study.yaml")


def rows(cells: Callable[[int], str], heading: str) -> str:
    return "\n".join([heading, *(f"{number}.png,{cells(number)}" for number in range(20))]) + "\n"


POSITIVES_ONLY = rows(lambda number: ("cat", "dog", "cat;dog")[number % 3], "image,tags")


def test_a_study_whose_objective_could_only_be_100_is_refused_with_the_way_out(tmp_path: Path) -> None:
    listed = "positives_column: tags, unlisted: unobserved"
    with pytest.raises(
        DataError, match=r"(?s)none of 2 classes can be evaluated.*AP would be 100.*labels: estimated"
    ) as error:
        preview(own_study(tmp_path, POSITIVES_ONLY, listed))
    assert "`unlisted: negative` under data.labels" in str(error.value)
    for labels, validation in ((listed, "{labels: observed}"), ("positives_column: tags, unlisted: negative", "{}")):
        lines = "\n".join(preview(own_study(tmp_path, POSITIVES_ONLY, labels, validation)).lines())
        assert "2 of 2 in validation" in lines.replace("\n     ", "")
        assert ("test mAP will be empty" in lines) == ("unobserved" in labels)
    lines = "\n".join(preview(own_study(tmp_path, POSITIVES_ONLY, listed, "{labels: estimated}")).lines())
    assert "on estimated labels" in lines
    assert "ranked by mAP over what unobserved labels probably are; epochs by `observed` labels" in " ".join(
        lines.split()
    )


def test_clean_labels_have_to_be_complete(tmp_path: Path) -> None:
    text = rows(lambda number: ("1,0", "0,", ",1")[number % 3], "image,cat,dog")
    with pytest.raises(DataError, match=r"needs complete labels: \d+ of \d+ labels of the \d+ validation images"):
        preview(own_study(tmp_path, text, "", "{labels: clean}"))
    shown = preview(own_study(tmp_path, text, "", "{fraction: 0.5}"))
    assert shown.study.data.validation.labels == "known"


def test_labels_that_nobody_gave_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no label is annotated"):
        preview(own_study(tmp_path, rows(lambda _: "", "image,cat")))


def test_validation_images_that_happen_to_judge_nothing_are_told(tmp_path: Path) -> None:
    text = rows(lambda number: str(int(number == 0)), "image,cat")
    shown = [preview(own_study(tmp_path, text, "", f"{{seed: {seed}}}")) for seed in range(6)]
    told = ["`run` refuses the study" in text_of(one) for one in shown]
    assert told == [not one.judged["validation"][0] for one in shown]
    assert any(told)


def test_classes_that_no_image_shows_are_told_by_name(tmp_path: Path) -> None:
    text = rows(lambda number: f"{number % 2},0", "image,cat,cow")
    lines = preview(own_study(tmp_path, text)).lines()
    assert "  classes: cat, cow" in lines
    assert "  train has no observed positive of 'cow'" in lines
    assert "  no image of any split shows 'cow'" in lines


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ("all", "6 of 20 in test; mAP is the mean over all of them, 0 for those without a positive"),
        ("present", "6 of 20 in test; mAP is the mean over these"),
        ({"min_positives": 2}, "0 of 20 in validation, 4 of 20 in test; mAP is the mean over these"),
    ],
)
def test_which_classes_map_is_the_mean_of_is_told(
    preview_of: Callable[..., Preview], classes: object, said: str
) -> None:
    text = " ".join(" ".join(preview_of(objective={"classes": classes}).lines()).split())
    assert said in text


def test_a_study_that_asks_for_more_positives_than_there_are_is_refused(preview_of: Callable[..., Preview]) -> None:
    with pytest.raises(DataError, match=r"objective\.classes asks for 50 positives, and the most that 10 images have"):
        preview_of(objective={"classes": {"min_positives": 50}})
