"""Words and phrases that a listener expects, and what they add to a score; texts only, no labels and no audio.

A text earns the largest sum of boosts that its phrases reach without overlapping: "new york" earns its own boost or
that of "york", never both. A phrase earns it when its last word is complete. On the way there a share of it, in
proportion to the letters heard, is lent to the prefix, so that it survives the search; it is taken back when the
phrase does not come.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from edgespeech.errors import UsageError

DEFAULT_BOOST = 8.0
LARGEST_BOOST = 100.0

HotState = tuple[tuple[int, float], ...]
"""Phrases that may be going on: how far each has come (a node), and what its beginning cost other phrases."""


class HotWords:
    """Phrases with boosts, followed word by word.

    Args:
        boosts: Natural log that each phrase adds, above 0 and up to 100; words are separated by white space.
        characters: Phrases are made of characters, for a language model of characters, instead of words.
        limited: Whether to hold the limit of the boosts.

    Raises:
        UsageError: A phrase is empty, or its boost is out of range.
    """

    def __init__(self, boosts: Mapping[str, float], characters: bool = False, limited: bool = True) -> None:
        """Build the trie of phrases."""
        self.tokens: set[str] = set()
        self._children: list[dict[str, int]] = [{}]
        self._boosts = [0.0]
        # For each node, the share of a boost that is lent while the next token has been heard up to here.
        self._lent: list[dict[str, float]] = [{}]
        for phrase, boost in boosts.items():
            tokens = list("".join(phrase.split())) if characters else phrase.split()
            if not tokens:
                raise UsageError(f"hot word {phrase!r} has no letters; wanted a word or a phrase")
            if not 0.0 < boost <= (LARGEST_BOOST if limited else math.inf):
                raise UsageError(
                    f"hot word {phrase!r} has the boost {boost:g}; wanted a number above 0, up to {LARGEST_BOOST:g}"
                )
            self._insert(tokens, boost)
        self.largest = max(self._boosts)

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self.tokens)

    def check_spelling(self, labels: Sequence[str]) -> None:
        """Make sure that the labels have every letter of the phrases.

        Raises:
            UsageError: A letter is missing.
        """
        alphabet = set("".join(labels))
        for token in sorted(self.tokens):
            missing = sorted(set(token) - alphabet)
            if missing:
                hint = "; write it in small letters" if alphabet.issuperset(token.lower()) else ""
                raise UsageError(f"{token!r} cannot be spelled: the labels have no {' '.join(missing)}{hint}")

    def _insert(self, tokens: Sequence[str], boost: float) -> None:
        node, heard, letters = 0, 0, sum(map(len, tokens))
        for token in tokens:
            self.tokens.add(token)
            lent = self._lent[node]
            for length in range(0 if node else 1, len(token) + 1):
                share = boost * (heard + length) / letters
                lent[token[:length]] = max(share, lent.get(token[:length], 0.0))
            if token not in self._children[node]:
                self._children[node][token] = len(self._children)
                self._children.append({})
                self._boosts.append(0.0)
                self._lent.append({})
            node = self._children[node][token]
            heard += len(token)
        self._boosts[node] = max(boost, self._boosts[node])

    def step(self, token: str | None, state: HotState) -> tuple[float, HotState]:
        """Take one complete word.

        Args:
            token: The word; None for one that is in no phrase.
            state: What may be going on; ``()`` at the beginning.

        Returns:
            What the best choice of phrases gains by this word, and the state after it.
        """
        if token not in self.tokens:
            return 0.0, ()
        reached = [(self._children[node].get(token, 0), banked) for node, banked in ((0, 0.0), *state)]
        gain = max([0.0, *(self._boosts[node] + banked for node, banked in reached if self._boosts[node])])
        return gain, tuple((node, banked - gain) for node, banked in reached if self._children[node] and node)

    def lend(self, partial: str, state: HotState) -> float:
        """Return what is lent to a text that goes on with these letters of a word that is not complete."""
        lent = [self._lent[node].get(partial, 0.0) + banked for node, banked in ((0, 0.0), *state)]
        return max(0.0, max(lent))

    def find(self, words: Sequence[str]) -> list[tuple[int, int]]:
        """Choose the phrases of a text that earn the most together.

        Returns:
            First word and the one after the last of each, in order; they do not overlap.
        """
        best = [0.0] * (len(words) + 1)
        choice: list[int | None] = [None] * (len(words) + 1)
        for first in range(len(words)):
            if best[first] > best[first + 1]:
                best[first + 1], choice[first + 1] = best[first], None
            node = 0
            for last in range(first, len(words)):
                node = self._children[node].get(words[last], 0)
                if not node:
                    break
                if self._boosts[node] and best[first] + self._boosts[node] > best[last + 1]:
                    best[last + 1], choice[last + 1] = best[first] + self._boosts[node], first
        found = []
        end = len(words)
        while end:
            start = choice[end]
            if start is not None:
                found.append((start, end))
            end = end - 1 if start is None else start
        return found[::-1]


def parse_hot_word(text: str) -> tuple[str, float]:
    """Read ``WORDS:BOOST``, or ``WORDS`` alone for the default boost.

    Raises:
        UsageError: There are no words, or the boost is no number in range.
    """
    words, colon, number = text.rpartition(":")
    if not colon:
        words, number = text, str(DEFAULT_BOOST)
    words = " ".join(words.split())
    try:
        boost = float(number)
    except ValueError:
        boost = 0.0
    if not words or not 0.0 < boost <= LARGEST_BOOST:
        raise UsageError(
            f"hot word {text!r}; wanted WORDS:BOOST with a boost above 0, up to {LARGEST_BOOST:g}, such as 'new york:8'"
        )
    return words, boost


def read_hot_words(path: Path) -> dict[str, float]:
    """Read a file with one ``WORDS:BOOST`` or ``WORDS`` a line; empty lines and lines that begin with # say nothing.

    Raises:
        UsageError: The file cannot be read, or a line of it.
    """
    boosts = {}
    for number, line in phrase_lines(path, "hot words"):
        try:
            words, boost = parse_hot_word(line)
        except UsageError as error:
            raise UsageError(f"{path}, line {number}: {error}") from error
        boosts[words] = boost
    return boosts


def phrase_lines(path: Path, what: str) -> Iterable[tuple[int, str]]:
    """Read the lines of a file that say something, with their numbers.

    Raises:
        UsageError: The file cannot be read as UTF-8 text, or says nothing.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the {what} in {path} cannot be read; wanted UTF-8 text, one phrase a line") from error
    found = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    found = [(number, line) for number, line in found if line and not line.startswith("#")]
    if not found:
        raise UsageError(f"{path} holds no {what}; wanted one phrase a line")
    return found
