"""Recall and precision of hot words, and the word errors around them."""

from __future__ import annotations

import pytest

from edgespeech.demo.evaluation.hot_words import count_hot_words, hot_word_table


def test_hot_words_are_counted_within_each_utterance() -> None:
    rates = count_hot_words(
        {"new york": 1.0, "zebra": 1.0},
        ["a zebra in new york", "new york new york", "nothing to see"],
        ["zebra a zebra in york", "new york and new york zebra", "nothing to say"],
    )
    assert (rates.spoken, rates.recognised, rates.correct) == (4, 5, 3)
    assert (rates.recall, rates.precision) == (0.75, 0.6)
    assert rates.wer_with == pytest.approx(4 / 9)  # zebra more, new less; and, zebra more
    assert rates.wer_without == pytest.approx(1 / 3)
    assert ("recall", "75.00%", "75.00%") in hot_word_table(rates, rates).rows
    nothing = count_hot_words({"zebra": 1.0}, ["a"], ["a"])
    assert (nothing.recall, nothing.precision, nothing.wer_with) == (0.0, 1.0, 0.0)
