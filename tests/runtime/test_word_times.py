"""Words out of labels, and agreement in time."""

from __future__ import annotations

import pytest

from edgespeech.runtime.word_times import Agreement, Span, split_words


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([], []),
        (["a", "b"], [("ab", 0, 1)]),
        ([" ", "a", " ", " ", "b", " "], [("a", 1, 1), ("b", 4, 4)]),
        (["th", "e ", "en", "d"], [("the", 0, 1), ("end", 2, 3)]),
        (["a", " b", "c d", "e"], [("a", 0, 0), ("bc", 1, 2), ("de", 2, 3)]),
        (["a b c"], [("a", 0, 0), ("b", 0, 0), ("c", 0, 0)]),
    ],
)
def test_split_words(texts: list[str], words: list[tuple[str, int, int]]) -> None:
    assert split_words(texts, range(len(texts))) == words


def test_agreement_is_about_the_word_and_its_time_not_its_position() -> None:
    agreement = Agreement(
        [
            [Span("a", 0, 3), Span("b", 6, 8)],
            [Span("b", 7, 9)],
            [Span("a", 6, 7)],
        ],
        [0.5, 0.3, 0.2],
    )
    assert agreement.confidence(Span("a", 0, 3)) == pytest.approx(0.5)
    assert agreement.confidence(Span("b", 6, 8)) == pytest.approx(0.8)
    assert agreement.confidence(Span("a", 6, 7)) == pytest.approx(0.2)
    assert agreement.confidence(Span("c", 0, 9)) == 0.0
