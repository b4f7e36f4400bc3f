"""Words from labels, and agreement in time."""

from __future__ import annotations

import math

import pytest

from edgespeech.runtime.decoder.word_times import Agreement, Span, split_words


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([], []),
        (["a", "b"], [("ab", 0, 1, 2)]),
        ([" ", "a", " ", " ", "b", " "], [("a", 1, 1, 1), ("b", 4, 4, 1)]),
        (["th", "e ", "en", "d"], [("the", 0, 1, 2), ("end", 2, 3, 2)]),
        (["a", " b", "c d", "e"], [("a", 0, 0, 1), ("bc", 1, 2, 2), ("de", 2, 3, 2)]),
        (["a b c"], [("a", 0, 0, 1), ("b", 0, 0, 1), ("c", 0, 0, 1)]),
    ],
)
def test_labels_are_split_into_words(texts: list[str], words: list[tuple[str, int, int, int]]) -> None:
    spans = split_words(texts, range(len(texts)), [-0.5] * len(texts))
    assert spans == [(*word, -0.5 * word[3]) for word in words]
    assert [span.certainty(2.0) for span in spans] == pytest.approx([math.exp(-1.0)] * len(words))


def test_split_words_continues_an_incomplete_word() -> None:
    begin = Span("th", 3, 4, 2, -0.25)
    assert split_words(["e", " ", "a"], [5, 6, 7], [-0.5, -9.0, -1.0], begin) == [
        ("the", 3, 5, 3, -0.75),
        ("a", 7, 7, 1, -1),
    ]


def test_agreement_depends_on_the_word_and_its_time_not_its_position() -> None:
    agreement = Agreement()
    for spans, mass in (
        ([Span("a", 0, 3), Span("b", 6, 8)], 0.5),
        ([Span("b", 7, 9)], 0.3),
        ([Span("a", 6, 7)], 0.2),
    ):
        for span in spans:
            agreement.add(span, mass)
    assert agreement.mass(Span("a", 0, 3)) == pytest.approx(0.5)
    assert agreement.mass(Span("b", 6, 8)) == pytest.approx(0.8)
    assert agreement.mass(Span("a", 6, 7)) == pytest.approx(0.2)
    assert agreement.mass(Span("c", 0, 9)) == 0.0
