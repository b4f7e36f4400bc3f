"""Label sets: characters of any alphabet, or the paper's non-overlapping bigrams (Deep Speech 2, section 3.5)."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from edgespeech.errors import ConfigError

BLANK = 0
CHARACTERS = ("", " ", "'", *"abcdefghijklmnopqrstuvwxyz")


class Labels:
    """The output symbols of the network in index order; index 0 is the CTC blank, whose text is empty.

    A symbol is one character or a pair of characters. Each word is split into pairs from the left, and an odd last
    letter stays single: ``the cat`` is ``th e _ ca t``. A pair that is not in the set is encoded as two characters.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        if not symbols or symbols[BLANK] != "":
            raise ConfigError("the first label must be the blank, whose text is empty")
        if len(set(symbols)) != len(symbols):
            repeated = next(symbol for symbol, count in Counter(symbols).items() if count > 1)
            raise ConfigError(f"label {repeated!r} occurs twice; every label must be unique")
        self.symbols = tuple(symbols)
        self._index = {symbol: index for index, symbol in enumerate(symbols)}
        self._has_pairs = any(len(symbol) == 2 for symbol in symbols)

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str) -> list[int]:
        """Split text into label indices; a character without a label is a ConfigError."""
        indices: list[int] = []
        position = 0
        while position < len(text):
            pair = text[position : position + 2]
            piece = pair if self._has_pairs and len(pair) == 2 and " " not in pair else pair[0]
            position += len(piece)
            if piece in self._index:
                indices.append(self._index[piece])
                continue
            for character in piece:
                if character not in self._index:
                    raise ConfigError(f"text {text[:40]!r} contains {character!r}, which is not a label")
                indices.append(self._index[character])
        return indices

    def decode(self, indices: Iterable[int]) -> str:
        """Join label indices to text; blanks are dropped, repeats are kept."""
        return "".join(self.symbols[index] for index in indices)


def character_labels(characters: str) -> Labels:
    """Return the blank and these characters, in their order.

    Raises:
        ConfigError: A character can never occur in a text, because it is upper case, not composed (NFC) or a control
            character; or one occurs twice.
    """
    if not characters.strip():
        raise ConfigError(f"labels = {characters!r} has no letter; list the characters of the texts")
    composed = unicodedata.normalize("NFC", characters)
    if composed != characters:
        raise ConfigError(f"labels are written with combining characters; write them composed (NFC): {composed!r}")
    for character in characters:
        if character.lower() != character:
            raise ConfigError(f"label {character!r} is upper case, and texts are lower-cased; write the small letter")
        if character != " " and (character.isspace() or not character.isprintable()):
            raise ConfigError(f"label U+{ord(character):04X} is not printable; remove it")
    return Labels(("", *characters))


def bigram_labels(texts: Iterable[str], min_count: int = 5, characters: Labels | None = None) -> Labels:
    """Return the characters and, in alphabetical order, the pairs that occur at least ``min_count`` times.

    ``characters`` are the English ones by default.
    """
    single = CHARACTERS if characters is None else characters.symbols
    counts: Counter[str] = Counter()
    for text in texts:
        for word in text.split():
            counts.update(word[start : start + 2] for start in range(0, len(word) - 1, 2))
    pairs = sorted(pair for pair, count in counts.items() if count >= min_count)
    return Labels((*single, *(pair for pair in pairs if set(pair) <= set(single))))


def frames_needed(indices: Sequence[int]) -> int:
    """Return the minimum number of CTC frames: one for each label and a blank between equal neighbours."""
    return len(indices) + sum(left == right for left, right in zip(indices, indices[1:], strict=False))
