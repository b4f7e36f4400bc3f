"""Times a passage chunk by chunk, with a stopwatch at each stage; arrival in real time is simulated."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgespeech.demo.bench.plan import Plan
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.measure.stopwatch import Stopwatch
from edgespeech.runtime.recognizer import Recognizer

Floats = NDArray[np.float32]
Times = tuple[float, float, float]

# Frames that are quieter than the loudest one by more than this are not speech.
SPEECH_DB = 30.0
SILENCE_SECONDS = 4.0


@dataclass(frozen=True)
class TimedRecognizer:
    """A recognizer with a stopwatch at its acoustic model and one at its decoder."""

    recognizer: Recognizer
    acoustic: Stopwatch
    decoder: Stopwatch

    @property
    def chunk_seconds(self) -> float:
        """Seconds of audio per step."""
        return self.recognizer.chunk_samples / self.recognizer.sample_rate


def open_timed_recognizer(plan: Plan) -> TimedRecognizer:
    """Load the configuration of a plan; raise an EdgespeechError if the bundle or a setting is invalid."""
    recognizer = Recognizer(
        load_bundle(plan.bundle),
        beam_width=plan.beam_width,
        use_lm=plan.language_model,
        chunk_ms=plan.chunk_ms,
        threads=plan.threads,
        provider=plan.provider,
    )
    acoustic: Any = Stopwatch(recognizer.model)
    decoder: Any = Stopwatch(recognizer.decoder)
    parts = replace(recognizer.parts, model=acoustic, decoder=decoder)
    return TimedRecognizer(Recognizer(recognizer.bundle, recognizer.options, parts=parts), acoustic, decoder)


@dataclass(frozen=True)
class PassageTimes:
    """Times of a recording in seconds.

    Attributes:
        chunks: Time of each full chunk: in total, in the acoustic model, in the decoder.
        totals: The same three times for the whole recording, including its end.
        first_partial: Time from the start of the recording to the first partial with a whole word; None if none came.
        first_final: Time from the start of the recording to the first final that the endpoint made; None if none came.
        final_on_stop: Time from the last sample to the end of the stream.
    """

    chunks: list[Times]
    totals: Times
    first_partial: float | None
    first_final: float | None
    final_on_stop: float


def time_passage(timed: TimedRecognizer, samples: Floats) -> PassageTimes:
    """Process a recording as if it were spoken now.

    A chunk arrives when its last sample has been spoken and waits until the chunk before it is done. So the times are
    those of a live session, but nothing waits for the audio.
    """
    stream = timed.recognizer.stream()
    size, rate = timed.recognizer.chunk_samples, timed.recognizer.sample_rate
    chunks: list[Times] = []
    at_start = timed.acoustic.seconds, timed.decoder.seconds
    first_partial = first_final = None
    done = total = 0.0
    for start in range(0, len(samples), size):
        chunk = samples[start : start + size]
        acoustic, decoder = timed.acoustic.seconds, timed.decoder.seconds
        began = time.perf_counter()
        events = stream.accept(chunk)
        taken = time.perf_counter() - began
        total += taken
        done = max(done, (start + len(chunk)) / rate) + taken
        if len(chunk) == size:
            chunks.append((taken, timed.acoustic.seconds - acoustic, timed.decoder.seconds - decoder))
        # A single letter may be a guess about the noise before speech.
        if any(" " in event.text for event in events):
            first_partial = first_partial or done
        if any(event.type == "final" for event in events):
            first_final = first_final or done
    began = time.perf_counter()
    stream.finish()
    taken = time.perf_counter() - began
    return PassageTimes(
        chunks=chunks,
        totals=(total + taken, timed.acoustic.seconds - at_start[0], timed.decoder.seconds - at_start[1]),
        first_partial=first_partial,
        first_final=first_final,
        final_on_stop=done + taken - len(samples) / rate,
    )


def speech_limits(samples: Floats, sample_rate: int) -> tuple[int, int]:
    """Return the first sample of speech and the one after the last in float32 [samples], at least 20 ms.

    Speech begins and ends with the first and last frame of 20 ms within 30 dB of the loudest.
    """
    size = sample_rate // 50
    frames = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    power = np.square(frames).mean(axis=1)
    loud = np.flatnonzero(power >= power.max() * 10.0 ** (-SPEECH_DB / 10.0))
    return int(loud[0]) * size, (int(loud[-1]) + 1) * size


def first_partial_after_speech(times: PassageTimes, samples: Floats, sample_rate: int) -> float | None:
    """Return the seconds from the beginning of speech to the first partial; None if none came."""
    if times.first_partial is None:
        return None
    return times.first_partial - speech_limits(samples, sample_rate)[0] / sample_rate


def final_after_silence(timed: TimedRecognizer, samples: Floats) -> float | None:
    """Measure the seconds from the end of speech to the final, with only silence after it; None if none came."""
    rate = timed.recognizer.sample_rate
    end = speech_limits(samples, rate)[1]
    silence = np.zeros(round(SILENCE_SECONDS * rate), np.float32)
    times = time_passage(timed, np.concatenate([samples[:end], silence]))
    if times.first_final is None or times.first_final < end / rate:
        return None  # a pause within the recording ended a segment
    return times.first_final - end / rate
