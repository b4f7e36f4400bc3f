"""Transcripts as JSON lines and tables, and as SubRip and WebVTT subtitles; those of segments, piece by piece."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from edgespeech.runtime.decoder.grammar import UNKNOWN
from edgespeech.runtime.decoder.hypothesis import Hypothesis, Word
from edgespeech.runtime.transcript import Event, RecordingHypothesis, Segment, Transcript

LINE_WIDTH = 42  # characters, of which wide ones (Chinese, Japanese, Korean) count twice, here and below
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
    times are given times in proportion to their letters, and so are the characters of a text of wide characters, which
    has no spaces to be cut at.
    """
    return tuple(_prolong(map(_cue, _pieces(piece)), after))


def _pieces(piece: Segment | Event) -> list[list[Word]]:
    found: list[list[Word]] = []
    waiting: list[Word] = []
    words = _shown(piece.words) or _spread(piece.text, piece.start, piece.end)
    for word in (part for whole in words for part in _breakable(whole)):
        longer = [*waiting, word]
        if waiting and not _fits(longer):
            end = _last_mark(waiting)
            found.append(waiting[:end])
            longer = longer[end:]
        waiting = longer
    if waiting:
        found.append(waiting)
    while len(found) > 1 and _should_move_a_word(found[-2], found[-1]):
        found[-1].insert(0, found[-2].pop())
    return found


def _shown(words: Sequence[Word]) -> list[Word]:
    """Return words in their written form, each number as one."""
    shown: list[Word] = []
    for word in words:
        if word.written == "" and shown:
            shown[-1] = replace(shown[-1], end=word.end)
        else:
            shown.append(word if word.written is None else replace(word, word=word.written))
    return shown


def _last_mark(words: Sequence[Word]) -> int:
    """Return how many words a cue has that must end: to the last sentence or comma of its second half, or all."""
    for marks in ((".", "?", "!"), (",",)):
        for count in range(len(words), len(words) // 2, -1):
            if words[count - 1].word.endswith(marks):
                return count
    return len(words)


def _fits(words: Sequence[Word]) -> bool:
    return words[-1].end - words[0].start <= MAX_CUE_SECONDS and len(_wrap(words)) <= LINES_PER_CUE


def _should_move_a_word(before: Sequence[Word], last: Sequence[Word]) -> bool:
    """Decide whether the last cue of a segment, which the next one may follow at once, needs another word."""
    moved = [before[-1], *last]
    enough = len(before) > 1 and before[-2].end - before[0].start >= MIN_CUE_SECONDS
    return last[-1].end - last[0].start < MIN_CUE_SECONDS and enough and _fits(moved)


def _prolong(all_cues: Iterable[Cue], after: float = -math.inf) -> Iterator[Cue]:
    """Let each cue stay as long as it takes to read, as far as the next one leaves room."""
    following = iter(all_cues)
    cue = next(following, None)
    while cue is not None:
        after_it = next(following, None)
        start = max(cue.start, after)
        needed = max(MIN_CUE_SECONDS, sum(map(_width, cue.lines)) / MAX_LETTERS_PER_SECOND)
        room = math.inf if after_it is None else after_it.start
        yield replace(cue, start=start, end=max(start, cue.end, min(start + needed, room)))
        cue = after_it


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
    return "".join(srt_blocks(segments))


def to_vtt(segments: Iterable[Segment]) -> str:
    """Return a WebVTT file, which is only the header without words."""
    return "".join(vtt_blocks(segments))


def srt_blocks(segments: Iterable[Segment]) -> Iterator[str]:
    """Yield the cues of a SubRip file, each as soon as the one behind it is known, which limits how long it stays."""
    return (srt_cue(index, cue) for index, cue in enumerate(_all_cues(segments), start=1))


def vtt_blocks(segments: Iterable[Segment]) -> Iterator[str]:
    """Yield the header of a WebVTT file with the first cue, if there is one, and then cue by cue as `srt_blocks`."""
    blocks = map(vtt_cue, _all_cues(segments))
    yield VTT_HEADER + next(blocks, "")
    yield from blocks


def _all_cues(segments: Iterable[Segment]) -> Iterator[Cue]:
    return _prolong(_cue(piece) for segment in segments for piece in _pieces(segment))


def tsv_row(*cells: object) -> str:
    """Return a line of a table with tabs between its cells, in which white space becomes a single space."""
    return "\t".join(" ".join(str(cell).split()) for cell in cells) + "\n"


def tsv_segment(segment: Segment) -> tuple[int, int, str]:
    """Return the cells ``start`` and ``end``, in milliseconds, and ``text``."""
    return round(segment.start * 1000), round(segment.end * 1000), segment.text


def to_json(transcript: Transcript, file: str, stopped: bool = False) -> str:
    """Return one line of JSON: file, duration (s), text, words, nbest with scores, processing time in seconds, rtf.

    ``channel`` follows if one was chosen, ``damage`` if audio is missing in the recording, and ``stopped`` if the user
    ended the transcription after ``duration``.
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
    return json.dumps(line | _ending(transcript, stopped))


def segment_to_json(segment: Segment, file: str, channel: int | None = None) -> str:
    """Return one line of JSON with the keys of a final in `event_to_json`: file, type, text, start, end (s), words.

    ``nbest`` follows if there are several hypotheses, and ``channel`` if one was chosen.
    """
    line: dict[str, object] = {
        "file": file,
        "type": "final",
        "text": segment.text,
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "words": _words(segment.words),
    }
    if len(segment.nbest) > 1:
        line["nbest"] = _hypotheses(segment.nbest)
    if channel is not None:
        line["channel"] = channel
    return json.dumps(line)


def end_to_json(transcript: Transcript, file: str, stopped: bool = False) -> str:
    """Return the line behind the segments of a recording: file, type ``end``, and the figures of `to_json`."""
    line: dict[str, object] = {
        "file": file,
        "type": "end",
        "duration": round(transcript.duration, 3),
        "seconds": round(transcript.seconds, 4),
        "rtf": round(transcript.rtf, 5),
    }
    return json.dumps(line | _ending(transcript, stopped))


def _ending(transcript: Transcript, stopped: bool) -> dict[str, object]:
    known = {"channel": transcript.channel, "damage": transcript.damage, "stopped": stopped or None}
    return {key: value for key, value in known.items() if value is not None}


def event_to_json(event: Event) -> str:
    """Return one line of JSON: type, text, committed, tentative, start and end (s), words and nbest, latency_ms.

    Only finals have words, and ``nbest`` if there are several hypotheses; those of a live session have
    ``word_latency_ms``.
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
    if event.word_latency_ms is not None:
        line["word_latency_ms"] = round(event.word_latency_ms)
    return json.dumps(line)


def clock_time(seconds: float) -> str:
    """Format a time as minutes and seconds, with hours once there are any."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def _words(words: Sequence[Word]) -> list[dict[str, object]]:
    return [
        {
            "word": word.word,
            "start": round(word.start, 3),
            "end": round(word.end, 3),
            "confidence": round(word.confidence, 4),
        }
        | ({} if word.written is None else {"written": word.written})
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


def wrap(text: str) -> list[str]:
    """Divide a text into lines of a subtitle, and a word that is longer than a line too."""
    words = _breakable_words(text)
    lines = _wrap(words) if words else []
    return [line[at : at + LINE_WIDTH] for line in lines for at in range(0, len(line), LINE_WIDTH)]


def breakable_words(text: str) -> list[str]:
    """Divide a text into words, and words of wide characters into these."""
    return [word.word for word in _breakable_words(text)]


def _breakable_words(text: str) -> list[Word]:
    return [part for word in _spread(text, 0.0, 0.0) for part in _breakable(word)]


def _breakable(word: Word) -> list[Word]:
    """Divide a word of wide characters, between which a line may end, into these; others stay whole."""
    if not any(map(_is_wide, word.word)):
        return [word]
    step = (word.end - word.start) / len(word.word)
    return [
        Word(
            character,
            word.start + step * at,
            word.start + step * (at + 1),
            word.confidence,
            joined=at > 0 or word.joined,
        )
        for at, character in enumerate(word.word)
    ]


def _is_wide(character: str) -> bool:
    return _width(character) > 1


def _wrap(words: Sequence[Word]) -> list[str]:
    lines = [words[0].word]
    for word in words[1:]:
        gap = "" if word.joined or (_is_wide(lines[-1][-1]) and _is_wide(word.word[0])) else " "
        if _width(lines[-1] + gap + word.word) <= LINE_WIDTH:
            lines[-1] += gap + word.word
        else:
            lines.append(word.word)
    return lines


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


def _width(text: str) -> int:
    """Return the columns that a text takes; a Chinese or Japanese character takes two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # only for such texts, as it is slow to import

    return cell_len(text)
