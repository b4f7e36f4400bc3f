"""Words from labels, and agreement in time."""

from __future__ import annotations

import math

import pytest

from edgespeech.runtime.decoder.word_times import (
    NO_WORD,
    Agreement,
    Span,
    separate_words,
    split_complete_words,
    split_words,
)


def divided(texts: list[str], by_characters: bool = False) -> list[tuple[str, ...]]:
    return [separate_words(text, by_characters) for text in texts]


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
    spans = split_words(divided(texts), range(len(texts)), [-0.5] * len(texts))
    assert spans == [(*word, -0.5 * word[3]) for word in words]
    assert [span.certainty(2.0) for span in spans] == pytest.approx([math.exp(-1.0)] * len(words))


@pytest.mark.parametrize("texts", [["e", " ", "a"], ["e ", "a", ""], ["e", " a"]])
def test_labels_continue_an_incomplete_word(texts: list[str]) -> None:
    frames, log_probs = range(5, 5 + len(texts)), [-0.5, *[-1.0] * (len(texts) - 1)]
    words, last = split_complete_words(divided(texts), frames, log_probs, Span("th", 3, 4, 2, -0.25))
    assert words == [Span("the", 3, 5, 3, -0.75)]
    at = 5 + next(index for index, text in enumerate(texts) if "a" in text)
    assert last == Span("a", at, at, 1, -1.0)


@pytest.mark.parametrize("space", [[" "], [" ", ""]])
def test_a_complete_word_does_not_go_on(space: list[str]) -> None:
    texts = ["a", *space]
    words, last = split_complete_words(divided(texts), range(len(texts)), [-0.5] * len(texts), NO_WORD)
    assert [word.word for word in words] == ["a"] and last == NO_WORD


def test_without_spaces_each_character_is_a_word() -> None:
    spans = split_words(divided(["\u4f60", "", "\u597d\u5417"], by_characters=True), [3, 4, 7], [-0.5, -9.0, -0.25])
    assert spans == [("\u4f60", 3, 3, 1, -0.5), ("\u597d", 7, 7, 1, -0.25), ("\u5417", 7, 7, 1, -0.25)]


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
