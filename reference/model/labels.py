"""Label sets: letters, or the paper's non-overlapping bigrams (Deep Speech 2, section 3.5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from edgespeech.errors import ConfigError

BLANK = 0
CHARACTERS = ("", " ", "'", *"abcdefghijklmnopqrstuvwxyz")


class Labels:
    """The symbols that the network puts out; index 0 is the CTC blank, whose text is empty.

    A symbol is one character or a pair of characters of one word. Text is cut into pairs from the left of each word,
    the odd last letter stays alone: ``the cat`` is ``th e _ ca t``. A pair that the set does not have is two letters.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        """Take the symbols in index order.

        Raises:
            ConfigError: The blank is missing, or a symbol stands twice.
        """
        if not symbols or symbols[BLANK] != "":
            raise ConfigError("labels must begin with the blank, whose text is empty")
        if len(set(symbols)) != len(symbols):
            twice = next(symbol for symbol, count in Counter(symbols).items() if count > 1)
            raise ConfigError(f"label {twice!r} stands twice; every label is wanted once")
        self.symbols = tuple(symbols)
        self._index = {symbol: index for index, symbol in enumerate(symbols)}
        self._has_pairs = any(len(symbol) == 2 for symbol in symbols)

    def __len__(self) -> int:
        """Number of symbols, blank included."""
        return len(self.symbols)

    def encode(self, text: str) -> list[int]:
        """Cut text into label indices.

        Raises:
            ConfigError: The text has a character that no label has.
        """
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
                    raise ConfigError(f"text {text[:40]!r} has {character!r}, which is not among the labels")
                indices.append(self._index[character])
        return indices

    def decode(self, indices: Iterable[int]) -> str:
        """Join label indices to text; blanks vanish, repeats stay."""
        return "".join(self.symbols[index] for index in indices)


def bigram_labels(texts: Iterable[str], minimum_count: int = 5) -> Labels:
    """Letters and the pairs that stand at least ``minimum_count`` times in the texts, in alphabetical order."""
    counts: Counter[str] = Counter()
    for text in texts:
        for word in text.split():
            counts.update(word[start : start + 2] for start in range(0, len(word) - 1, 2))
    pairs = sorted(pair for pair, count in counts.items() if count >= minimum_count)
    return Labels((*CHARACTERS, *(pair for pair in pairs if set(pair) <= set(CHARACTERS))))


def frames_needed(indices: Sequence[int]) -> int:
    """Output frames that CTC needs at the least: one for each label and one blank between equal neighbours."""
    return len(indices) + sum(left == right for left, right in zip(indices, indices[1:], strict=False))
