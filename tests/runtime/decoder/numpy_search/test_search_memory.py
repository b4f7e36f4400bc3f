"""The memory of the search is bounded over an hour, and moving to a new table of prefix states changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.decoder.numpy_search import prefix_states
from edgespeech.runtime.decoder.numpy_search.beam_state import BeamState
from edgespeech.runtime.decoder.numpy_search.prefix_states import TABLE_BYTES, PrefixStates
from edgespeech.runtime.decoder.word_scorer import PrefixState, WordScorer
from tests.runtime.decoder.ctc_examples import ALPHABET, GOLDEN, LETTERS, anonymous_memory, chatter, random_log_probs

FRAMES_PER_MINUTE = 25 * 60


def write_lm(path: Path, words: int) -> LanguageModel:
    """Write an ARPA file of random words, all equally likely."""
    pytest.importorskip("kenlm", reason="only the package kenlm reads ARPA files")
    letters = np.random.default_rng(0).integers(0, 26, size=(words, 6))
    lines = sorted({"".join(ALPHABET[2 + index] for index in row) for row in letters})
    score = -np.log10(len(lines))
    counts = f"\\data\\\nngram 1={len(lines) + 3}\nngram 2=1\n"
    unigrams = "\n\\1-grams:\n-6\t<unk>\n0\t<s>\t0\n-1\t</s>\n" + "".join(f"{score:.4f}\t{word}\t0\n" for word in lines)
    path.write_text(f"{counts}{unigrams}\n\\2-grams:\n-1\t<s> {lines[0]}\n\n\\end\\\n")
    return LanguageModel(path)


def held(state: BeamState) -> dict[str, int]:
    """Count what a state keeps alive apart from its text."""
    histories = state.beams.histories.tolist()
    return {
        "records": state.trie.size,
        "beams": state.beams.scores.shape[1],
        "prefix states": len(state.prefix_states.states),
        "table": state.prefix_states.lookahead.size,
        "gains": sum(len(history.gains) for history in set(histories)),
    }


@pytest.mark.parametrize("minutes", [3, pytest.param(60, marks=pytest.mark.slow)])
def test_memory_of_a_stream_is_bounded_however_long_it_runs(
    minutes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefix_states, "TABLE_BYTES", 200_000)  # of which a prefix state takes 500
    monkeypatch.setattr(prefix_states, "_MAX_GAINS", 64)
    lm = write_lm(tmp_path / "random.arpa", 3000)
    decoder = BeamSearchDecoder(ALPHABET, 0, lm, beam_width=8, search="numpy")
    state = decoder.initial_state()
    tables = set()
    largest: dict[str, int] = {}
    for minute in range(minutes):
        log_probs = chatter(lm, minute, FRAMES_PER_MINUTE)
        for chunk in np.split(log_probs, 60):
            _, state = decoder.step(chunk, state)
            assert isinstance(state, BeamState)
            tables.add(id(state.prefix_states))
            largest = {name: max(count, largest.get(name, 0)) for name, count in held(state).items()}
    assert state.frame == minutes * FRAMES_PER_MINUTE
    assert state.committed_labels > 100 * minutes
    assert len(tables) > 1
    between = 64 + len(chunk)  # frames until records are dropped again
    assert largest["beams"] == 8
    assert largest["records"] <= 8 * 128 + 2 * 8 * between
    assert largest["prefix states"] <= 400 + 8 * between
    assert largest["table"] <= 2048 * len(ALPHABET)
    assert largest["gains"] <= 8 * 64


@pytest.mark.parametrize("seed", range(5))
def test_moving_to_a_new_table_changes_nothing(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = write_lm(tmp_path / "random.arpa", 500)
    log_probs = chatter(lm, seed, 600)
    expected = BeamSearchDecoder(ALPHABET, 0, lm, beam_width=8, search="numpy").decode(log_probs)
    monkeypatch.setattr(prefix_states, "TABLE_BYTES", 0)  # full at 256 rows
    decoder = BeamSearchDecoder(ALPHABET, 0, lm, beam_width=8, search="numpy")
    state = first = decoder.initial_state()
    for chunk in np.split(log_probs, 7 * np.arange(1, 80)):
        _, state = decoder.step(chunk, state)
    assert isinstance(state, BeamState) and isinstance(first, BeamState)
    assert state.prefix_states is not first.prefix_states
    assert decoder.finish(state) == expected
    _, again = decoder.step(log_probs, first)  # a state of the old table still works
    assert decoder.finish(again) == expected


def test_the_cache_of_a_history_that_stays_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefix_states, "_MAX_GAINS", 2)
    lm = LanguageModel(GOLDEN / "tiny.bin")
    log_probs = random_log_probs(3, 80, len(LETTERS), 2.0)
    decoder = BeamSearchDecoder(LETTERS, 0, lm, beam_width=12, search="numpy")
    _, state = decoder.step(log_probs, decoder.initial_state())
    assert isinstance(state, BeamState)
    assert max(len(history.gains) for history in state.beams.histories) <= 2
    monkeypatch.undo()
    assert decoder.finish(state) == BeamSearchDecoder(LETTERS, 0, lm, beam_width=12, search="numpy").decode(log_probs)


def fill(table: PrefixStates, words: Iterable[str]) -> None:
    """Add the prefix states of words, and the end of each word, until the table is full."""
    history = table.scorer.begin()
    for word in words:
        rows = [table.row(PrefixState((), word[:letters])) for letters in range(1, len(word) + 1)]
        table.gains([history], np.array(rows[-1:]), np.array([ALPHABET.index(" ")]))
        if table.full:
            return
    raise AssertionError("more words are needed")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_full_table_takes_its_limit_of_memory_and_returns_it(tmp_path: Path) -> None:
    lm = write_lm(tmp_path / "random.arpa", 20_000)
    assert lm.vocabulary is not None
    scorer = WordScorer(ALPHABET, lm, 0.5, 0.0, -10.0)
    before, taken = anonymous_memory(), []
    for _ in range(5):
        table = PrefixStates(scorer)
        fill(table, lm.vocabulary)
        taken.append(anonymous_memory() - before)
    assert max(taken) <= 1.1 * TABLE_BYTES
    assert max(taken) - taken[0] <= 0.2 * TABLE_BYTES
