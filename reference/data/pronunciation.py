"""Words to phonemes: a table that espeak-ng writes once, and a text's phonemes by it; guesses at no word itself."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from edgespeech.errors import ConfigError, MissingDependencyError
from edgespeech.reference.data.clips import manifest_texts
from edgespeech.reference.model.labels import CHARACTERS
from edgespeech.runtime.files import replacing

PROGRAM = "espeak-ng"
VOICE = "en-us"
WORDS_PER_CALL = 1000
FEWEST_ENTRIES = 20  # of a phoneme that gets a symbol of its own: fewer teach it nothing
# What espeak-ng puts before a phoneme (stress, syllables, pauses) or between two (the palatal mark).
MARKS = "',%=_|;"

Phonemes = tuple[str, ...]


class Pronunciations:
    """The phonemes of texts; ``symbols`` has the CTC blank first, then phonemes in alphabetical order.

    A phoneme that stands in few entries becomes the longest common one that it begins with, which is how espeak-ng
    names its variants (``@2`` is an ``@``, ``aI3`` an ``aI``), or else is left out. There is no mark between words:
    none is heard.
    """

    def __init__(self, words: Mapping[str, Phonemes], fewest_entries: int = FEWEST_ENTRIES) -> None:
        """Take the phonemes of every word.

        Raises:
            ConfigError: No phoneme stands in that many entries.
        """
        entries = Counter(phoneme for phonemes in words.values() for phoneme in set(phonemes))
        common = {phoneme for phoneme, count in entries.items() if count >= fewest_entries}
        if not common:
            raise ConfigError(
                f"no phoneme stands in {fewest_entries} of {len(words)} pronunciations; make them from more manifests"
            )
        self.symbols = ("", *sorted(common))
        index = {symbol: number for number, symbol in enumerate(self.symbols)}
        kin = {phoneme: max(filter(phoneme.startswith, self.symbols), key=len) for phoneme in entries}
        self._words = {
            word: tuple(index[kin[phoneme]] for phoneme in phonemes if kin[phoneme]) for word, phonemes in words.items()
        }

    @classmethod
    def read(cls, path: Path, fewest_entries: int = FEWEST_ENTRIES) -> Pronunciations:
        """Read a table: ``word<TAB>phoneme phoneme ...`` in every line.

        Raises:
            ConfigError: No such file, a line of another kind, or too few of them.
        """
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"cannot read the pronunciations {path}: {error}; `edgespeech data pronounce` writes such a table"
            ) from None
        words: dict[str, Phonemes] = {}
        for number, line in enumerate(lines, start=1):
            word, tab, phonemes = line.partition("\t")
            if not word or not tab:
                raise ConfigError(f"{path}:{number}: {line[:40]!r}; wanted a word, a tab and its phonemes")
            words[word] = tuple(phonemes.split())
        try:
            return cls(words, fewest_entries)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None

    def encode(self, text: str) -> list[int] | None:
        """Symbol indices of a text in lower case, or None if a word of it is missing."""
        words = text.split()
        if not all(word in self._words for word in words):
            return None
        return [symbol for word in words for symbol in self._words[word]]


def write_pronunciations(manifests: Sequence[Path], output: Path) -> int:
    """Write the table of all words of the manifests, whole or not at all.

    Words with characters that no label has are left out: their clips cannot be learnt from anyway.

    Returns:
        The number of words.

    Raises:
        ManifestError: A manifest is missing or broken.
        MissingDependencyError: espeak-ng is not installed, or fails.
        UsageError: The file cannot be written.
    """
    known = set(CHARACTERS)
    words = sorted({word for text in manifest_texts(manifests) for word in text.split() if known.issuperset(word)})
    pronounced = pronounce(words)
    with replacing(output) as file:
        file.writelines(f"{word}\t{' '.join(pronounced[word])}\n".encode() for word in words)
    return len(words)


def pronounce(words: Collection[str]) -> dict[str, Phonemes]:
    """Ask espeak-ng for General American, one word at a time as it would be said alone.

    Raises:
        MissingDependencyError: espeak-ng is not installed, or fails.
    """
    queue = list(words)
    pronounced: dict[str, Phonemes] = {}
    for start in range(0, len(queue), WORDS_PER_CALL):
        batch = queue[start : start + WORDS_PER_CALL]
        lines = _espeak(batch)
        if len(lines) != len(batch):
            # A line was cut or joined somewhere, and all behind it would get the phonemes of their neighbours.
            lines = [" ".join(_espeak([word])) for word in batch]
        pronounced.update(zip(batch, map(phonemes_in, lines), strict=True))
    return pronounced


def phonemes_in(line: str) -> Phonemes:
    """The phonemes in a line of espeak-ng's ASCII notation; stress, pauses and switches of language, ``(en)``, go."""
    tokens = (token.lstrip(MARKS) for token in re.sub(r"\(.*?\)", " ", line).split() if not token.startswith("_"))
    return tuple(token for token in tokens if token.strip(":"))


def _espeak(words: Sequence[str]) -> list[str]:
    program = shutil.which(PROGRAM)
    if program is None:
        raise MissingDependencyError(
            f"pronunciations need the program {PROGRAM}, which is not installed: sudo apt-get install espeak-ng"
        )
    command = [program, "-q", "-x", "--sep= ", "-v", VOICE]
    done = subprocess.run(command, input="".join(f"{word}\n" for word in words), capture_output=True, encoding="utf-8")
    if done.returncode:
        reason = done.stderr.strip()[-120:] or f"exit code {done.returncode}"
        raise MissingDependencyError(f"{PROGRAM} failed: {reason}; install it again: sudo apt-get install espeak-ng")
    return done.stdout.splitlines()
