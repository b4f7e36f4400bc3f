"""The text of a recording: plain text, SubRip or WebVTT, divided into sentences as they may be read aloud."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgespeech.errors import ManifestError, UsageError
from edgespeech.reference.alignment.spelling import check_language, spoken_readings
from edgespeech.runtime.decoder.hot_words import spell
from edgespeech.runtime.dependencies import require

SUBTITLES = {".srt", ".vtt", ".ass", ".ssa", ".sub"}
MAX_WORDS = 40  # of a piece of a text without punctuation; its pieces are joined again once they have times
MIN_PUNCTUATION = 1 / 40  # sentence ends per word, in a text that is divided at them
_SENTENCE_END = re.compile(r"(?<=[.!?…。！？])[\"'”’)\]]*\s+")
_ENDS = re.compile(r"[.!?…。！？](?:\s|[\"'”’)\]]|$)")
_TITLES = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|Prof|No|vs|e\.g|i\.e|[A-Z])\.$")
_SOUNDS = re.compile(r"\[[^\]]*\]|\([^)]*\)|♪[^♪]*♪?")  # in subtitles: sounds other than speech


@dataclass(frozen=True)
class Sentence:
    """A sentence, or a piece of a long one.

    Attributes:
        readings: How it may be read aloud, in the letters of the labels; none if that is uncertain.
        complete: Whether a sentence ends behind it.
        source: The text as written.
    """

    readings: tuple[str, ...]
    complete: bool
    source: str


def read_script(path: Path, labels: Sequence[str], language: str = "en") -> list[Sentence]:
    """Read the sentences of a text.

    A plain text is divided at the ends of its sentences or, if it has hardly any punctuation, into its lines.

    Raises:
        ManifestError: The file is missing, empty or not UTF-8, or has no words in the letters of the labels.
        UsageError: The numbers of the language cannot be spelled.
        MissingDependencyError: Subtitles are given, and pysubs2 is not installed.
    """
    check_language(language)
    sentences = [sentence for text in _texts(path) for sentence in spelled_sentences(text, labels, language)]
    if not any(sentence.readings for sentence in sentences):
        raise ManifestError(f"{path} has no text in the letters of the labels; wanted what is said in the recording")
    return sentences


def spelled_sentences(text: str, labels: Sequence[str], language: str = "en") -> Iterator[Sentence]:
    """Yield a sentence in the letters of the labels, in pieces if it is long."""
    letters = frozenset("".join(labels).lower()) | {" "}
    return _pieces(tuple(_spelled(one, labels) for one in spoken_readings(text, letters, language)), text)


def _texts(path: Path) -> Iterator[str]:
    """Yield the sentences, or the lines, as they are written."""
    blocks = _subtitles(path) if path.suffix.lower() in SUBTITLES else _paragraphs(_read(path))
    whole = "\n".join(blocks)
    if len(_ENDS.findall(whole)) < MIN_PUNCTUATION * len(whole.split()):
        yield from (" ".join(line.split()) for line in whole.split("\n") if line.strip())
        return
    for block in blocks:
        waiting = ""
        for sentence in _SENTENCE_END.split(" ".join(block.split())):
            waiting = f"{waiting} {sentence}".strip()
            if not _TITLES.search(sentence):
                yield waiting
                waiting = ""
        if waiting:
            yield waiting


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8 text (byte {error.start}); convert it to UTF-8") from None
    except OSError as error:
        raise ManifestError(f"{path} cannot be read ({error.strerror}); wanted a text; correct the path") from None


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]


def _subtitles(path: Path) -> list[str]:
    """Return the text of subtitles as one block with a line for each, without sounds other than speech."""
    require("pysubs2", "align")
    import pysubs2

    text = _read(path)
    try:
        events = pysubs2.SSAFile.from_string(text).events
    except (pysubs2.exceptions.Pysubs2Error, ValueError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ManifestError(f"{path} is not a file of subtitles ({reason}); wanted SubRip or WebVTT") from None
    lines = [" ".join(_SOUNDS.sub(" ", event.plaintext).split()) for event in events if not event.is_comment]
    return ["\n".join(filter(None, lines))]


def _spelled(text: str, labels: Sequence[str]) -> str:
    try:
        return spell(text, labels)
    except UsageError:  # a letter that only exists in the other case
        return text


def _pieces(readings: tuple[str, ...], source: str) -> Iterator[Sentence]:
    words = readings[0].split() if readings else []
    if len(words) <= MAX_WORDS:
        yield Sentence(readings, True, source)
        return
    # Of a long sentence with numbers, the first reading is taken.
    count = -(-len(words) // MAX_WORDS)
    for number in range(count):
        part = words[number * len(words) // count : (number + 1) * len(words) // count]
        yield Sentence((" ".join(part),), number == count - 1, " ".join(part))
