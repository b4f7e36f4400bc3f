"""The records that leave the runtime: words, hypotheses, events and transcripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Word:
    """A recognised word.

    Attributes:
        word: The text, without spaces.
        start: Seconds from the beginning of the audio to the word's first label.
        end: Seconds from the beginning of the audio to the end of the word's last label.
        confidence: In [0, 1]; the share of probability that the surviving beams give to this word.
    """

    word: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Hypothesis:
    """One complete reading of an utterance; scores are natural logarithms.

    ``score = acoustic_score + alpha * lm_score + beta * len(words)``.

    Attributes:
        text: The labels joined.
        words: Words with times; confidence is filled for the best hypothesis, and is that of the best for the others.
        score: What the search ranks by.
        acoustic_score: log p_ctc(labels | audio), summed over the alignments that the beam kept.
        lm_score: log p_lm(words); 0 without a language model.
        labels: Label indices without blanks.
        frames: For each label, the output frame in which it was emitted.
    """

    text: str
    words: tuple[Word, ...]
    score: float
    acoustic_score: float
    lm_score: float
    labels: tuple[int, ...]
    frames: tuple[int, ...]


@dataclass(frozen=True)
class Event:
    """Something that a stream has to say.

    Attributes:
        type: ``partial`` (may still change), ``final`` (a finished segment) or ``status`` (a remark about the source).
        text: All text of the segment so far; the remark for ``status``.
        committed: The beginning of ``text`` that will not change any more.
        tentative: The rest of ``text``.
        start: Seconds from the beginning of the stream to the beginning of the segment.
        end: Seconds from the beginning of the stream to the end of the audio that the text speaks of.
        words: Word times; only in ``final``.
        latency_ms: Wall-clock milliseconds from the arrival of the last samples used to this event.
        nbest: Hypotheses of the segment, best first; only in ``final``.
    """

    type: Literal["partial", "final", "status"]
    text: str
    committed: str = ""
    tentative: str = ""
    start: float = 0.0
    end: float = 0.0
    words: tuple[Word, ...] = ()
    latency_ms: float = 0.0
    nbest: tuple[Hypothesis, ...] = ()


@dataclass(frozen=True)
class Segment:
    """A piece of speech between two endpoints: text and times in seconds, best hypothesis first in ``nbest``."""

    text: str
    start: float
    end: float
    words: tuple[Word, ...]
    nbest: tuple[Hypothesis, ...] = ()


@dataclass(frozen=True)
class Transcript:
    """The words of one recording.

    Attributes:
        text: All segments joined by one space.
        segments: The pieces between endpoints.
        duration: Seconds of audio.
        seconds: Seconds of computing.
        nbest: Readings of the whole recording, best first.
    """

    text: str
    segments: tuple[Segment, ...]
    duration: float
    seconds: float
    nbest: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of all segments, in order."""
        return tuple(word for segment in self.segments for word in segment.words)

    @property
    def rtf(self) -> float:
        """Real-time factor: seconds of computing per second of audio."""
        return self.seconds / self.duration if self.duration else 0.0
