"""Running the promises of a contract, and saying which one is broken.

A promise is a function of what is checked; its name states the promise. It raises AssertionError if the promise is
broken. Several cases of one promise are partials of one function.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

T = TypeVar("T")


def expect(holds: object, message: str) -> None:
    """Raise AssertionError with the message unless something holds; unlike `assert`, also under `python -O`."""
    if not holds:
        raise AssertionError(message)


def promise_in_words(promise: Callable[..., None]) -> str:
    """A promise as a sentence, with the case that a partial fixes.

    >>> def scores_are_finite(subject, scale): ...
    >>> promise_in_words(partial(scores_are_finite, scale=2))
    'scores are finite (scale=2)'
    """
    if isinstance(promise, partial):
        case = ", ".join(f"{key}={value}" for key, value in promise.keywords.items())
        return f"{promise_in_words(promise.func)} ({case})"
    name: str = promise.__name__
    return name.replace("_", " ")


def keep_promise(promise: Callable[[T], None], subject: T, described: str) -> None:
    """Check one promise.

    Raises:
        AssertionError: it is broken, or what is checked raises an error; says what was checked and the promise.
    """
    try:
        promise(subject)
    except Exception as error:  # a plug-in may raise anything
        kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
        raise AssertionError(
            f"{described} breaks the promise: {promise_in_words(promise)}\n{kind}{str(error).strip()}"
        ) from error
