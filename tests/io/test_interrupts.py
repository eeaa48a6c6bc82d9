"""The first signal asks for an end in order; of those that follow only a second Ctrl-C hurries it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from signal import SIGHUP, SIGINT, SIGTERM

import pytest

from cspnas.io.interrupts import SIGNALS, exit_code, interrupts, raise_on_signals


@pytest.fixture(autouse=True)
def as_a_command() -> Iterator[None]:
    """Signals as a command of ours hears them."""
    before = [signal.signal(number, signal.SIG_DFL) for number in SIGNALS]
    raise_on_signals()
    yield
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("first", SIGNALS)
def test_an_end_in_order_goes_on_whatever_follows_but_a_second_ctrl_c(first: signal.Signals) -> None:
    """While the search winds down, and while it closes what it had open."""
    with interrupts() as seen:
        for number in (first, SIGTERM, SIGHUP, SIGTERM):
            signal.raise_signal(number)
    assert seen == [first, SIGTERM, SIGHUP, SIGTERM]
    for number in (SIGTERM, SIGHUP):
        signal.raise_signal(number)
    if first != SIGINT:
        signal.raise_signal(SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(SIGINT)
    assert exit_code() == 128 + first


def test_a_second_ctrl_c_hurries_the_end() -> None:
    with interrupts() as seen:
        signal.raise_signal(SIGTERM)
        signal.raise_signal(SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(SIGINT)
    assert seen == [SIGTERM, SIGINT, SIGINT]


def test_without_steps_the_first_signal_interrupts_and_the_next_ones_do_not() -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(SIGTERM)
    signal.raise_signal(SIGHUP)
    signal.raise_signal(SIGTERM)
    assert exit_code() == 143
