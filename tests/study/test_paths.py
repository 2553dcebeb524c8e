"""Files of this machine that a study names: what a job sends, and what every machine of a cluster must have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wsml_study.study.paths import named_files
from wsml_study.study.reading import parse_study


def named(file: str, **others: Any) -> list[str]:
    data = {"dataset": "table", "labels": {"file": file, "positives_column": "tags", "unlisted": "negative"}}
    return list(named_files(parse_study({"name": "x", "data": data, "method": {"name": "AN"}} | others, "test")))


def test_a_name_with_a_star_stands_for_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("train-1.parquet", "train-0.parquet", "test-0.parquet"):
        (tmp_path / name).touch()
    assert named("train-*.parquet") == ["train-0.parquet", "train-1.parquet"]
    assert named("other-*.parquet") == ["other-*.parquet"]


def test_addresses_of_the_hub_are_no_files_of_this_machine() -> None:
    model = {"backbone": "resnet18", "weights": "hf://me/net/net.pth"}
    assert named("hf://datasets/me/pets/train-*.parquet", model=model) == []
