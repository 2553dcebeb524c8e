"""The folder that an OptunaHub sampler is loaded from, and the digest of its content, which a study records."""

from __future__ import annotations

import hashlib
from pathlib import Path

from wsml_study.errors import StudyFileError
from wsml_study.study.spec import Study


def with_digest(study: Study) -> Study:
    """The study with the digest of its sampler's folder, if it has one.

    Raises:
        StudyFileError: there is no such package, or its content is not what the study says.
    """
    folder = getattr(study.sampler, "folder", None)
    if folder is None:
        return study
    found, expected = content_digest(Path(folder)), study.sampler.digest
    if expected is not None and found != expected:
        raise StudyFileError(
            f"sampler.folder: the content of {folder} has the digest {found}, and the study says {expected}; restore "
            f"the folder, or leave `digest` out to begin a study with this content"
        )
    return study.model_copy(update={"sampler": study.sampler.model_copy(update={"digest": found})})


def content_digest(folder: Path) -> str:
    """SHA-256 of names and content of a package's files, in hexadecimal; hidden and compiled files do not count.

    Raises:
        StudyFileError: the folder has no __init__.py, or cannot be read.
    """
    if not (folder / "__init__.py").is_file():
        raise StudyFileError(
            f"sampler.folder: expected the folder of an OptunaHub package, got {folder}, which has no __init__.py; "
            f"copy package/samplers/<name> of the registry to this machine (paths are relative to where the command "
            f"runs)"
        )
    digest = hashlib.sha256()
    try:
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if path.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in inside.parts):
                content = path.read_bytes()
                digest.update(f"{inside.as_posix()}\0{len(content)}\0".encode() + content)
    except OSError as error:
        raise StudyFileError(f"sampler.folder: {error.filename}: {error.strerror}") from error
    return digest.hexdigest()
