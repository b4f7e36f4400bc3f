"""Where the time goes between a word and its text: what the bundle makes certain, and what a session measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os.path import commonprefix

import numpy as np

from edgespeech.runtime.bundle import AudioFacts
from edgespeech.runtime.transcript import Event


@dataclass(frozen=True)
class Budget:
    """The parts of the delay of a word, in milliseconds.

    Attributes:
        frame: Sound that one output speaks of.
        chunk: Sound that is heard at once; a word waits for the end of its chunk, half of one on average.
        lookahead: Sound after a frame that its output depends on.
        compute: Median time to hear a chunk; None if it was not measured.
        endpoint: Silence that ends a segment; None if none does. A segment ends where the outputs are certain, so it
            takes the look-ahead and one frame at least.
        fast_partials: Whether partials do without the look-ahead.
    """

    frame: float
    chunk: float
    lookahead: float
    compute: float | None
    endpoint: float | None
    fast_partials: bool = True

    def rows(self) -> list[str]:
        """Lines for people: each part, then the sums for a partial and for a final."""
        compute = self.compute or 0.0
        mean, most = self.chunk / 2.0, self.chunk
        shown = compute if self.fast_partials else self.lookahead + compute
        hasty = ["fast partials"] * self.fast_partials + ["endpoints"] * (self.endpoint is not None)
        without = f"; {' and '.join(hasty)} do without it" if hasty else ""
        rows = [
            ("window", 0.0, f"every layer looks back only; an output speaks of {self.frame:g} ms of sound"),
            ("chunk", mean, f"until it is full: {most:.0f} ms at most, half of it on average"),
            ("look-ahead", self.lookahead, f"of the row convolution{without}"),
            ("compute", self.compute, "for a chunk, median here"),
            ("word shown", mean + shown, f"after it ended, {most + shown:.0f} ms if a chunk had just begun"),
        ]
        if self.endpoint is not None:
            silence = max(self.endpoint, self.lookahead + self.frame)
            final = silence + compute
            rows += [
                ("endpoint", silence, "of silence end a segment, counted while they are heard"),
                ("final", mean + final, f"after the last word, {most + final:.0f} ms at most"),
            ]
        return [f"  {name:<11} {'?' if value is None else f'{value:.0f} ms':>8}  {what}" for name, value, what in rows]


def budget(
    audio: AudioFacts, chunk_samples: int, compute: float | None, endpoint: float | None, fast_partials: bool = True
) -> Budget:
    """The parts for a bundle.

    Args:
        audio: The bundle's.
        chunk_samples: Samples heard at once.
        compute: Seconds for a chunk.
        endpoint: Seconds of silence that end a segment.
        fast_partials: Whether partials do without the look-ahead.
    """
    return Budget(
        frame=1000.0 * audio.frame_seconds,
        chunk=1000.0 * chunk_samples / audio.sample_rate,
        lookahead=1000.0 * audio.lookahead_seconds,
        compute=None if compute is None else 1000.0 * compute,
        endpoint=None if endpoint is None else 1000.0 * endpoint,
        fast_partials=fast_partials,
    )


class Ledger:
    """Measures one stream: when each word was shown first as it stayed, and how often words were taken back."""

    def __init__(self) -> None:
        """Nothing shown yet."""
        self._shown: list[tuple[str, float]] = []
        self.word_delays: list[float] = []  # seconds from the end of a word's last label to the word on the screen
        self.final_delays: list[float] = []  # seconds from there, for a segment's last word, to its final
        self.revisions = 0  # words that another word had followed, and that changed then

    def step(self, event: Event, heard: float) -> None:
        """Note an event, given the seconds of sound that had arrived when it was made."""
        now = heard + event.latency_ms / 1000.0
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
        """Lines for people: what was measured."""
        if not self.word_delays:
            return ["  measured: no words"]
        count = len(self.word_delays)
        return [
            f"  measured over {count} words, from the end of a word's last label:",
            f"  {'word shown':<11} {_spread(self.word_delays)}",
            f"  {'final':<11} {_spread(self.final_delays)}",
            f"  taken back  {self.revisions / count:>6.1%}  of words that others had followed already",
        ]


def _spread(seconds: Sequence[float]) -> str:
    median, most, worst = (1000.0 * np.quantile(seconds, share) for share in (0.5, 0.9, 1.0))
    return f"{median:>5.0f} ms  median; 90 % within {most:.0f} ms, all within {worst:.0f} ms"
