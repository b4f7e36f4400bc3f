"""Lines of text files and manifests, normalised to what is spoken, in the characters of the labels."""

from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgespeech.errors import LanguageModelError
from edgespeech.runtime.manifest import is_manifest, read_texts

LABELS = ("", *"abcdefghijklmnopqrstuvwxyz", "'", " ")
SHARED_WORDS = 6  # this many consecutive words in common make two lines the same text

_SPOKEN = {"mr": "mister", "mrs": "missus", "dr": "doctor"}
_APOSTROPHE_FIRST_OR_LAST = frozenset(("'em", "'tis", "'twas", "'twere", "'twill", "o'"))
_ROMAN_NUMERAL = re.compile(r"(?=[ivxl]{2})(?:xl|l?x{0,3})(?:ix|iv|v?i{0,3})")
_OPENERS: dict[str, Callable[..., IO[str]]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}


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
        ManifestError: A line of a manifest is invalid or has no text.
    """
    with _open_lines(path) as (first, lines):
        yield from read_texts(lines, path) if is_manifest(path, first) else lines


def holds_manifest(path: Path) -> bool:
    """Return whether a file is a manifest; raises as `read_lines` does."""
    with _open_lines(path) as (first, _):
        return is_manifest(path, first)


@contextmanager
def _open_lines(path: Path) -> Iterator[tuple[str, Iterator[str]]]:
    """Open a text: its first line, and all lines that are not blank."""
    opener = _OPENERS.get(path.suffix, open)
    try:
        with opener(path, "rt", encoding="utf-8-sig") as file:
            lines = (line for line in file if line.strip())
            first = next(lines, "")
            yield first, itertools.chain([first] * bool(first), lines)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise LanguageModelError(f"{path} cannot be read ({_reason(error)}); give .txt, .gz, .xz or .bz2") from error
    except UnicodeDecodeError as error:
        raise LanguageModelError(f"{path} is not UTF-8 text (byte {error.start}); convert it to UTF-8") from error


def spoken_line(line: str, alphabet: frozenset[str]) -> str | None:
    """Normalise a line to words of characters in ``alphabet``: lower case, no accents, titles written out.

    Other characters become spaces. Returns None if it is uncertain how the line is read aloud, because it contains a
    digit, a Roman numeral or a letter outside the alphabet.
    """
    letters: list[str] = []
    for character in line.replace("\u2019", "'").lower():
        if character in alphabet:
            letters.append(character)
        elif spelled := [part for part in unicodedata.normalize("NFKD", character) if part in alphabet]:
            letters.extend(spelled)
        elif character.isalnum():
            return None
        else:
            letters.append(" ")
    words = [_bare(word) for word in "".join(letters).split()]
    if any(_ROMAN_NUMERAL.fullmatch(word) for word in words):
        return None
    return " ".join(_SPOKEN.get(word, word) for word in words if word)


def _bare(word: str) -> str:
    # Single quotation marks look like apostrophes.
    return word if word in _APOSTROPHE_FIRST_OR_LAST else word.strip("'")


def _runs(line: str) -> Iterator[tuple[str, ...]]:
    words = line.split(" ")
    return (tuple(words[start : start + SHARED_WORDS]) for start in range(len(words) - SHARED_WORDS + 1))


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
