"""The first Ctrl-C ends the reading, the second one the program."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from edgespeech.demo.transcribe.interruption import Interruption


def numbers(signalled_at: int, inside: bool) -> Iterator[int]:
    """Yield numbers for ever; a signal comes while the source makes the next one, or while one is used."""
    number = 0
    while True:
        if inside and number == signalled_at:
            os.kill(os.getpid(), signal.SIGINT)
        yield number
        number += 1


@pytest.mark.parametrize("inside", [True, False])
def test_the_source_ends_at_the_signal(inside: bool) -> None:
    before = signal.getsignal(signal.SIGINT)
    taken = []
    with Interruption() as interruption:
        for number in interruption.guard(numbers(3, inside)):
            taken.append(number)
            if not inside and number == 3:
                os.kill(os.getpid(), signal.SIGINT)
    assert taken == list(range(3 if inside else 4))
    assert interruption.cut and (interruption.signal, interruption.exit_code) == (signal.SIGINT, 130)
    assert signal.getsignal(signal.SIGINT) is before


def test_what_is_complete_is_not_cut() -> None:
    with Interruption() as interruption:
        assert list(interruption.guard("abc")) == ["a", "b", "c"]
        os.kill(os.getpid(), signal.SIGTERM)
    assert not interruption.cut and interruption.exit_code == 143


def test_a_second_signal_has_its_usual_effect() -> None:
    with Interruption() as interruption:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert interruption.signal == signal.SIGINT


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with Interruption() as interruption:
            os.kill(os.getpid(), signal.SIGHUP)
        assert interruption.signal is None and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_interruption_inside_the_source_is_passed_on() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    with Interruption() as interruption, pytest.raises(KeyboardInterrupt):
        list(interruption.guard(source()))
