"""Pronunciations: a table of words and phonemes that espeak-ng writes once, and the phonemes of a text by it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from edgespeech.errors import ConfigError, MissingDependencyError, UsageError
from edgespeech.reference.data.clips import manifest_texts
from edgespeech.reference.model.labels import CHARACTERS
from edgespeech.runtime.files import replacing

PROGRAM = "espeak-ng"
VOICE = "en-us"
WORDS_PER_CALL = 1000
MIN_ENTRIES = 20  # words that a phoneme must occur in to get a symbol: it cannot be learnt from fewer
# Marks that espeak-ng writes before a phoneme (stress, syllables, pauses) or between two (palatalisation).
MARKS = "',%=_|;"

Phonemes = tuple[str, ...]


class Pronunciations:
    """The phonemes of texts; ``symbols`` starts with the CTC blank, then phonemes in alphabetical order.

    A phoneme that occurs in fewer than ``min_entries`` words is replaced by the longest common one that is a prefix of
    its name, which is how espeak-ng names variants (``@2`` is an ``@``, ``aI3`` an ``aI``), or else left out. The
    boundary of words is not audible, so it has no symbol. If no phoneme is common, it is a ConfigError.
    """

    def __init__(self, words: Mapping[str, Phonemes], min_entries: int = MIN_ENTRIES) -> None:
        entries = Counter(phoneme for phonemes in words.values() for phoneme in set(phonemes))
        common = {phoneme for phoneme, count in entries.items() if count >= min_entries}
        if not common:
            raise ConfigError(
                f"no phoneme occurs in {min_entries} of {len(words)} pronunciations; make them from more manifests"
            )
        self.symbols = ("", *sorted(common))
        index = {symbol: number for number, symbol in enumerate(self.symbols)}
        base = {phoneme: max(filter(phoneme.startswith, self.symbols), key=len) for phoneme in entries}
        self._words = {
            word: tuple(index[base[phoneme]] for phoneme in phonemes if base[phoneme])
            for word, phonemes in words.items()
        }

    @classmethod
    def read(cls, path: Path, min_entries: int = MIN_ENTRIES) -> Pronunciations:
        """Read a table with ``word<TAB>phoneme phoneme ...`` in every line; anything else is a ConfigError."""
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"cannot read the pronunciations {path}: {error}; `edgespeech data pronounce` writes such a table"
            ) from None
        words: dict[str, Phonemes] = {}
        for number, line in enumerate(lines, start=1):
            word, tab, phonemes = line.partition("\t")
            if not word or not tab:
                raise ConfigError(f"{path}:{number}: {line[:40]!r} is not a word, a tab and its phonemes; correct it")
            words[word] = tuple(phonemes.split())
        try:
            return cls(words, min_entries)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None

    def encode(self, text: str) -> list[int] | None:
        """Return the symbol indices of a text in lower case, or None if one of its words is missing."""
        words = text.split()
        if not all(word in self._words for word in words):
            return None
        return [symbol for word in words for symbol in self._words[word]]


def write_pronunciations(
    manifests: Sequence[Path], output: Path, letters: Collection[str] = CHARACTERS, voice: str = VOICE
) -> int:
    """Write the table of all words of the manifests that can be spelt with the labels, and return their number.

    Raises:
        ManifestError: A manifest is missing or damaged.
        MissingDependencyError: espeak-ng is not installed, or fails.
    """
    known = set(letters)
    words = sorted({word for text in manifest_texts(manifests) for word in text.split() if known.issuperset(word)})
    pronounced = pronounce(words, voice)
    with replacing(output) as file:
        file.writelines(f"{word}\t{' '.join(pronounced[word])}\n".encode() for word in words)
    return len(words)


def pronounce(words: Collection[str], voice: str = VOICE) -> dict[str, Phonemes]:
    """Look up words in espeak-ng, by default in its General American, each as it is pronounced alone."""
    queue = list(words)
    pronounced: dict[str, Phonemes] = {}
    for start in range(0, len(queue), WORDS_PER_CALL):
        batch = queue[start : start + WORDS_PER_CALL]
        lines = _espeak(batch, voice)
        if len(lines) != len(batch):
            # A line was split or joined, so all words after it would get the phonemes of their neighbours.
            lines = [" ".join(_espeak([word], voice)) for word in batch]
        pronounced.update(zip(batch, map(phonemes_in, lines), strict=True))
    return pronounced


def phonemes_in(line: str) -> Phonemes:
    """Parse a line of espeak-ng's ASCII notation, without stress, pauses and changes of language such as ``(en)``."""
    tokens = (token.lstrip(MARKS) for token in re.sub(r"\(.*?\)", " ", line).split() if not token.startswith("_"))
    return tuple(token for token in tokens if token.strip(":"))


def _espeak(words: Sequence[str], voice: str) -> list[str]:
    program = shutil.which(PROGRAM)
    if program is None:
        raise MissingDependencyError(
            f"pronunciations need the program {PROGRAM}, which is not installed: sudo apt-get install espeak-ng"
        )
    command = [program, "-q", "-x", "--sep= ", "-v", voice]
    done = subprocess.run(command, input="".join(f"{word}\n" for word in words), capture_output=True, encoding="utf-8")
    if done.returncode:
        reason = done.stderr.strip()[-120:] or f"exit code {done.returncode}"
        if "voice does not exist" in reason:
            raise UsageError(f"{PROGRAM} has no voice {voice!r}; `{PROGRAM} --voices` lists them, such as de")
        raise MissingDependencyError(f"{PROGRAM} failed: {reason}; install it again: sudo apt-get install espeak-ng")
    return done.stdout.splitlines()
