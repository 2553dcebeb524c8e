"""Files of the Hugging Face hub, by address: `hf://owner/name/path` of a model, `hf://datasets/owner/name/path`.

`@revision` after the name pins a branch, tag or commit. Everything goes through huggingface_hub's cache (`HF_HOME`) and
its settings: `HF_TOKEN` or its login for private repositories, `HF_ENDPOINT`, `HF_HUB_OFFLINE`.
"""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from wsml_study.data.label_files import HUB
from wsml_study.errors import DataError

if TYPE_CHECKING:
    from huggingface_hub import HfUri

REACH_TIMEOUT_S = 10.0
SHORTENED = re.compile(r"^hf:/(?!/)")
"""What pathlib leaves of `hf://`."""

EXAMPLE = "hf://owner/name/file of a model, hf://datasets/owner/name/file of a dataset"


def is_hub_address(path: str | Path) -> bool:
    """Whether a path is an address of the hub.

    >>> is_hub_address("hf://owner/name"), is_hub_address(Path("hf://owner/name")), is_hub_address("photos")
    (True, True, False)
    """
    return str(path).startswith(HUB.rstrip("/") + "/")


def refuse_hub_address(path: Path, what: str) -> None:
    """Refuse to write into the cache of the hub.

    Raises:
        DataError: the path is an address of the hub.
    """
    if is_hub_address(path):
        raise DataError(
            f"{path}: {what} written into the folder; get a copy first: hf download NAME --local-dir FOLDER"
        )


def local_path(path: str | Path) -> Path:
    """The path itself; of an address of the hub, that of the file in the cache, downloaded into it if it is not there.

    A path in the repository without a suffix, or none, is a folder: all its files are downloaded. One with `*` stands
    for several files, and keeps the `*`.

    Raises:
        DataError: the address is malformed, huggingface_hub is missing, or the file is neither in the cache nor to be
            had.
    """
    if not is_hub_address(path):
        return Path(path)
    address = SHORTENED.sub(HUB, str(path))
    uri = _parsed(address)
    inside = PurePosixPath(uri.path_in_repo or "")
    if inside.suffix and "*" not in inside.name:
        return _file(address, uri, str(inside))
    if "*" in str(inside):
        return _folder(address, uri, [str(inside)]) / inside
    folder = _folder(address, uri, [f"{inside}/*"] if inside.name else None) / inside
    if not folder.is_dir():
        raise DataError(f"{address}: the repository has no such folder")
    return folder


def why_unreachable() -> str | None:
    """Why the hub cannot be asked; None if it can.

    Without a network huggingface_hub tries for most of a minute; here the hub is asked once, for ten seconds at most.
    """
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


def _parsed(address: str) -> HfUri:
    try:
        from huggingface_hub import parse_hf_uri
        from huggingface_hub.errors import HfUriError
    except ImportError as error:
        raise DataError(
            f"{address} needs the package huggingface_hub, version 2: pip install 'wsml-study[hub]'"
        ) from error
    try:
        uri = parse_hf_uri(address)
    except HfUriError as error:
        raise DataError(f"{address}: expected {EXAMPLE}: {error}") from error
    if uri.type not in ("model", "dataset"):
        raise DataError(f"{address}: expected {EXAMPLE}, got a {uri.type}")
    return uri


def _file(address: str, uri: HfUri, name: str) -> Path:
    import huggingface_hub

    cached = huggingface_hub.try_to_load_from_cache(uri.id, name, revision=uri.revision, repo_type=uri.type)
    if isinstance(cached, str):
        return Path(cached)
    if (why := why_unreachable()) is not None:
        raise DataError(f"{address} is not in the cache of this machine, and {why}")
    try:
        return Path(huggingface_hub.hf_hub_download(uri.id, name, revision=uri.revision, repo_type=uri.type))
    except (OSError, ValueError) as error:
        raise _cannot(address, error) from error


def _folder(address: str, uri: HfUri, patterns: list[str] | None) -> Path:
    """The local copy of a repository, with the files that the patterns stand for."""
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    why = why_unreachable()
    try:
        return Path(
            huggingface_hub.snapshot_download(
                uri.id,
                revision=uri.revision,
                repo_type=uri.type,
                allow_patterns=patterns,
                local_files_only=why is not None,
            )
        )
    except LocalEntryNotFoundError as error:
        raise DataError(f"{address} is not whole in the cache of this machine, and {why or error}") from error
    except (OSError, ValueError) as error:
        raise _cannot(address, error) from error


def _cannot(address: str, error: Exception) -> DataError:
    """What the hub says, in a line."""
    from huggingface_hub.errors import (
        GatedRepoError,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, GatedRepoError):
        why = "access to it must be asked for, on its page on the hub; then give a token, as HF_TOKEN"
    elif isinstance(error, RepositoryNotFoundError):
        why = "there is no such repository, or it is private and needs a token, as HF_TOKEN"
    elif isinstance(error, RevisionNotFoundError):
        why = "the repository has no such revision"
    elif isinstance(error, RemoteEntryNotFoundError):
        why = "the repository has no such file"
    else:
        why = f"it could not be downloaded: {str(error).strip().splitlines()[0] if str(error).strip() else error!r}"
    return DataError(f"{address}: {why}")
