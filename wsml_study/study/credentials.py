"""Secrets in addresses and command lines: addresses with a secret are refused, recorded command lines are masked."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping

NAME = r"[\w.-]*(?:secret|passw(?:or)?d|token|api[-_]?key|access[-_]?key|account[-_]?key|credential|signature)[\w.-]*"
"""Matches names of options, variables and query parameters that hold a secret."""

# The password may hold slashes, as keys of S3 do; a number and a slash are a port and a path.
USER_INFO = re.compile(r"(?<=://)[^/@\s:]*:(?!\d+(?:/|$))[^@\s]+(?=@)")
QUERY = re.compile(rf"(?<=[?&])({NAME}|sig)=[^&\s'\"]+", re.IGNORECASE)
OPTION = re.compile(rf"-{{1,2}}{NAME}", re.IGNORECASE)
ASSIGNED = re.compile(rf"^(-{{0,2}}{NAME}=).*", re.IGNORECASE | re.DOTALL)
HUB_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{20,}\b")
KEY_ID = re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")
SECRET_VARIABLE = re.compile(rf"{NAME}|.*_KEY", re.IGNORECASE)

SHORTEST = 8
"""Characters; shorter values of secret variables are not searched for, since they may be part of any word."""

MASK = "***"

VARIABLES = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE,",
    "abfs": "AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY, or AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET,",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "http": "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN,",
}
"""Scheme -> environment variables from which its client reads the credentials, as messages name them."""


def without_secret(address: str) -> str:
    """Return the address if it holds no secret.

    Raises:
        ValueError: it holds a password or a key; the message does not repeat it.
    """
    if USER_INFO.search(address) is None and QUERY.search(address) is None:
        return address
    scheme = address.partition("://")[0].lower()
    name = next((known for known in VARIABLES if scheme.startswith(known)), None)
    way_out = f"set {VARIABLES[name]} in the environment instead" if name else "give it in the environment instead"
    raise ValueError(f"holds a secret, which would be printed and stored; leave it out of the address and {way_out}")


def holds_secret(text: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a text holds a token, a password in an address, or the value of a variable that holds a secret.

    >>> holds_secret("s3://KEY:SECRET@bucket", {}), holds_secret("hf_" + "x" * 34, {}), holds_secret("a token", {})
    (True, True, False)
    """
    patterns = (USER_INFO, QUERY, KEY_ID, HUB_TOKEN)
    return any(map(text.__contains__, _secrets(environ))) or any(pattern.search(text) for pattern in patterns)


def _secrets(environ: Mapping[str, str]) -> list[str]:
    return [value for name, value in environ.items() if len(value) >= SHORTEST and SECRET_VARIABLE.fullmatch(name)]


def masked_command(arguments: Iterable[str], environ: Mapping[str, str] = os.environ) -> str:
    """A command line, quoted as for a shell, with everything that looks like a secret replaced by `***`.

    Args:
        arguments: the program first.
        environ: values of variables whose names suggest a secret are masked wherever they occur.

    >>> masked_command(["run", "--storage", "s3://KEY:SECRET@bucket", "--api-key", "1234", "TOKEN=a b"], {})
    "run --storage 's3://***@bucket' --api-key '***' 'TOKEN=***'"
    """
    secrets = _secrets(environ)
    shown: list[str] = []
    follows = False  # whether the previous argument names a secret, as `--api-key` does
    for argument in arguments:
        if follows and not argument.startswith("-"):
            shown.append(MASK)
        else:
            shown.append(_masked(argument, secrets))
        follows = OPTION.fullmatch(argument) is not None
    return shlex.join(shown)


def _masked(argument: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        argument = argument.replace(secret, MASK)
    argument = USER_INFO.sub(MASK, argument)
    argument = QUERY.sub(rf"\1={MASK}", argument)
    argument = ASSIGNED.sub(rf"\1{MASK}", argument)
    return KEY_ID.sub(MASK, argument)
