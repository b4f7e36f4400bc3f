"""The table of places against the scorer that it is made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespeech.runtime.decoder.hot_words import HotWords
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.decoder.prefix_states import Places
from edgespeech.runtime.decoder.word_scorer import START, WordScorer
from tests.runtime.decoder.ctc_examples import GOLDEN, LETTERS, PIECES

LM = LanguageModel(GOLDEN / "tiny.arpa")


@pytest.mark.parametrize("labels", [LETTERS, PIECES])
@pytest.mark.parametrize("boosts", [{}, {"ba b": 3.0, "a": 1.0}])
@given(path=st.lists(st.integers(1, 3), max_size=12))
@settings(deadline=None, max_examples=30)
def test_the_table_is_exact_within_words_and_never_below_what_their_ends_are_worth(
    labels: tuple[str, ...], boosts: dict[str, float], path: list[int]
) -> None:
    scorer = WordScorer(labels, LM, 0.7, 0.4, -5.0, HotWords(boosts))
    places = Places(scorer)
    row, history = 0, scorer.begin()
    for label in path:
        if scorer.crosses[label]:
            gain = places.gains([history], np.array([row]), np.array([label]))[0]
            assert gain <= places.worth[row, label] + 1e-9
            later, after = places.cross(history, row, label)
            worth = scorer.worth(places.keys[after])
            assert gain == pytest.approx(scorer.bonus(later) - scorer.bonus(history) + worth)
            assert places.gains([history], np.array([row]), np.array([label])) == [gain]  # as remembered
            history, row = later, after
        else:
            after = places.follow(row, label)
            assert places.after[row, label] == after == places.follow(row, label)
            assert places.worth[row, label] == pytest.approx(scorer.worth(places.keys[after]))
            row = after


def test_a_growing_table_keeps_its_rows(tmp_path: Path) -> None:
    scorer = WordScorer(("", " ", *"ab"), LM, 0.5, 0.0, 0.0, HotWords({"ab" * 50: 1.0}))
    places = Places(scorer, most_bytes=5000)
    rows = [0]
    for label in (2, 3) * 45:
        rows.append(places.follow(rows[-1], label))
    assert len(places.keys) == len(places.worth[:91]) == 91 and places.full
    assert [places.row(place) for place in places.keys] == list(range(91))
    other = Places(scorer)
    assert [other.keys[row] for row in places.moved(np.array(rows), other)] == [places.keys[row] for row in rows]
    assert places.keys[0] == START and not other.keys[0].text
