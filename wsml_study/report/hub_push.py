"""Publishing on the Hugging Face hub: a trained model with its card, or a study's tables as a data set with a card."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wsml_study.errors import ResultsError
from wsml_study.record.decision_rules import RULES_FILE
from wsml_study.record.model_folder import (
    CARD_FILE,
    CLASSES_FILE,
    CONFIG_FILE,
    METRICS_FILE,
    PREPROCESSING_FILE,
    WEIGHTS_FILE,
    check_model_folder,
)
from wsml_study.report.paper.dataset_folder import dataset_files
from wsml_study.report.paper.study_columns import columns_of
from wsml_study.report.publishable import problems_of, without_paths
from wsml_study.results.study_results import read_record

MODEL_FILES = (
    CARD_FILE,
    CONFIG_FILE,
    CLASSES_FILE,
    PREPROCESSING_FILE,
    METRICS_FILE,
    WEIGHTS_FILE,
    RULES_FILE,
    "model.onnx",
)
"""All else that may lie in a model's folder stays where it is."""

FRONT_MATTER = """\
---
library_name: wsml-study
pipeline_tag: image-classification
tags:
- multi-label
- weak-supervision
---

"""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """What would be published.

    Attributes:
        repo: owner/name.
        kind: of repository.
        files: name in the repository -> content.
    """

    repo: str
    kind: Literal["model", "dataset"]
    files: dict[str, bytes]

    def lines(self) -> Iterator[str]:
        """The files with their sizes."""
        yield f"{self.kind} {self.repo}: {len(self.files)} files, {sum(map(len, self.files.values())):,} bytes"
        for name, content in self.files.items():
            yield f"  {name:<24} {len(content):>12,}"


def planned_upload(source: Path, repo: str, *, strip_paths: bool = False) -> Upload:
    """What publishing a model's folder, or the folder of a study's results, would upload.

    Args:
        source: of a model, or of a study's results.
        repo: owner/name.
        strip_paths: put the last part of each absolute path in its place.

    Raises:
        ResultsError: there is no complete model and no study with results, or the files hold secrets or absolute paths.
    """
    is_model = (source / WEIGHTS_FILE).exists() or not (source / "study.yaml").exists()
    files = _model_files(source) if is_model else _study_files(source)
    files = without_paths(files) if strip_paths else files
    if problems := problems_of(files):
        remedy = "give relative paths in the study, or let --strip-paths leave the last part of each path"
        raise ResultsError("\n  ".join([f"{source}: not published:", *problems[:20]]) + f"\n{remedy}")
    return Upload(repo=repo, kind="model" if is_model else "dataset", files=files)


def _model_files(folder: Path) -> dict[str, bytes]:
    check_model_folder(folder)
    files = {name: (folder / name).read_bytes() for name in MODEL_FILES if (folder / name).is_file()}
    card = files.get(CARD_FILE, f"# {folder.parent.name}, {folder.name}\n".encode())
    return files | {CARD_FILE: card if card.startswith(b"---") else FRONT_MATTER.encode() + card}


def _study_files(folder: Path) -> dict[str, bytes]:
    record = read_record(folder)
    columns = columns_of(record)
    if not any(column.cells for column in columns):
        raise ResultsError(f"{record.study.name}: no trial has a value yet, so there is nothing to publish")
    return dataset_files([record], columns, title=f"Results of {record.study.name}")


def push(upload: Upload, *, private: bool) -> str:
    """Create the repository if it is not there, and put the files into it in one commit; returns its address.

    Raises:
        ResultsError: huggingface_hub is missing, the hub refuses or cannot be reached, or a repository that is to be
            private is there already and is public.
    """
    try:
        from huggingface_hub import CommitOperationAdd, HfApi
    except ImportError as error:
        raise ResultsError("push needs the package huggingface_hub: pip install 'wsml-study[hub]'") from error
    api = HfApi()
    operations = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=data) for name, data in upload.files.items()]
    try:
        address = api.create_repo(upload.repo, repo_type=upload.kind, private=private or None, exist_ok=True)
        if private and not api.repo_info(upload.repo, repo_type=upload.kind).private:
            raise ResultsError(f"{address} is there already and is public; make it private there, or name another one")
        api.create_commit(
            upload.repo, operations, repo_type=upload.kind, commit_message=f"wsml-study: {upload.kind} with its card"
        )
    except (OSError, ValueError) as error:
        raise ResultsError(f"{upload.repo}: {_why(error)}") from error
    return str(address)


def _why(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None and response.status_code in (401, 403):
        return (
            "the hub refuses: it needs a token that may write there; `hf auth login` keeps one, HF_TOKEN gives it "
            "for one command"
        )
    return f"could not be published: {str(error).strip().splitlines()[0] if str(error).strip() else repr(error)}"
