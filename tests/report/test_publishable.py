"""What is refused when something is published: secrets, and absolute paths."""

from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wsml_study.report.publishable import problems_of, without_paths


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("root: /data", "/data"),
        ("root: '/home/me/VOC 2012'", "/home/me/VOC"),
        ('{"root": "/home/me/photos"}', "/home/me/photos"),
        ("see (~/photos/a.jpg)", "~/photos/a.jpg"),
        ("weights: C:\\\\nets\\\\w.pth", "C:\\\\nets\\\\w.pth"),
    ],
)
def test_absolute_paths_are_found(text: str, path: str) -> None:
    assert problems_of({"config.yaml": text.encode()}) == [f"config.yaml: {path}"]


@pytest.mark.parametrize(
    "text",
    ["root: photos/2019", "https://a.org/b", "n/a and 3 / 4", "<b>x</b>", "models/x/seed_0", "<!-- /decisions -->"],
)
def test_other_texts_are_published(text: str) -> None:
    assert problems_of({"README.md": text.encode()}) == []


def test_secrets_are_found_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "correct-horse")
    texts = ["s3://KEY:SECRET@bucket", "hf_" + "x" * 34, "it is correct-horse"]
    for text in texts:
        (problem,) = problems_of({"README.md": text.encode()})
        assert problem == "README.md: holds a secret, such as a token or a password in an address"


def test_tables_are_looked_through_and_shortened() -> None:
    config = json.dumps({"data": {"root": "/home/me/photos"}})
    buffer = io.BytesIO()
    pq.write_table(pa.table({"trial": [1, 2], "config": [config, None]}), buffer)
    files = {"trials.parquet": buffer.getvalue(), "model.safetensors": b"/home/me/photos"}
    assert problems_of(files) == ["trials.parquet: /home/me/photos"]
    shortened = without_paths(files)
    assert problems_of(shortened) == []
    table = pq.read_table(io.BytesIO(shortened["trials.parquet"]))
    assert table["config"].to_pylist() == [json.dumps({"data": {"root": "photos"}}), None]
    assert shortened["model.safetensors"] == b"/home/me/photos"
