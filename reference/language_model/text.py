"""Lines of text files and manifests, normalised to what is spoken, in the characters of the labels."""

from __future__ import annotations

import bz2
import gzip
import itertools
import logging
import lzma
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgespeech.errors import LanguageModelError, ManifestError
from edgespeech.runtime.foreign.tables import recognise_table
from edgespeech.runtime.manifest import is_manifest, read_texts

log = logging.getLogger(__name__)

LABELS = ("", *"abcdefghijklmnopqrstuvwxyz", "'", " ")
ENGLISH = frozenset("".join(LABELS))
SHARED_WORDS = 6  # this many consecutive words in common make two lines the same text

_SPOKEN = {"mr": "mister", "mrs": "missus", "dr": "doctor"}
_APOSTROPHE_FIRST_OR_LAST = frozenset(("'em", "'tis", "'twas", "'twere", "'twill", "o'"))
_CAPITALS = re.compile(r"\b[IVXL]{2,}\b")
_ROMAN_NUMERAL = re.compile(r"(?=[ivxl]{2})(?:xl|l?x{0,3})(?:ix|iv|v?i{0,3})")
MAX_LINE = 1 << 22  # characters
_OPENERS: dict[str, Callable[..., IO[str]]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}


# English has some accents too. Below this fraction and number of lines, lost ones are not reported.
MIN_ACCENTED_FRACTION, MIN_ACCENTED_LINES = 0.02, 3


class LostAccents:
    """Counts the letters that `spoken_line` writes without their accents, because they have no labels of their own."""

    def __init__(self, alphabet: frozenset[str]) -> None:
        self._alphabet = alphabet
        self._lines = self._accented = 0
        self._letters: Counter[str] = Counter()

    def add(self, line: str) -> None:
        """Count the letters of a line."""
        lost = [] if line.isascii() else list(_accented(line, self._alphabet))
        self._lines += 1
        self._accented += bool(lost)
        self._letters.update(lost)

    def warn(self, name: object) -> None:
        """Log a warning if more lines are concerned than foreign words explain."""
        if self._accented >= max(MIN_ACCENTED_LINES, MIN_ACCENTED_FRACTION * self._lines):
            letters = ", ".join(letter for letter, _ in self._letters.most_common(8))
            log.warning(
                "%s: %d of %d lines lose the accents of %s, which have no labels; if these are letters of the "
                "language, list them with --labels", name, self._accented, self._lines, letters,
            )  # fmt: skip


def _accented(line: str, alphabet: frozenset[str]) -> Iterator[str]:
    for character in unicodedata.normalize("NFC", line).lower():
        if character not in alphabet and character.isalpha() and _without_accent(character, alphabet):
            yield character


@dataclass(frozen=True)
class Exclusion:
    """Texts that other text must not repeat: their runs of `SHARED_WORDS` words, and the whole lines."""

    sequences: frozenset[tuple[str, ...]]
    lines: frozenset[str]

    @classmethod
    def of(cls, paths: Sequence[Path], alphabet: frozenset[str]) -> Exclusion:
        """Read the texts or manifests to exclude."""
        lines = {line for path in paths for raw in read_lines(path) if (line := spoken_line(raw, alphabet))}
        return cls(frozenset(run for line in lines for run in _runs(line)), frozenset(lines))

    def covers(self, line: str) -> bool:
        """Return whether ``line`` is one of the texts or shares `SHARED_WORDS` consecutive words with one."""
        return line in self.lines or any(run in self.sequences for run in _runs(line))


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a plain or compressed text that are not blank, or the texts of a manifest.

    A manifest is told by its content.

    Raises:
        LanguageModelError: The file is missing, damaged or not UTF-8.
        ManifestError: A line of a manifest is invalid or has no text, or the file is a table of recordings and texts.
    """
    with _open_lines(path) as (first, lines):
        if table := recognise_table(path, first):
            raise ManifestError(f"{path} is {table.what}, not plain text; make a manifest of it: {table.command}")
        yield from read_texts(lines, path) if is_manifest(path, first) else filter(str.strip, lines)


def holds_manifest(path: Path) -> bool:
    """Return whether a file is a manifest; raises as `read_lines` does."""
    with _open_lines(path) as (first, _):
        return is_manifest(path, first)


@contextmanager
def _open_lines(path: Path) -> Iterator[tuple[str, Iterator[str]]]:
    """Open a text: its first line that is not blank, and all lines."""
    opener = _OPENERS.get(path.suffix, open)
    try:
        with opener(path, "rt", encoding="utf-8-sig") as file:
            lines, blank, first = _bounded(file, path), 0, ""
            for line in lines:
                if line.strip():
                    first = line
                    break
                blank += 1
            yield first, itertools.chain(itertools.repeat("\n", blank), [first] if first else [], lines)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise LanguageModelError(f"{path} cannot be read ({_reason(error)}); give .txt, .gz, .xz or .bz2") from error
    except UnicodeDecodeError as error:
        raise LanguageModelError(f"{path} is not UTF-8 text (byte {error.start}); convert it to UTF-8") from error


def _bounded(file: IO[str], path: Path) -> Iterator[str]:
    """Yield the lines, none of which fills the memory: a small compressed file can have one of any length."""
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise LanguageModelError(f"{path} has a line of {MAX_LINE} characters or more; wanted a sentence per line")
        yield line


def spoken_line(line: str, alphabet: frozenset[str]) -> str | None:
    """Normalise a line to words of characters in ``alphabet``: lower case, composed (NFC), no other accents.

    Other characters become spaces. With the English alphabet, titles are written out. Returns None if it is uncertain
    how the line is read aloud, because it contains a digit, a Roman numeral or a letter outside the alphabet.
    """
    line = unicodedata.normalize("NFC", line).replace("\u2019", "'")
    letters: list[str] = []
    for character in line.lower():
        if character in alphabet:
            letters.append(character)
        elif spelled := _without_accent(character, alphabet):
            letters.extend(spelled)
        elif character.isalnum():
            return None
        elif unicodedata.category(character) not in {"Mn", "Cf"}:  # accents of their own, and invisible characters
            letters.append(" ")
    words = "".join(letters).split()
    return _english(words) if alphabet <= ENGLISH else _other(words, line)


def _without_accent(character: str, alphabet: frozenset[str]) -> list[str]:
    return [part for part in unicodedata.normalize("NFKD", character) if part in alphabet]


def _english(words: Sequence[str]) -> str | None:
    bare = [_bare(word) for word in words]
    if any(_ROMAN_NUMERAL.fullmatch(word) for word in bare):
        return None
    return " ".join(_SPOKEN.get(word, word) for word in bare if word)


def _other(words: Sequence[str], line: str) -> str | None:
    # In other languages "vi" is a word, so only capitals are a numeral.
    if any(_ROMAN_NUMERAL.fullmatch(capitals.lower()) for capitals in _CAPITALS.findall(line)):
        return None
    return " ".join(bare for word in words if (bare := word.strip("'")))


def _bare(word: str) -> str:
    # Single quotation marks look like apostrophes.
    return word if word in _APOSTROPHE_FIRST_OR_LAST else word.strip("'")


def _runs(line: str) -> Iterator[tuple[str, ...]]:
    words = line.split(" ")
    return (tuple(words[start : start + SHARED_WORDS]) for start in range(len(words) - SHARED_WORDS + 1))


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
