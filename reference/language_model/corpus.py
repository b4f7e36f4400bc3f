"""The text that a language model is estimated on: which lines are used, held out or dropped, and their words."""

from __future__ import annotations

import logging
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from edgespeech.reference.language_model.request import BuildRequest
from edgespeech.reference.language_model.scoring import spell
from edgespeech.reference.language_model.text import Exclusion, LostAccents, holds_manifest, read_lines, spoken_line

log = logging.getLogger(__name__)

_LONE_LETTER = re.compile(r"(?<!\S)[^aio](?!\S)")


@dataclass(frozen=True)
class Corpus:
    """The words of the lines used, the number of lines by what became of them, and the held-out lines.

    ``lines`` has the keys used, held out, excluded, lone letters, unspoken and empty.
    """

    words: Counter[str]
    lines: Counter[str]
    held_out: tuple[str, ...]

    @property
    def vocabulary(self) -> list[str]:
        """Words from the most frequent to the rarest."""
        return sorted(self.words, key=lambda word: (-self.words[word], word))


def write_corpus(request: BuildRequest, path: Path) -> Corpus:
    """Write the usable lines of the texts to a file, one sentence per line, as the model reads them."""
    alphabet = frozenset("".join(request.labels))
    excluded = [*request.exclude, *([request.held_out] if request.held_out else [])]
    lines = _LineFilter(request, Exclusion.of(excluded, alphabet))
    words, total, held_out = Counter[str](), Counter[str](), list[str]()
    with path.open("w", encoding="utf-8") as out:
        for text in request.texts:
            counts: Counter[str] = Counter()
            accents = LostAccents(alphabet)
            keep_lone_letters = request.keep_lone_letters or holds_manifest(text)
            for raw in read_lines(text):
                line = spoken_line(raw, alphabet)
                fate = lines.fate(line, keep_lone_letters)
                counts[fate] += 1
                accents.add(raw)
                if line and fate == "used":
                    written = spell(line, " " in alphabet) if request.characters else line
                    words.update(written.split(" "))
                    out.write(written + "\n")
                elif line and fate == "held out":
                    held_out.append(line)
            described = sorted(counts.items(), key=lambda item: -item[1])
            log.info("%s: %s", text, ", ".join(f"{number} {fate}" for fate, number in described))
            accents.warn(text)
            total += counts
    if request.held_out:
        held_out = [line for raw in read_lines(request.held_out) if (line := spoken_line(raw, alphabet))]
    return Corpus(words, total, tuple(held_out))


@dataclass(frozen=True)
class _LineFilter:
    request: BuildRequest
    exclusion: Exclusion

    def fate(self, line: str | None, keep_lone_letters: bool) -> str:
        """Decide what becomes of a line."""
        if line is None:
            return "unspoken"
        if not line:
            return "empty"
        if not keep_lone_letters and _LONE_LETTER.search(line):
            return "lone letters"
        if self.exclusion.covers(line):
            return "excluded"
        return "held out" if zlib.crc32(line.encode()) < self.request.fraction_held_out * 2**32 else "used"
