"""The words that a language model knows, read from ARPA, KenLM binary or a plain list; and prefix look-ups in them."""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edgespeech.errors import LanguageModelError
from edgespeech.runtime.decoder.native.library import is_allowed
from edgespeech.runtime.decoder.native.word_order import sort_words

_MARKERS = {"<s>", "</s>", "<unk>", "<UNK>", ""}
_MAX_SORTED_BYTES = 1 << 32  # of words that compiled code sorts
PackedTexts: TypeAlias = "tuple[bytes, npt.NDArray[np.uint32]]"
_LAST_LETTER = "\U0010ffff"
_KENLM_MAGIC = b"mmap lm http://kheafield.com/code"
# KenLM's header, format version 5: 88 bytes of test values, 20 of parameters, then the n-gram counts.
_HAS_WORDS_OFFSET = 100
_COUNTS_OFFSET = 108


class Vocabulary:
    """A sorted list of words without sentence markers and ``<unk>``.

    Attributes:
        packed: The words as UTF-8, one after the other, and where each of them ends.
    """

    def __init__(self, words: Iterable[str], packed: PackedTexts | None = None) -> None:
        if packed is None:
            unique = dict.fromkeys(words)  # in their order, because sorted words are sorted again in no time
            packed = pack_texts(sorted([word for word in unique if word not in _MARKERS]))
        self.packed = packed

    @classmethod
    def of_stored(cls, stored: bytes) -> tuple[Vocabulary, npt.NDArray[np.uint32]]:
        """Sort the words of a KenLM binary; return them and the number that each has there."""
        if is_allowed() and len(stored) < _MAX_SORTED_BYTES:
            joined, ends, numbers = sort_words(stored, "".join(f"{word}\0" for word in _MARKERS).encode())
            return cls((), (joined, ends)), numbers
        words = stored.decode("utf-8").split("\0")[:-1]
        vocabulary, numbered = cls(words), dict(zip(words, count()))
        return vocabulary, np.array([numbered[word] for word in vocabulary], np.uint32)

    @cached_property
    def _words(self) -> list[str]:
        """The words as strings: several times the memory of the packed ones, and the native search needs none."""
        return list(_unpack_texts(*self.packed))

    def __iter__(self) -> Iterator[str]:
        return _unpack_texts(*self.packed)

    def __len__(self) -> int:
        return len(self.packed[1])

    def with_words(self, words: Iterable[str]) -> Vocabulary:
        """Return a vocabulary that also contains these words."""
        more = [word for word in words if word not in self]
        return Vocabulary([*self._words, *more]) if more else self

    @cached_property
    def letters(self) -> frozenset[str]:
        """The characters that occur in words."""
        return frozenset(self.packed[0].decode("utf-8", "surrogatepass"))

    def index(self, word: str) -> int:
        """Return the number of words that sort before a word."""
        return bisect_left(self._words, word)

    def __contains__(self, word: str) -> bool:
        index = bisect_left(self._words, word)
        return index < len(self._words) and self._words[index] == word

    def is_of_characters(self) -> bool:
        """Return whether there are words and each is a single character."""
        joined, ends = self.packed
        if joined.isascii():
            return 0 < len(joined) == len(ends)
        return len(ends) > 0 and all(len(word) == 1 for word in self)

    def is_prefix(self, text: str) -> bool:
        """Return whether some word begins with, or equals, ``text``."""
        index = bisect_left(self._words, text)
        return index < len(self._words) and self._words[index].startswith(text)

    def span(self, text: str) -> tuple[int, int]:
        """Return the slice of the sorted list whose words begin with ``text``: first, and after the last."""
        first = bisect_left(self._words, text)
        last = bisect_left(self._words, text + _LAST_LETTER, first)
        return first, last

    def letters_after(self, text: str) -> tuple[list[str], list[int], int]:
        """List the letters that may follow ``text``, sorted, and the index of the first word that continues with each.

        The third value is the index after the last of these words.
        """
        letters, starts = [], []
        first, last = self.span(text)
        if first < last and self._words[first] == text:
            first += 1
        while first < last:
            letters.append(self._words[first][len(text)])
            starts.append(first)
            first = bisect_left(self._words, text + letters[-1] + _LAST_LETTER, first, last)
        return letters, starts, last

    def spelled_with(self, characters: str) -> bool:
        """Return whether at least one word can be written with these characters."""
        return any(self.spelled(characters))

    def spelled(self, characters: str) -> list[bool]:
        """Return for each word whether it can be written with these characters."""
        if self.is_spelled_with(characters):
            return [True] * len(self)
        alphabet = set(characters)
        return [alphabet.issuperset(word) for word in self]

    def is_spelled_with(self, characters: str) -> bool:
        """Return whether all words can be written with these characters."""
        joined = self.packed[0]
        if joined.isascii():
            return not joined.translate(None, characters.encode("ascii", "ignore"))
        return self.letters.issubset(characters)


def pack_texts(texts: Iterable[str]) -> PackedTexts:
    """Encode texts as UTF-8, one after the other, and return where each ends; halves of surrogate pairs are allowed."""
    texts = list(texts)
    if (joined := "".join(texts)).isascii():
        return joined.encode("ascii"), np.cumsum(list(map(len, texts)), dtype=np.uint32)
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    return b"".join(encoded), np.cumsum(list(map(len, encoded)), dtype=np.uint32)


def _unpack_texts(joined: bytes, ends: npt.NDArray[np.uint32]) -> Iterator[str]:
    """Yield the texts that `pack_texts` has packed."""
    stops = ends.tolist()
    if joined.isascii():
        text = joined.decode("ascii")
        yield from map(text.__getitem__, map(slice, [0, *stops], stops))
    else:
        for start, stop in zip([0, *stops], stops):  # noqa: B905 (the first list is longer)
            yield joined[start:stop].decode("utf-8", "surrogatepass")


def is_kenlm_binary(path: Path) -> bool:
    """Return whether a file begins like a KenLM binary of any version."""
    with path.open("rb") as file:
        return file.read(len(_KENLM_MAGIC)) == _KENLM_MAGIC


def is_arpa(path: Path) -> bool:
    """Return whether a file begins like an ARPA file, apart from blank lines."""
    with path.open("rb") as file:
        return file.read(4096).lstrip().startswith(b"\\data\\")


def read_word_list(path: Path) -> Vocabulary:
    """Read words separated by white space.

    Raises:
        LanguageModelError: The file cannot be read as UTF-8 text, or contains no word.
    """
    try:
        words = path.read_text(encoding="utf-8-sig").split()
    except (OSError, UnicodeDecodeError) as error:
        raise LanguageModelError(f"word list {path} cannot be read; wanted UTF-8 text, one word per line") from error
    if not words:
        raise LanguageModelError(f"word list {path} is empty; wanted one word per line, or no list at all")
    return Vocabulary(words)


def read_arpa_words(path: Path) -> Vocabulary:
    """Read the 1-grams of an ARPA file.

    Raises:
        LanguageModelError: The text is not UTF-8.
    """
    words = []
    inside = False
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                if line.startswith("\\"):
                    if inside:
                        break
                    inside = line.startswith("\\1-grams:")
                elif inside and (fields := line.split()):
                    words.append(fields[1])
    except (UnicodeDecodeError, IndexError) as error:
        raise LanguageModelError(
            f"the 1-grams of {path} are damaged or not UTF-8; build the ARPA file again"
        ) from error
    return Vocabulary(words)


def read_stored_words(path: Path) -> bytes | None:
    """Read the words that ``build_binary`` stores in a KenLM binary (format version 5); None if it was built without.

    Returns:
        UTF-8, with a zero byte behind each word, in the order of their numbers in the n-grams; the first is ``<unk>``.

    Raises:
        LanguageModelError: The word list is damaged or cut off.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if not data[_HAS_WORDS_OFFSET]:
            return None
        counted = int.from_bytes(data[_COUNTS_OFFSET : _COUNTS_OFFSET + 8], "little")
        start = data.rfind(b"<unk>\0")
        stored = data[start:] if start >= 0 else b""
    # <unk> may not be counted.
    if stored.endswith(b"\0") and stored.count(0) in (counted, counted + 1) and _is_utf8(stored):
        return stored
    raise LanguageModelError(f"the word list at the end of {path} is damaged or cut off; build or copy the file again")


def _is_utf8(text: bytes) -> bool:
    try:
        return text.isascii() or text.decode("utf-8") != ""
    except UnicodeDecodeError:
        return False
