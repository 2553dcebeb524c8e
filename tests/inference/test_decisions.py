"""Decisions of `predict`: the same in every format, on one image, and on contact sheets that need nothing else."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from wsml_study.cli.entry import app
from wsml_study.data.digit_scenes import CLASSES
from wsml_study.errors import ResultsError
from wsml_study.inference import sheet_picks
from wsml_study.inference.decisions import Decider
from wsml_study.inference.model import load_model
from wsml_study.inference.prediction import Predictions, predict_images, predict_one
from wsml_study.inference.sheet_picks import Picks
from wsml_study.record.decision_rules import read_rules


def predict(folder: Path, images: Path, output: Path | None, **options: object) -> Predictions:
    return predict_images(folder, images, output, device="cpu", progress=lambda done, total: None, **options)


@pytest.fixture
def folder(decided_folder: Path, tmp_path: Path) -> Path:
    """A model with thresholds for all classes but `nine`."""
    folder = shutil.copytree(decided_folder, tmp_path / "small" / "seed_0")
    content = json.loads((folder / "thresholds.json").read_text())
    content["classes"][9] |= dict.fromkeys(("threshold", "lowest", "highest", "precision", "recall", "f1"))
    content["classes"][9]["why_none"] = "3 known positives; 10 are needed"
    (folder / "thresholds.json").write_text(json.dumps(content))
    return folder


def test_tables_of_every_format_have_the_same_decisions(folder: Path, scenes: Path, tmp_path: Path) -> None:
    found = predict(folder, scenes, tmp_path / "p.parquet", decide=True, batch_size=32)
    for name in ("p.csv", "p.json"):
        predict(folder, scenes, tmp_path / name, decide=True, batch_size=32)
    table = pd.read_parquet(tmp_path / "p.parquet")
    assert list(table.columns) == [
        "image",
        *CLASSES,
        *(f"{name} calibrated" for name in CLASSES),
        *(f"{name} decision" for name in CLASSES),
    ]
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "p.csv"), table)
    pd.testing.assert_frame_equal(pd.DataFrame(json.loads((tmp_path / "p.json").read_text())), table)
    rules = read_rules(folder, CLASSES).classes
    for name, rule in zip(CLASSES[:9], rules, strict=False):
        assert (table[f"{name} decision"] == np.where(table[name] >= rule.threshold, "yes", "no")).all()
        assert found.num_decided[name] == (table[f"{name} decision"] == "yes").sum()
    assert set(table["nine decision"]) == {"no threshold"}
    assert "no threshold, and so not decided: nine" in found.lines()
    assert found.lines()[1].startswith("decided yes: ")


def test_without_decisions_a_table_is_as_before(folder: Path, scenes: Path, tmp_path: Path) -> None:
    predict(folder, scenes, tmp_path / "p.parquet")
    assert list(pd.read_parquet(tmp_path / "p.parquet").columns) == ["image", *CLASSES]
    predict(folder, scenes, tmp_path / "p.json")
    rows = json.loads((tmp_path / "p.json").read_text())
    assert pd.DataFrame(rows).equals(pd.read_parquet(tmp_path / "p.parquet"))


def test_one_image_shows_what_was_decided_first(folder: Path, scenes: Path) -> None:
    image = scenes / "00s" / "003.png"
    lines = predict_one(folder, image, decide=True, device="cpu")
    assert lines[0].split() == ["class", "probability", "calibrated", "decision"]
    words = [line.split(maxsplit=3)[3] for line in lines[1:]]
    assert words == sorted(words, key=["yes", "no", "no threshold"].index)
    (decisions,) = load_model(folder, device="cpu").decide([image])
    assert words.count("yes") == (decisions == 1).sum() > 0


def test_a_model_without_thresholds_names_the_command(model_folder: Path, scenes: Path, tmp_path: Path) -> None:
    for options in ({"decide": True}, {"sheet": tmp_path / "s.html"}):
        with pytest.raises(
            ResultsError, match=r"this model has no thresholds; choose them with `wsml-study thresholds "
        ):
            predict(model_folder, scenes, tmp_path / "p.csv", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["scenes"]


class Parsed(HTMLParser):
    """Tags of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_a_page_shows_decided_and_borderline_images_and_needs_nothing_else(
    folder: Path, scenes: Path, tmp_path: Path
) -> None:
    odd = "<b>&.png"
    (scenes / odd).write_bytes((scenes / "00s" / "001.png").read_bytes())
    found = predict(folder, scenes, None, sheet=tmp_path / "s.html")
    assert (found.path, found.sheet) == (None, tmp_path / "s.html")
    page = (tmp_path / "s.html").read_text()
    parsed = Parsed(page)
    assert not parsed.named("script")
    assert not parsed.named("link")
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=\"(?!data:image/jpeg;base64,|#class-)", page)
    assert not parsed.named("b"), "names of files are text"
    pictures = parsed.named("img")
    assert 9 * 4 <= len(pictures) <= 9 * 12
    for one in pictures:
        content = base64.b64decode(one["src"].split(",", 1)[1])
        with Image.open(io.BytesIO(content)) as picture:
            assert max(picture.size) <= 160
            assert (str(picture.width), str(picture.height)) == (one["width"], one["height"])
    assert all(re.fullmatch(r".+\.png, \w+: (yes|no)(, borderline)?", one["alt"]) for one in pictures)
    ids = {attributes["id"] for _, attributes in parsed.tags if "id" in attributes}
    assert {link["href"][1:] for link in parsed.named("a")} <= ids
    assert "<li>nine: 3 known positives; 10 are needed</li>" in page


def test_the_images_of_a_sheet_are_the_surest_and_those_about_the_threshold(
    folder: Path, scenes: Path, tmp_path: Path
) -> None:
    predict(folder, scenes, tmp_path / "p.parquet", sheet=tmp_path / "s.html", batch_size=16)
    table = pd.read_parquet(tmp_path / "p.parquet").sort_values(by="zero", ascending=False, kind="stable")
    rule = read_rules(folder, CLASSES).classes[0]
    yes, no = (
        table[mask]["image"].tolist() for mask in (table["zero"] >= rule.threshold, table["zero"] < rule.threshold)
    )
    expected = [*dict.fromkeys([*yes[:4], *yes[-4:]]), *no[:4]]
    page = (tmp_path / "s.html").read_text()
    shown = re.findall(
        r'alt="(\S+\.png), zero: (\S+)"', page.replace("no, borderline", "no+").replace("yes, borderline", "yes+")
    )
    assert [name for name, _ in shown] == expected
    within = table.set_index("image")["zero"].between(rule.lowest, rule.highest, inclusive="left")
    assert [word.endswith("+") for _, word in shown] == within[expected].tolist()
    assert [word.startswith("yes") for _, word in shown] == [name in yes for name in expected]


def test_pictures_have_a_row_per_class(folder: Path, scenes: Path, tmp_path: Path) -> None:
    for name, form in (("s.png", "PNG"), ("s.jpg", "JPEG")):
        predict(folder, scenes, None, sheet=tmp_path / name)
        with Image.open(tmp_path / name) as picture:
            assert picture.format == form
            heights = picture.height
            assert picture.width > 2000
    assert heights > 9 * 200


def test_rows_are_bounded_and_the_others_named(
    folder: Path, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheet_picks, "MOST_CLASSES", 2)
    predict(folder, scenes, None, sheet=tmp_path / "s.html")
    page = (tmp_path / "s.html").read_text()
    assert page.count("<section id=") == 2
    assert "7 more classes: two, three" in page


def test_picks_do_not_depend_on_the_batches(folder: Path) -> None:
    decider = Decider(read_rules(folder, CLASSES))
    probabilities = np.random.RandomState(0).rand(90, 10) * 0.6
    whole, parts = Picks(decider), Picks(decider)
    whole.add(range(90), probabilities)
    for start in range(0, 90, 7):
        rows = range(start, min(start + 7, 90))
        parts.add(rows, probabilities[list(rows)])
    for column in range(9):
        assert whole.of_class(column) == parts.of_class(column)
    assert whole.num_decided() == parts.num_decided()


def test_sheets_are_not_overwritten_unasked_and_other_suffixes_are_refused(
    folder: Path, scenes: Path, tmp_path: Path
) -> None:
    (tmp_path / "s.html").write_text("mine")
    with pytest.raises(ResultsError, match=r"s.html exists; name another file, or replace it with --overwrite"):
        predict(folder, scenes, None, sheet=tmp_path / "s.html")
    with pytest.raises(ResultsError, match=r"expected a contact sheet that ends in .html, .png or .jpg"):
        predict(folder, scenes, None, sheet=tmp_path / "s.pdf")
    with pytest.raises(ValueError, match="expected an output or a sheet, got neither"):
        predict(folder, scenes, None)


def test_commands(model_folder: Path, scenes: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "small" / "seed_0")
    run = CliRunner().invoke
    neither = run(app, ["thresholds", str(folder)])
    assert neither.exit_code == 2
    found = run(app, ["thresholds", str(folder), "--best", "f1", "--json", "--device", "cpu"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["target"]["best"] == "f1"
    shown = run(
        app, ["predict", str(folder), str(scenes), "--decide", "-o", str(tmp_path / "p.csv"), "--device", "cpu"]
    )
    assert shown.exit_code == 0, shown.output
    assert "decided yes: " in shown.stdout
