"""The memory of the compiled search: bounded in a stream, shared by states, and returned."""

from __future__ import annotations

import itertools
import os
import signal
from typing import NoReturn

import numpy as np
import pytest

from edgespeech.runtime.bundle import DEFAULT_BUNDLE
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.decoder.native.search import NativeState
from edgespeech.runtime.decoder.numpy_search import prefix_states
from tests.runtime.decoder.ctc_examples import ALPHABET, Array, anonymous_memory, chatter

pytestmark = pytest.mark.usefixtures("native_search")

LM = LanguageModel(DEFAULT_BUNDLE / "lm.bin")
FRAMES_PER_MINUTE = 25 * 60
BYTES_PER_BEAM = 4000  # with the labels that are not committed


def decoder(width: int) -> BeamSearchDecoder:
    made = BeamSearchDecoder(ALPHABET, 0, LM, beam_width=width, search="native")
    assert made.search_kind.name == "native"
    return made


def sizes(state: object) -> dict[str, int]:
    assert isinstance(state, NativeState)
    return state.sizes()


@pytest.mark.parametrize("minutes", [5, pytest.param(60, marks=pytest.mark.slow)])
def test_memory_of_a_stream_is_bounded_however_long_it_runs(minutes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefix_states, "TABLE_BYTES", 400_000)
    search, width = decoder(8), 8
    state = search.initial_state()
    largest: dict[str, int] = {}
    tables = []
    for minute in range(minutes):
        for chunk in np.split(chatter(LM, minute, FRAMES_PER_MINUTE), 60):
            _, state = search.step(chunk, state)
            held = sizes(state)
            tables.append(held["table_bytes"])
            held["bytes"] -= 16 * held["committed_labels"]
            largest = {name: max(count, largest.get(name, 0)) for name, count in held.items()}
    between = 64 + FRAMES_PER_MINUTE // 60  # frames until records are dropped again
    assert state.frame == minutes * FRAMES_PER_MINUTE
    assert state.committed_labels > 100 * minutes
    assert largest["beams"] == width and largest["histories"] <= width
    assert largest["records"] <= width * 128 + 2 * width * between
    assert largest["table_bytes"] <= 400_000 + 1000 * width * between
    assert any(later < earlier for earlier, later in itertools.pairwise(tables)), "no table became full"
    assert largest["bytes"] <= 200_000


@pytest.mark.parametrize("seed", range(3))
def test_moving_to_a_new_table_changes_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    log_probs = chatter(LM, seed, 600)
    expected = decoder(8).decode(log_probs)
    monkeypatch.setattr(prefix_states, "TABLE_BYTES", 0)  # full at 256 rows
    search = decoder(8)
    state = first = search.initial_state()
    tables = []
    for chunk in np.split(log_probs, 7 * np.arange(1, 80)):
        _, state = search.step(chunk, state)
        tables.append(sizes(state)["table_bytes"])
    assert any(later < earlier for earlier, later in itertools.pairwise(tables))
    assert search.finish(state) == expected
    _, again = search.step(log_probs, first)  # a state of the old table still works
    assert search.finish(again) == expected


def test_states_return_their_memory() -> None:
    search = decoder(64)
    log_probs = chatter(LM, 0, 500)

    def use() -> None:
        state = search.initial_state()
        for chunk in np.split(log_probs, 50):
            search.step(chunk, state)  # as fast partial results do: a step whose state is dropped
            _, state = search.step(chunk, state)
        assert sizes(state)["bytes"] <= 64 * BYTES_PER_BEAM
        search.finish(state)
        BeamSearchDecoder(ALPHABET, 0, LM, beam_width=8, search="native").decode(log_probs[:20])

    for _ in range(3):
        use()
    before = anonymous_memory()
    for _ in range(20):
        use()
    assert anonymous_memory() - before <= 2_000_000


@pytest.mark.skipif(os.name != "posix", reason="timers of POSIX")
def test_what_a_signal_handler_raises_while_memory_is_returned_is_not_lost() -> None:
    search = decoder(512)
    log_probs = chatter(LM, 0, 100)
    handled = caught = 0

    class Interrupted(BaseException):
        pass

    def interrupt(*_: object) -> NoReturn:
        nonlocal handled
        handled += 1
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for attempt in range(50):
            _, state = search.step(log_probs, search.initial_state())
            assert sizes(state)["beams"] == 512
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-6 * (1 + attempt))
                del state
                while handled == attempt:
                    pass
            except Interrupted:
                caught += 1
    finally:
        signal.signal(signal.SIGALRM, before)
    assert caught == handled == 50


def test_a_step_leaves_the_state_that_it_begins_from() -> None:
    search = decoder(32)
    log_probs: Array = chatter(LM, 4, 400)
    _, state = search.step(log_probs[:300], search.initial_state())
    finished, held = search.finish(state), sizes(state)
    first, _ = search.step(log_probs[300:], state)
    second, _ = search.step(log_probs[300:], state)
    del held["table_bytes"]  # it belongs to all states
    assert first == second and search.finish(state) == finished
    assert held.items() <= sizes(state).items()
