"""An interrupt that gets lost while Ray starts ends the program nevertheless."""

from __future__ import annotations

import signal
from contextlib import suppress

import pytest

from wsml_study.cluster.session import _interrupts_kept


@pytest.fixture(autouse=True)
def _sigint_as_in_a_terminal():
    """What a shell runs in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def _sigterm_as_interrupt():
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("_sigterm_as_interrupt")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_exception_that_a_callback_drops_comes_after_the_block(number):
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), _interrupts_kept(), suppress(KeyboardInterrupt):
        signal.raise_signal(number)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


@pytest.mark.usefixtures("_sigterm_as_interrupt")
def test_an_exception_that_arrives_is_raised_where_it_does():
    def block():
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("the block went on")

    with pytest.raises(KeyboardInterrupt), _interrupts_kept():
        block()


def test_without_a_signal_nothing_is_raised():
    before = signal.getsignal(signal.SIGTERM)
    with _interrupts_kept():
        pass
    assert signal.getsignal(signal.SIGTERM) is before
