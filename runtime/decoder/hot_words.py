"""Expected words and phrases, and the scores that they add to a text.

The boost of a text is the largest sum of boosts of phrases in it that do not overlap: "new york" adds its own boost or
that of "york", never both. A phrase adds its boost when its last word is complete. Before that, a prefix has a
look-ahead score, a part of the boost in proportion to the letters so far, so that it survives the search; it is removed
if the phrase does not follow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgespeech.errors import UsageError

DEFAULT_BOOST = 8.0
MAX_BOOST = 100.0
MAX_WORD_LETTERS = 200  # all beginnings of a word are kept

HotState = tuple[tuple[int, float], ...]
"""Phrases that may continue: the node that each has reached, and minus the boosts that overlap with its beginning."""


class HotWords:
    """Phrases with boosts, matched word by word.

    Args:
        boosts: Natural log that each phrase adds, above 0 and up to 100; words are separated by white space.
        characters: Whether phrases consist of characters instead of words, for a language model of characters.
        limited: Whether boosts above 100 are refused.

    Raises:
        UsageError: A phrase is empty, a word is too long, or a boost is out of range.
    """

    def __init__(self, boosts: Mapping[str, float], characters: bool = False, limited: bool = True) -> None:
        self.tokens: set[str] = set()
        self.children: list[dict[str, int]] = [{}]
        self.boosts = [0.0]
        # For each node: the beginnings of the next token, each with the part of the boost that its letters have.
        self.partial_boosts: list[dict[str, float]] = [{}]
        for phrase, boost in boosts.items():
            tokens = list("".join(phrase.split())) if characters else phrase.split()
            if not tokens:
                raise UsageError(f"hot word {phrase!r} has no letters; wanted a word or a phrase")
            if (longest := max(map(len, tokens))) > MAX_WORD_LETTERS:
                raise UsageError(f"a hot word has {longest} letters; wanted at most {MAX_WORD_LETTERS}; correct it")
            if not 0.0 < boost <= (MAX_BOOST if limited else math.inf):
                raise UsageError(
                    f"hot word {phrase!r} has the boost {boost:g}; wanted a number above 0, up to {MAX_BOOST:g}"
                )
            self._insert(tokens, boost)
        self.largest = max(self.boosts)

    def __bool__(self) -> bool:
        return bool(self.tokens)

    def _insert(self, tokens: Sequence[str], boost: float) -> None:
        node, before, letters = 0, 0, sum(map(len, tokens))
        for token in tokens:
            self.tokens.add(token)
            partial_boosts = self.partial_boosts[node]
            for length in range(0 if node else 1, len(token) + 1):
                partial = boost * (before + length) / letters
                partial_boosts[token[:length]] = max(partial, partial_boosts.get(token[:length], 0.0))
            if token not in self.children[node]:
                self.children[node][token] = len(self.children)
                self.children.append({})
                self.boosts.append(0.0)
                self.partial_boosts.append({})
            node = self.children[node][token]
            before += len(token)
        self.boosts[node] = max(boost, self.boosts[node])

    def step(self, token: str | None, state: HotState) -> tuple[float, HotState]:
        """Match one complete word; None stands for one that is in no phrase.

        Returns:
            The boost that the best choice of phrases gains by this word, and the state after it. The first state is ().
        """
        if token not in self.tokens:
            return 0.0, ()
        reached = [(self.children[node].get(token, 0), overlap) for node, overlap in ((0, 0.0), *state)]
        gain = max([0.0, *(self.boosts[node] + overlap for node, overlap in reached if self.boosts[node])])
        return gain, tuple((node, overlap - gain) for node, overlap in reached if self.children[node] and node)

    def lookahead_score(self, partial: str, state: HotState) -> float:
        """Return the part of a boost that an incomplete word, after this state, has already."""
        scores = [self.partial_boosts[node].get(partial, 0.0) + overlap for node, overlap in ((0, 0.0), *state)]
        return max(0.0, max(scores))

    def find(self, words: Sequence[str]) -> list[tuple[int, int]]:
        """Return the first word and the one after the last of each phrase, chosen for the largest sum of boosts."""
        best = [0.0] * (len(words) + 1)
        choice: list[int | None] = [None] * (len(words) + 1)
        for first in range(len(words)):
            if best[first] > best[first + 1]:
                best[first + 1], choice[first + 1] = best[first], None
            node = 0
            for last in range(first, len(words)):
                node = self.children[node].get(words[last], 0)
                if not node:
                    break
                if self.boosts[node] and best[first] + self.boosts[node] > best[last + 1]:
                    best[last + 1], choice[last + 1] = best[first] + self.boosts[node], first
        found = []
        end = len(words)
        while end:
            start = choice[end]
            if start is not None:
                found.append((start, end))
            end = end - 1 if start is None else start
        return found[::-1]


def spell(phrase: str, labels: Sequence[str]) -> str:
    """Return a phrase in the letters of the labels: as it is, in lower or in upper case.

    Raises:
        UsageError: The labels lack a letter of it.
    """
    alphabet = set("".join(labels))

    def missing(form: str) -> set[str]:
        return set("".join(form.split())) - alphabet

    best = min((phrase, phrase.lower(), phrase.upper()), key=lambda form: len(missing(form)))
    if lacking := sorted(missing(best)):
        raise UsageError(f"{best!r} cannot be spelled: the labels have no {' '.join(lacking)}")
    return best


def spell_boosts(boosts: Mapping[str, float], labels: Sequence[str]) -> dict[str, float]:
    """Return hot words as `spell` does, with the largest boost of those that become equal."""
    spelled: dict[str, float] = {}
    for phrase, boost in boosts.items():
        form = spell(phrase, labels)
        spelled[form] = max(boost, spelled.get(form, boost))
    return spelled


def parse_hot_word(text: str) -> tuple[str, float]:
    """Read ``WORDS:BOOST``, or ``WORDS`` alone for the default boost.

    Raises:
        UsageError: There are no words, or the boost is not a number in range.
    """
    words, colon, number = text.rpartition(":")
    if not colon:
        words, number = text, str(DEFAULT_BOOST)
    words = " ".join(words.split())
    try:
        boost = float(number)
    except ValueError:
        boost = 0.0
    if not words or not 0.0 < boost <= MAX_BOOST:
        raise UsageError(
            f"hot word {text!r}; wanted WORDS:BOOST with a boost above 0, up to {MAX_BOOST:g}, such as 'new york:8'"
        )
    return words, boost


def read_hot_words(path: Path) -> dict[str, float]:
    """Read a file with one ``WORDS:BOOST`` or ``WORDS`` per line; blank lines and lines that begin with # are ignored.

    Raises:
        UsageError: The file or a line of it cannot be read.
    """
    return {words: boost for _, words, boost in read_placed_hot_words(path)}


def read_placed_hot_words(path: Path) -> list[tuple[str, str, float]]:
    """Read a file as `read_hot_words` does, and return places such as ``words.txt:3``, words and boosts."""
    found = []
    for place, line in read_phrases(path, "hot words"):
        try:
            found.append((place, *parse_hot_word(line)))
        except UsageError as error:
            raise UsageError(f"{place}: {error}") from None
    return found


def read_phrases(path: Path, what: str) -> list[tuple[str, str]]:
    """Read the lines of a file, with places such as ``words.txt:3``, except blank lines and comments.

    Raises:
        UsageError: The file cannot be read or contains no phrase, or a line is not UTF-8 text.
    """
    try:
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise UsageError(
            f"the {what} in {path} cannot be read ({error.strerror}); wanted UTF-8 text, one phrase per line"
        ) from None
    found: list[tuple[str, str]] = []
    for number, encoded in enumerate(content.splitlines(), 1):
        place = f"{path}:{number}"
        try:
            line = encoded.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise UsageError(f"{place}: the line cannot be read: it is not UTF-8 text; convert the file") from None
        if line and not line.startswith("#"):
            found.append((place, line))
    if not found:
        raise UsageError(f"{path} contains no {what}; wanted one phrase per line")
    return found
