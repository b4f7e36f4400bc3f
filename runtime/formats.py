"""Transcripts as JSON lines, and as SubRip and WebVTT subtitles."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from edgespeech.runtime.decoder.grammar import UNKNOWN
from edgespeech.runtime.decoder.hypothesis import Hypothesis, Word
from edgespeech.runtime.transcript import Event, RecordingHypothesis, Segment, Transcript

LINE_WIDTH = 42  # characters
LINES_PER_CUE = 2
MIN_CUE_SECONDS = 0.8
MAX_CUE_SECONDS = 7.0
MAX_LETTERS_PER_SECOND = 20.0
VTT_HEADER = "WEBVTT\n\n"
_NO_TAGS = str.maketrans("<>", "[]")


@dataclass(frozen=True)
class Cue:
    """A subtitle: lines shown from ``start`` to ``end`` seconds."""

    start: float
    end: float
    lines: tuple[str, ...]


def cues(piece: Segment | Event, after: float = -math.inf) -> tuple[Cue, ...]:
    """Cut a segment, or a final event, into subtitles at word boundaries; none begins before ``after`` seconds.

    A cue has at most 2 lines of 42 characters and lasts at most 7 s, unless a single word exceeds that. It stays until
    it has lasted 0.8 s and been shown at 20 characters per second, unless the next one begins before. Words without
    times are given times in proportion to their letters.
    """
    return tuple(_prolong(map(_cue, _pieces(piece)), after))


def _pieces(piece: Segment | Event) -> list[list[Word]]:
    found: list[list[Word]] = []
    waiting: list[Word] = []
    for word in piece.words or _spread(piece.text, piece.start, piece.end):
        longer = [*waiting, word]
        if waiting and not _fits(longer):
            found.append(waiting)
            longer = [word]
        waiting = longer
    if waiting:
        found.append(waiting)
    while len(found) > 1 and _should_move_a_word(found[-2], found[-1]):
        found[-1].insert(0, found[-2].pop())
    return found


def _fits(words: Sequence[Word]) -> bool:
    return words[-1].end - words[0].start <= MAX_CUE_SECONDS and len(_wrap(words)) <= LINES_PER_CUE


def _should_move_a_word(before: Sequence[Word], last: Sequence[Word]) -> bool:
    """Decide whether the last cue of a segment, which the next one may follow at once, needs another word."""
    moved = [before[-1], *last]
    enough = len(before) > 1 and before[-2].end - before[0].start >= MIN_CUE_SECONDS
    return last[-1].end - last[0].start < MIN_CUE_SECONDS and enough and _fits(moved)


def _prolong(all_cues: Iterable[Cue], after: float = -math.inf) -> Iterator[Cue]:
    """Let each cue stay as long as it takes to read, as far as the next one leaves room."""
    waiting = list(all_cues)
    for index, cue in enumerate(waiting, start=1):
        start = max(cue.start, after)
        needed = max(MIN_CUE_SECONDS, sum(map(len, cue.lines)) / MAX_LETTERS_PER_SECOND)
        room = waiting[index].start if index < len(waiting) else math.inf
        yield replace(cue, start=start, end=max(start, cue.end, min(start + needed, room)))


def srt_cue(index: int, cue: Cue) -> str:
    """Return a SubRip block with its blank line; ``index`` counts from 1."""
    text = "\n".join(cue.lines).translate(_NO_TAGS)  # players take <unknown> for a tag
    return f"{index}\n{_span(cue, ',')}\n{text}\n\n"


def vtt_cue(cue: Cue) -> str:
    """Return a WebVTT block with its blank line, for a file that begins with ``VTT_HEADER``."""
    text = "\n".join(cue.lines).replace(UNKNOWN, UNKNOWN.translate(_NO_TAGS))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"{_span(cue, '.')}\n{text}\n\n"


def to_srt(segments: Iterable[Segment]) -> str:
    """Return a SubRip file, which is empty without words."""
    return "".join(srt_cue(index, cue) for index, cue in enumerate(_all_cues(segments), start=1))


def to_vtt(segments: Iterable[Segment]) -> str:
    """Return a WebVTT file, which is only the header without words."""
    return VTT_HEADER + "".join(map(vtt_cue, _all_cues(segments)))


def _all_cues(segments: Iterable[Segment]) -> Iterator[Cue]:
    return _prolong(_cue(piece) for segment in segments for piece in _pieces(segment))


def to_json(transcript: Transcript, file: str) -> str:
    """Return one line of JSON: file, duration (s), text, words, nbest with scores, processing time in seconds, rtf.

    ``channel`` follows if one was chosen, and ``damage`` if audio is missing in the recording.
    """
    line: dict[str, object] = {
        "file": file,
        "duration": round(transcript.duration, 3),
        "text": transcript.text,
        "words": _words(transcript.words),
        "nbest": _hypotheses(transcript.nbest),
        "seconds": round(transcript.seconds, 4),
        "rtf": round(transcript.rtf, 5),
    }
    if transcript.channel is not None:
        line["channel"] = transcript.channel
    if transcript.damage is not None:
        line["damage"] = transcript.damage
    return json.dumps(line)


def event_to_json(event: Event) -> str:
    """Return one line of JSON: type, text, committed, tentative, start and end (s), words and nbest, latency_ms.

    Only finals have words, and ``nbest`` if there are several hypotheses.
    """
    line: dict[str, object] = {
        "type": event.type,
        "text": event.text,
        "committed": event.committed,
        "tentative": event.tentative,
        "start": round(event.start, 3),
        "end": round(event.end, 3),
    }
    if event.type == "final":
        line["words"] = _words(event.words)
        if len(event.nbest) > 1:
            line["nbest"] = _hypotheses(event.nbest)
    line["latency_ms"] = round(event.latency_ms, 1)
    return json.dumps(line)


def _words(words: Sequence[Word]) -> list[dict[str, object]]:
    return [
        {
            "word": word.word,
            "start": round(word.start, 3),
            "end": round(word.end, 3),
            "confidence": round(word.confidence, 4),
        }
        for word in words
    ]


def _hypotheses(hypotheses: Sequence[RecordingHypothesis | Hypothesis]) -> list[dict[str, object]]:
    return [
        {
            "text": " ".join(hypothesis.text.split()),
            "score": round(hypothesis.score, 3),
            "acoustic_score": round(hypothesis.acoustic_score, 3),
            "lm_score": round(hypothesis.lm_score, 3),
            "hot_word_score": round(hypothesis.hot_word_score, 3),
        }
        for hypothesis in hypotheses
    ]


def _spread(text: str, start: float, end: float) -> list[Word]:
    """Give each word a part of the time in proportion to its letters."""
    per_letter = (end - start) / max(1, sum(len(word) for word in text.split()))
    words: list[Word] = []
    for word in text.split():
        until = start + len(word) * per_letter
        words.append(Word(word, start, until, confidence=0.0))
        start = until
    return words


def _wrap(words: Sequence[Word]) -> list[str]:
    text = " ".join(word.word for word in words)
    return textwrap.wrap(text, LINE_WIDTH, break_long_words=False, break_on_hyphens=False)


def _cue(words: Sequence[Word]) -> Cue:
    return Cue(words[0].start, words[-1].end, tuple(_wrap(words)))


def _span(cue: Cue, decimal_mark: str) -> str:
    start = max(0, round(cue.start * 1000))
    end = max(start + 1, round(cue.end * 1000))  # players refuse a cue that ends as it begins
    return f"{_timestamp(start, decimal_mark)} --> {_timestamp(end, decimal_mark)}"


def _timestamp(milliseconds: int, decimal_mark: str) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{decimal_mark}{milliseconds:03d}"
