"""Files of pretrained weights: on this machine, or in the cache of the Hugging Face hub, fetched when they are not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from wsml_study.data.hub_files import local_path, why_unreachable
from wsml_study.errors import DataError, TrainingError
from wsml_study.study.backbone_library import HUB_PREFIX


def local_weights(weights: str) -> Path:
    """Where a file of weights is: itself, or, of an address `hf://...`, in the cache of the hub.

    Raises:
        TrainingError: it is not in the cache, and cannot be downloaded.
    """
    try:
        return local_path(weights)
    except DataError as error:
        raise TrainingError(f"model.weights: {error}") from error


def digest_of_file(weights: str) -> str:
    """SHA-256 of a file of weights, as 64 hexadecimal digits.

    Raises:
        TrainingError: there is no such file.
    """
    path = local_weights(weights)
    try:
        status = path.stat()
    except OSError as error:
        raise TrainingError(f"model.weights: no file {weights}") from error
    return _digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=8)
def _digest(path: Path, num_bytes: int, changed: int) -> str:
    """SHA-256 of a file; its size and time of change are part of the cache's key: a changed file is read again."""
    del num_bytes, changed
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hub_file(source: str, filenames: Sequence[str]) -> Path:
    """A file of a repository of the hub, from the cache if it is there, else downloaded into it.

    Args:
        source: `owner/name` or `owner/name@revision`, after `hf-hub:` or without it.
        filenames: what the file may be called, the preferred name first.

    Raises:
        TrainingError: it is not in the cache, and cannot be downloaded.
    """
    import huggingface_hub  # late: half a second
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError

    repository, _, revision = source.removeprefix(HUB_PREFIX).partition("@")
    found = [huggingface_hub.try_to_load_from_cache(repository, name, revision=revision or None) for name in filenames]
    cached = next((path for path in found if isinstance(path, str)), None)
    if cached is not None:
        return Path(cached)
    where = f"model.weights: {HUB_PREFIX}{source.removeprefix(HUB_PREFIX)}"
    remedy = "fetch the file elsewhere and give its path as model.weights"
    if (why := why_unreachable()) is not None:
        raise TrainingError(f"{where} is not in the cache of this machine, and {why}; {remedy}")
    for name in filenames:
        try:
            return Path(huggingface_hub.hf_hub_download(repository, name, revision=revision or None))
        except EntryNotFoundError:
            continue
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            first_line = str(error).strip().partition("\n")[0]
            raise TrainingError(f"{where} could not be downloaded ({first_line}); {remedy}") from error
    raise TrainingError(f"{where} has none of the files {', '.join(filenames)}; {remedy}")
