"""Encoding of text as label indices, and decoding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgespeech.errors import ConfigError
from edgespeech.reference.model.labels import BLANK, CHARACTERS, Labels, bigram_labels, character_labels, frames_needed

LETTERS = "abcdefghijklmnopqrstuvwxyz'"
BIGRAMS = bigram_labels(["the cat sat on the mat", "she's the one"], min_count=1)
texts = st.lists(st.text(LETTERS, min_size=1, max_size=9), max_size=6).map(" ".join)


@given(texts)
@pytest.mark.parametrize("labels", [Labels(CHARACTERS), BIGRAMS], ids=["characters", "bigrams"])
def test_decode_undoes_encode(labels: Labels, text: str) -> None:
    indices = labels.encode(text)
    assert labels.decode(indices) == text
    assert BLANK not in indices


@given(texts)
def test_bigrams_are_cut_from_the_left_of_each_word(text: str) -> None:
    expected = []
    for word in text.split(" "):
        for start in range(0, len(word), 2):
            pair = word[start : start + 2]
            expected += [pair] if pair in BIGRAMS.symbols else list(pair)
        expected.append(" ")
    assert [BIGRAMS.symbols[i] for i in BIGRAMS.encode(text)] == expected[:-1]


def test_bigrams_by_hand() -> None:
    labels = Labels((*CHARACTERS, "he", "th", "ca"))
    assert [labels.symbols[i] for i in labels.encode("the cat")] == ["th", "e", " ", "ca", "t"]
    # "she" is "sh" + "e"; the set has "he", but that would overlap.
    assert [labels.symbols[i] for i in labels.encode("she")] == ["s", "h", "e"]


def test_bigram_labels_count_within_words() -> None:
    labels = bigram_labels(["abab ab", "ba"], min_count=2)
    assert labels.symbols == (*CHARACTERS, "ab")
    assert bigram_labels(["été été été"], min_count=1).symbols == CHARACTERS


def test_decoding_drops_blanks_and_keeps_repeats() -> None:
    assert Labels(CHARACTERS).decode([0, 3, 3, 0, 4]) == "aab"


@pytest.mark.parametrize("text", ["Été", "a-b", "two 2", "tab\t", "A"])
@pytest.mark.parametrize("labels", [Labels(CHARACTERS), BIGRAMS], ids=["characters", "bigrams"])
def test_a_character_without_a_label_is_named(labels: Labels, text: str) -> None:
    foreign = next(character for character in text if character not in labels.symbols)
    with pytest.raises(ConfigError) as caught:
        labels.encode(text)
    assert repr(foreign) in str(caught.value)
    assert "\n" not in str(caught.value)


GERMAN = " 'abcdefghijklmnopqrstuvwxyzäöüß"


def test_characters_of_any_alphabet_become_labels() -> None:
    labels = character_labels(GERMAN)
    assert labels.symbols == ("", *GERMAN)
    assert labels.decode(labels.encode("größe fährt")) == "größe fährt"
    pairs = bigram_labels(["über über"], min_count=2, characters=labels)
    assert pairs.symbols == ("", *GERMAN, "er", "üb")
    assert character_labels(" कखगािी").encode("कि")  # vowel signs are characters of their own


@pytest.mark.parametrize(
    ("characters", "message"),
    [
        ("", "has no letter"),
        (" ", "has no letter"),
        ("abcA", "label 'A' is upper case"),
        ("abcÄ", "label 'Ä' is upper case"),
        ("aba", "label 'a' occurs twice"),
        ("abc a\u0308", "write them composed (NFC): 'abc ä'"),
        ("abc\t", "label U+0009 is not printable"),
        ("abc\u00a0", "label U+00A0 is not printable"),
        ("abc\u200b", "label U+200B is not printable"),
    ],
)
def test_characters_that_no_text_can_have_are_rejected(characters: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        character_labels(characters)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("symbols", [[], ["a", "b"], ["", "a", "a"]])
def test_invalid_labels_are_rejected(symbols: list[str]) -> None:
    with pytest.raises(ConfigError, match="blank|twice"):
        Labels(symbols)


@pytest.mark.parametrize(
    ("indices", "frames"), [([], 0), ([3], 1), ([3, 4, 5], 3), ([3, 3], 3), ([3, 3, 3, 4, 4], 8), ([3, 4, 3, 4], 4)]
)
def test_repeated_labels_need_a_blank_between_them(indices: list[int], frames: int) -> None:
    assert frames_needed(indices) == frames
