"""Latency of a word: the parts that a bundle determines, and what a session measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os.path import commonprefix

import numpy as np

from edgespeech.runtime.audio import resampling_delay
from edgespeech.runtime.bundle import AudioFacts
from edgespeech.runtime.transcript import Event

RESAMPLING = "audio that the filter between two sample rates holds, on average"


@dataclass(frozen=True)
class LatencyBudget:
    """Parts of the latency of a word, in milliseconds; with fast partials, these do not wait for the look-ahead.

    Attributes:
        frame: Audio that one output covers.
        resampling: Mean delay of the filter that converts the source's sample rate; 0 if the rates are equal, None if
            the source is not known.
        chunk: Audio per step; a word waits for the end of its chunk, half of it on average.
        lookahead: Future audio that an output depends on.
        compute: Median time to process a chunk; None if it was not measured.
        endpoint: Silence that ends a segment, at least one look-ahead and one frame, because outputs must be certain
            at the end of a segment; None if the rule is off.
    """

    frame: float
    chunk: float
    lookahead: float
    compute: float | None
    endpoint: float | None
    fast_partials: bool = True
    resampling: float | None = None

    def rows(self) -> list[str]:
        """Return one line per part, then the sums for partials and finals."""
        compute = self.compute or 0.0
        held = self.resampling or 0.0
        mean, longest = held + self.chunk / 2.0, held + self.chunk
        partial = compute if self.fast_partials else self.lookahead + compute
        faster = ["fast partials"] * self.fast_partials + ["endpoints"] * (self.endpoint is not None)
        without = f"; {' and '.join(faster)} do not wait for it" if faster else ""
        rows: list[tuple[str, float | None, str]] = [
            ("window", 0.0, f"layers look back only; each output covers {self.frame:g} ms of audio"),
            (
                "chunk",
                self.chunk / 2.0,
                f"wait until the chunk is full: {self.chunk:.0f} ms at most, half of that on average",
            ),
            ("look-ahead", self.lookahead, f"future audio for the row convolution{without}"),
            ("compute", self.compute, "median time per chunk on this machine"),
            ("word shown", mean + partial, f"after the word ends, on average; {longest + partial:.0f} ms at most"),
        ]
        if self.resampling is not None:
            rows.insert(1, ("resampling", self.resampling, RESAMPLING))
        if self.endpoint is not None:
            silence = max(self.endpoint, self.lookahead + self.frame)
            final = silence + compute
            rows += [
                ("endpoint", silence, "silence that ends a segment, counted as it arrives"),
                ("final", mean + final, f"after the last word ends, on average; {longest + final:.0f} ms at most"),
            ]
        lines = [f"  {name:<11} {'?' if value is None else f'{value:.0f} ms':>8}  {what}" for name, value, what in rows]
        if compute > self.chunk:
            lines.append(
                f"  cannot keep up in real time: a chunk of {self.chunk:.0f} ms takes {compute:.0f} ms; use a smaller "
                "model, or a precision that is faster here (edgespeech bench)"
            )
        return lines


def latency_budget(
    audio: AudioFacts,
    chunk_samples: int,
    compute: float | None,
    endpoint: float | None,
    fast_partials: bool = True,
    resampling: float | None = None,
) -> LatencyBudget:
    """Compute the parts of the latency from the settings of a bundle; the three times are seconds."""
    return LatencyBudget(
        frame=1000.0 * audio.frame_seconds,
        chunk=1000.0 * chunk_samples / audio.sample_rate,
        lookahead=1000.0 * audio.lookahead_seconds,
        compute=None if compute is None else 1000.0 * compute,
        endpoint=None if endpoint is None else 1000.0 * endpoint,
        fast_partials=fast_partials,
        resampling=None if resampling is None else 1000.0 * resampling,
    )


def resampling_row(audio: AudioFacts, rates: Sequence[int] = (48000, 44100, 8000)) -> str:
    """Describe the delays of sources with other sample rates in one line."""
    delays = [
        f"{1000.0 * resampling_delay(rate, audio.sample_rate):.0f} ms from {rate / 1000.0:g} kHz" for rate in rates
    ]
    return f"  {'resampling':<11} {'0 ms':>8}  {RESAMPLING}; {', '.join(delays)}"


class LatencyBreakdown:
    """Measures when each word of a stream first appeared in its final form, and how often shown words changed.

    Attributes:
        word_delays: Seconds from the end of a word's last label to its appearance, for each word.
        final_delays: Seconds from the end of a segment's last word to its final, for each segment.
        revisions: Number of words that changed although another word already followed them.
    """

    def __init__(self) -> None:
        self.word_delays: list[float] = []
        self.final_delays: list[float] = []
        self.revisions = 0
        self._shown: list[tuple[str, float]] = []

    def step(self, event: Event, processed: float) -> None:
        """Record an event that was made when ``processed`` seconds of audio had arrived."""
        now = processed + event.latency_ms / 1000.0
        words = [word.word for word in event.words] if event.type == "final" else event.text.split()
        before = [word for word, _ in self._shown]
        same = len(commonprefix([before, words]))
        self.revisions += max(0, len(before) - 1 - same)
        self._shown = [*self._shown[:same], *((word, now) for word in words[same:])]
        if event.type == "final":
            self.word_delays += [
                shown_at - word.end for word, (_, shown_at) in zip(event.words, self._shown, strict=True)
            ]
            self.final_delays.append(now - event.words[-1].end)
            self._shown = []

    def rows(self) -> list[str]:
        """Return the measured delays as lines of text."""
        if not self.word_delays:
            return ["  measured: no words"]
        count = len(self.word_delays)
        return [
            f"  measured over {count} words, from the end of each word's last label:",
            f"  {'word shown':<11} {_spread(self.word_delays)}",
            f"  {'final':<11} {_spread(self.final_delays)}",
            f"  {'revised':<11} {self.revisions / count:>8.1%}  of words changed although another word followed them",
        ]


def _spread(seconds: Sequence[float]) -> str:
    median, high, longest = (1000.0 * np.quantile(seconds, q) for q in (0.5, 0.9, 1.0))
    return f"{median:>5.0f} ms  median; 90 % within {high:.0f} ms, all within {longest:.0f} ms"
