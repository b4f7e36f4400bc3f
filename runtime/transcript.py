"""Results of a recognizer: events, segments and transcripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from edgespeech.runtime.decoder.hypothesis import Hypothesis, Word, join_words


@dataclass(frozen=True)
class RecordingHypothesis:
    """A hypothesis for a whole recording, with scores as in `Hypothesis`, summed over the segments."""

    text: str
    score: float
    acoustic_score: float
    lm_score: float
    hot_word_score: float


@dataclass(frozen=True)
class Event:
    """A result of a stream, or a report about its source.

    Attributes:
        type: ``partial`` (may still change), ``final`` (a finished segment) or ``status`` (a report about the source).
        text: All text of the segment so far; the report for ``status``.
        committed: The beginning of ``text`` that will not change any more.
        tentative: The rest of ``text``.
        start: Seconds from the beginning of the stream to the beginning of the segment.
        end: Seconds from the beginning of the stream to the end of the audio that the text covers.
        words: Words with times; only in ``final``.
        latency_ms: Compute time: wall-clock milliseconds from the arrival of the last samples used to this event.
        nbest: Hypotheses of the segment, best first; only in ``final``.
        word_latency_ms: Median time from the end of a word at the microphone to the word on the screen; only in a
            ``final`` of a live session.
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
    word_latency_ms: float | None = None


@dataclass(frozen=True)
class Segment:
    """Speech between two endpoints, with times in seconds; ``nbest`` has the best hypothesis first."""

    text: str
    start: float
    end: float
    words: tuple[Word, ...]
    nbest: tuple[Hypothesis, ...] = ()

    @classmethod
    def from_final(cls, event: Event) -> Segment:
        """Return the segment that a ``final`` reports."""
        return cls(event.text, event.start, event.end, event.words, event.nbest)


@dataclass(frozen=True)
class Transcript:
    """The text of one recording.

    Attributes:
        text: All segments joined by one space.
        segments: The parts between endpoints.
        duration: Seconds of audio.
        seconds: Seconds of computing.
        nbest: Hypotheses for the whole recording, best first.
        damage: Where and why audio is missing in the recording; None if it was read to its end.
        channel: Number of the channel that was transcribed, from 1; None for the mean of all.
    """

    text: str
    segments: tuple[Segment, ...]
    duration: float
    seconds: float
    nbest: tuple[RecordingHypothesis, ...] = ()
    damage: str | None = None
    channel: int | None = None

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of all segments, in order."""
        return tuple(word for segment in self.segments for word in segment.words)

    @property
    def is_written(self) -> bool:
        """Whether the text has marks and capitals."""
        return any(word.written is not None for word in self.words)

    @property
    def plain_text(self) -> str:
        """The text without marks, capitals and digits: as the words are, if they were written."""
        return join_words(self.words, plain=True) if self.is_written else self.text

    @property
    def complete(self) -> bool:
        """Whether the recording was read to its end."""
        return self.damage is None

    @property
    def rtf(self) -> float:
        """Real-time factor: seconds of computing per second of audio."""
        return self.seconds / self.duration if self.duration else 0.0


def join_hypotheses(segments: Sequence[Segment]) -> tuple[RecordingHypothesis, ...]:
    """Join the hypotheses of segments, as `hypotheses_by_rank` puts them together."""
    joined = []
    for chosen in hypotheses_by_rank(segments):
        joined.append(
            RecordingHypothesis(
                text=" ".join(" ".join(hypothesis.text.split()) for hypothesis in chosen),
                score=sum(hypothesis.score for hypothesis in chosen),
                acoustic_score=sum(hypothesis.acoustic_score for hypothesis in chosen),
                lm_score=sum(hypothesis.lm_score for hypothesis in chosen),
                hot_word_score=sum(hypothesis.hot_word_score for hypothesis in chosen),
            )
        )
    return tuple(joined)


def hypotheses_by_rank(segments: Sequence[Segment | Event]) -> Iterator[list[Hypothesis]]:
    """Yield for each number k the k-th hypothesis of each segment, or its last where it has fewer."""
    for rank in range(max((len(segment.nbest) for segment in segments), default=0)):
        yield [segment.nbest[min(rank, len(segment.nbest) - 1)] for segment in segments]
