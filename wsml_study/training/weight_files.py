"""Files of pretrained weights: on this machine, or in the cache of the Hugging Face hub, fetched when they are not."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from wsml_study.errors import TrainingError
from wsml_study.study.backbone_library import HUB_PREFIX

REACH_TIMEOUT_S = 10.0


def digest_of_file(weights: str) -> str:
    """SHA-256 of a file of weights, as 64 hexadecimal digits.

    Raises:
        TrainingError: there is no such file.
    """
    path = Path(weights)
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

    Without a network huggingface_hub tries for most of a minute; here the hub is asked once, for ten seconds at most.

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
    if (why := _why_unreachable()) is not None:
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


def _why_unreachable() -> str | None:
    """Why the hub cannot be asked; None if it can."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE forbids to ask the hub"
    try:
        urllib.request.urlopen(constants.ENDPOINT, timeout=REACH_TIMEOUT_S).close()
    except urllib.error.HTTPError:
        return None  # it answers
    except OSError as error:
        return f"the hub {constants.ENDPOINT} cannot be reached ({getattr(error, 'reason', error)})"
    return None
