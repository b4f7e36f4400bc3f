"""Words sorted by compiled code against those sorted as Python strings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespeech.runtime.bundle import DEFAULT_BUNDLE
from edgespeech.runtime.decoder.native import library
from edgespeech.runtime.decoder.native.word_order import sort_words
from edgespeech.runtime.decoder.vocabulary import Vocabulary, read_stored_words

pytestmark = pytest.mark.usefixtures("native_search")

# Long common beginnings: words are compared by eight bytes first.
LETTERS = st.sampled_from(["a", "b", "abcdefgh", "ü", "\u0eff", "𝄞", "\x7f", "\uffff"])
WORDS = st.lists(LETTERS, max_size=4).map("".join)


def stored_words(words: list[str]) -> bytes:
    return "".join(f"{word}\0" for word in words).encode()


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS | st.sampled_from(["<s>", "</s>", "<unk>", "<UNK>"]), max_size=30))
def test_words_have_the_order_of_strings_and_the_number_of_the_last_equal_one(words: list[str]) -> None:
    vocabulary, numbers = Vocabulary.of_stored(stored_words(words))
    expected = Vocabulary(words)
    assert list(vocabulary) == list(expected) and vocabulary.packed[1].dtype == np.uint32
    last = {word: number for number, word in enumerate(words)}
    assert numbers.tolist() == [last[word] for word in expected]
    assert vocabulary.is_of_characters() == (len(expected) > 0 and all(len(word) == 1 for word in expected))


def test_the_default_vocabulary_is_the_same_without_compiled_code(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = read_stored_words(DEFAULT_BUNDLE / "lm.bin")
    assert stored is not None
    vocabulary, numbers = Vocabulary.of_stored(stored)
    monkeypatch.setenv(library.VARIABLE, "numpy")
    other, other_numbers = Vocabulary.of_stored(stored)
    assert vocabulary.packed[0] == other.packed[0] and len(vocabulary) == 50_000
    assert np.array_equal(vocabulary.packed[1], other.packed[1]) and np.array_equal(numbers, other_numbers)


def test_nothing_is_sorted_to_nothing() -> None:
    joined, ends, numbers = sort_words(b"", b"")
    assert joined == b"" and len(ends) == len(numbers) == 0
