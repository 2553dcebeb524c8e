"""Secrets are refused in addresses before anything is printed or stored, and masked in what is recorded."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wsml_study.cli.entry import app
from wsml_study.errors import ResultsError, StudyFileError
from wsml_study.record.storage import open_storage
from wsml_study.study.credentials import masked_command, without_secret
from wsml_study.study.reading import parse_study
from wsml_study.tuning.environment import environment

GOOD = {"name": "s", "data": {"dataset": "digit_scenes"}, "method": {"name": "AN"}}
SECRETS = {
    "s3://KEYID:hush/hush+hush@bucket/x?endpoint_override=127.0.0.1:9&scheme=http": "AWS_SECRET_ACCESS_KEY",
    "s3://KEYID:1hush@bucket": "AWS_SECRET_ACCESS_KEY",
    "abfs://:hush@account/container": "AZURE_STORAGE_KEY",
    "abfss://container@account.dfs.core.windows.net/x?sas_token=hush": "AZURE_STORAGE_KEY",
    "hdfs://user:hush@host/x": "the environment",
}
PLAIN = ["results", "/a:b@c", "s3://bucket/x?region=eu", "gs://anonymous@bucket/x", "http://host:8080/x@y", "s3://a@b"]


@pytest.mark.parametrize("address", SECRETS)
def test_a_secret_in_a_storage_is_refused_everywhere_and_not_told(address: str) -> None:
    with pytest.raises(StudyFileError, match=rf"storage: holds a secret.* {SECRETS[address]}") as in_file:
        parse_study(GOOD | {"storage": address}, source="s.yaml")
    with pytest.raises(ResultsError, match="storage holds a secret") as when_opened:
        open_storage(address, "s")
    assert "hush" not in f"{in_file.value} {when_opened.value}"


@pytest.mark.parametrize("address", PLAIN)
def test_addresses_without_a_secret_are_taken(address: str) -> None:
    assert without_secret(address) == address


def test_a_secret_on_the_command_line_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("name: s\ndata: {dataset: digit_scenes}\nmethod: {name: AN}\n")
    done = CliRunner().invoke(app, ["check", str(file), "--storage", "s3://KEYID:hush@bucket"])
    assert isinstance(done.exception, StudyFileError)
    assert str(done.exception).startswith("--storage holds a secret")
    assert "hush" not in f"{done.output}{done.exception}"


def test_a_secret_in_a_trackers_address_is_refused() -> None:
    with pytest.raises(StudyFileError, match=r"tracking: mlflow holds a secret.* MLFLOW_TRACKING_PASSWORD") as caught:
        parse_study(GOOD | {"tracking": {"mlflow": "https://me:hush@host:5000"}}, source="s.yaml")
    assert "hush" not in str(caught.value)


def test_the_recorded_command_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_TOKEN", "hush-hush-hush")
    arguments = [
        "run",
        "s.yaml",
        "--password",
        "hush 1",
        "AWS_SECRET_ACCESS_KEY=hush 2",
        "x-hush-hush-hush-x",
        "--keep",
    ]
    monkeypatch.setattr(sys, "argv", ["/bin/wsml-study", *arguments])
    assert environment()["command"] == (
        "wsml-study run s.yaml --password '***' 'AWS_SECRET_ACCESS_KEY=***' 'x-***-x' --keep"
    )
    assert masked_command(["AKIA" + "A" * 16, "monkey=1", "--tokens"], {}) == "'***' monkey=1 --tokens"
