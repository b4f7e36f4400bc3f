"""Latency, from the end of a word at the microphone to the word on the screen: its parts, and what a session measured.

docs/guide/latency.md has the definition, and the names of its parts and of other times.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from os.path import commonprefix

import numpy as np

from edgespeech.runtime.audio import resampling_delay
from edgespeech.runtime.bundle import AudioFacts
from edgespeech.runtime.formats import breakable_words
from edgespeech.runtime.transcript import Event

LATENCY = "latency, from the end of a word at the microphone to the word on the screen"
RESAMPLING = "audio that the filter between two sample rates holds, on average"
MAX_MEASURED = 100_000  # words and segments that are remembered


@dataclass(frozen=True)
class LatencyBudget:
    """Parts of the latency in milliseconds; fast partials do not wait for the look-ahead.

    Attributes:
        frame: Audio that one output covers.
        device: Buffers of the sound system, as it states itself; None if no device is read. Some state the length of
            their buffers and some the age of the newest sample, so this is not in the sum.
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
    device: float | None = None

    def parts(self) -> list[tuple[str, str, str]]:
        """Return name, value and explanation of each part, then of their sum, and of a final."""
        compute = self.compute or 0.0
        held = self.resampling or 0.0
        mean, longest = held + self.chunk / 2.0, held + self.chunk
        partial = compute if self.fast_partials else self.lookahead + compute
        faster = ["fast partials"] * self.fast_partials + ["endpoints"] * (self.endpoint is not None)
        without = f"; {' and '.join(faster)} do not wait for it" if faster else ""
        rows: list[tuple[str, float | None, str]] = [
            ("window", 0.0, f"layers look back only; each output covers {self.frame:g} ms of audio"),
            (
                "chunk wait",
                self.chunk / 2.0,
                f"until the chunk is full: {self.chunk:.0f} ms at most, half of that on average",
            ),
            ("look-ahead", self.lookahead, f"future audio for the row convolution{without}"),
            ("compute time", self.compute, "median for a chunk on this machine"),
            (
                "latency",
                mean + partial,
                f"on average, {longest + partial:.0f} ms at most, if no later speech changes the word",
            ),
        ]
        if self.resampling is not None:
            rows.insert(1, ("resampling", self.resampling, RESAMPLING))
        if self.device is not None:
            unknown = f"not measured and not in the sum; the sound system states {self.device:.0f} ms"
            rows.insert(1, ("device", None, unknown))
        if self.endpoint is not None:
            silence = max(self.endpoint, self.lookahead + self.frame)
            final = silence + compute
            rows += [
                ("endpoint wait", silence, "silence that ends a segment, counted as it arrives"),
                ("final", mean + final, f"after the last word ends, on average; {longest + final:.0f} ms at most"),
            ]
        return [(name, "?" if value is None else f"{value:.0f} ms", what) for name, value, what in rows]

    def warning(self) -> str:
        """Describe why this machine cannot keep up in real time; empty if it can."""
        if self.compute is None or self.compute <= self.chunk:
            return ""
        return (
            f"cannot keep up in real time: a chunk of {self.chunk:.0f} ms takes {self.compute:.0f} ms; use a smaller "
            "model, or a precision that is faster here (edgespeech bench)"
        )

    def rows(self) -> list[str]:
        """Return one line per part, and the warning if there is one."""
        rows = [_line(*part) for part in self.parts()]
        if warning := self.warning():
            rows.append(f"  {warning}")
        return rows


def latency_budget(
    audio: AudioFacts,
    chunk_samples: int,
    compute: float | None,
    endpoint: float | None,
    fast_partials: bool = True,
    resampling: float | None = None,
    device: float | None = None,
) -> LatencyBudget:
    """Compute the parts of the latency from the settings of a bundle; times are seconds."""
    return LatencyBudget(
        frame=1000.0 * audio.frame_seconds,
        chunk=1000.0 * chunk_samples / audio.sample_rate,
        lookahead=1000.0 * audio.lookahead_seconds,
        compute=None if compute is None else 1000.0 * compute,
        endpoint=None if endpoint is None else 1000.0 * endpoint,
        fast_partials=fast_partials,
        resampling=None if resampling is None else 1000.0 * resampling,
        device=None if device is None else 1000.0 * device,
    )


def resampling_part(audio: AudioFacts, rates: Sequence[int] = (48000, 44100, 8000)) -> tuple[str, str, str]:
    """Return name, value and explanation of the delays of sources with other sample rates."""
    delays = [
        f"{1000.0 * resampling_delay(rate, audio.sample_rate):.0f} ms from {rate / 1000.0:g} kHz" for rate in rates
    ]
    return "resampling", "0 ms", f"{RESAMPLING}; {', '.join(delays)}"


class LatencyBreakdown:
    """Measures when each word of a stream first appeared in its final form, and how often shown words changed.

    Attributes:
        word_delays: Latency of the last words in seconds, from the end of a word's last label to its appearance.
        final_delays: Seconds from the end of a segment's last word to its final, for the last segments.
        revisions: Number of words that changed although another word already followed them.
    """

    def __init__(self) -> None:
        self.word_delays: deque[float] = deque(maxlen=MAX_MEASURED)
        self.final_delays: deque[float] = deque(maxlen=MAX_MEASURED)
        self.revisions = self._words = 0
        self._shown: list[tuple[str, float]] = []

    def step(self, event: Event, processed: float) -> float | None:
        """Record an event that was shown its ``latency_ms`` after ``processed`` seconds of audio had been spoken.

        Returns:
            The median latency of the words of a final in milliseconds; None for other events.
        """
        now = processed + event.latency_ms / 1000.0
        words = [word.word for word in event.words] if event.type == "final" else breakable_words(event.text)
        before = [word for word, _ in self._shown]
        same = len(commonprefix([before, words]))
        self.revisions += max(0, len(before) - 1 - same)
        self._shown = [*self._shown[:same], *((word, now) for word in words[same:])]
        if event.type != "final":
            return None
        delays = [shown_at - word.end for word, (_, shown_at) in zip(event.words, self._shown, strict=True)]
        self._shown = []
        self._words += len(delays)
        self.word_delays.extend(delays)
        self.final_delays.append(now - event.words[-1].end)
        delays.sort()
        middle = len(delays) // 2
        return 1000.0 * (delays[middle] + delays[~middle]) / 2.0  # numpy.median would import numpy.ma: 60 ms

    def rows(self) -> list[str]:
        """Return the measured delays as lines of text."""
        if not self.word_delays:
            return ["  measured: no words"]
        return [
            f"  measured over {len(self.word_delays)} words, from the end of each word's last label:",
            _line("latency", *_spread(self.word_delays)),
            _line("final", *_spread(self.final_delays)),
            _line(
                "revised", f"{self.revisions / self._words:.1%}", "of words changed although another word followed them"
            ),
        ]


def _line(name: str, value: str, what: str) -> str:
    return f"  {name:<13} {value:>8}  {what}"


def _spread(seconds: deque[float]) -> tuple[str, str]:
    median, high, longest = (1000.0 * np.quantile(seconds, q) for q in (0.5, 0.9, 1.0))
    return f"{median:.0f} ms", f"median; 90 % within {high:.0f} ms, all within {longest:.0f} ms"
