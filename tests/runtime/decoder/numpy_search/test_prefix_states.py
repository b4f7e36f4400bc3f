"""The table of prefix states against the scorer that fills it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespeech.runtime.decoder.hot_words import HotWords
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.decoder.numpy_search.prefix_states import PrefixStates
from edgespeech.runtime.decoder.word_scorer import START, WordScorer
from tests.runtime.decoder.ctc_examples import GOLDEN, LETTERS, PIECES

LM = LanguageModel(GOLDEN / "tiny.bin")


@pytest.mark.parametrize("labels", [LETTERS, PIECES])
@pytest.mark.parametrize("boosts", [{}, {"ba b": 3.0, "a": 1.0}])
@given(path=st.lists(st.integers(1, 3), max_size=12))
@settings(deadline=None, max_examples=30)
def test_the_table_is_exact_within_words_and_an_upper_bound_at_their_ends(
    labels: tuple[str, ...], boosts: dict[str, float], path: list[int]
) -> None:
    scorer = WordScorer(labels, LM, 0.7, 0.4, -5.0, HotWords(boosts))
    states = PrefixStates(scorer)
    row, history = 0, scorer.begin()
    for label in path:
        if scorer.ends_words[label]:
            gain = states.gains([history], np.array([row]), np.array([label]))[0]
            assert gain <= states.lookahead[row, label] + 1e-9
            later, after = states.end_words(history, row, label)
            lookahead = scorer.lookahead_score(states.states[after])
            assert gain == pytest.approx(scorer.history_score(later) - scorer.history_score(history) + lookahead)
            assert states.gains([history], np.array([row]), np.array([label])) == [gain]  # from the cache
            history, row = later, after
        else:
            after = states.follow(row, label)
            assert states.next_rows[row, label] == after == states.follow(row, label)
            assert states.lookahead[row, label] == pytest.approx(scorer.lookahead_score(states.states[after]))
            row = after


def test_a_growing_table_keeps_its_rows(tmp_path: Path) -> None:
    scorer = WordScorer(("", " ", *"ab"), LM, 0.5, 0.0, 0.0, HotWords({"ab" * 50: 1.0}))
    states = PrefixStates(scorer, max_bytes=5000)
    rows = [0]
    for label in (2, 3) * 45:
        rows.append(states.follow(rows[-1], label))
    assert len(states.states) == len(states.lookahead[:91]) == 91 and states.full
    assert [states.row(state) for state in states.states] == list(range(91))
    other = PrefixStates(scorer)
    assert [other.states[row] for row in states.rows_in(other, np.array(rows))] == [states.states[row] for row in rows]
    assert states.states[0] == START and not other.states[0].text
