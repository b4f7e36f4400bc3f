"""Hearing a passage chunk by chunk with a stopwatch at each stage; the sound's clock is simulated, nobody waits."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import AudioError
from edgespeech.runtime import audio
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.manifest import read_manifest, read_samples
from edgespeech.runtime.measure.stopwatch import Stopwatch
from edgespeech.runtime.recognizer import Recognizer

Floats = NDArray[np.float32]

PIECE_SECONDS = 10.0
# Quieter than the loudest moment by this much is not speech.
SPEECH_DB = 30.0
SILENCE_SECONDS = 4.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How to run a bundle; None is the bundle's own setting."""

    bundle: str
    provider: str = "cpu"
    threads: int = 1
    chunk_ms: float | None = None
    beam_width: int | None = None
    language_model: bool = True


class Speech(msgspec.Struct, frozen=True, kw_only=True):
    """What is heard: a manifest's recordings, or one recording cut in pieces; so many seconds of it at most."""

    manifest: str
    audio: str | None = None
    seconds: float = 30.0

    def read(self, sample_rate: int) -> list[Floats]:
        """Recordings as float32 [n].

        Raises:
            EdgespeechError: They cannot be heard.
        """
        if self.audio is None:
            recordings = []
            for utterance in read_manifest(self.manifest, check_files=True):
                recordings.append(read_samples(utterance, sample_rate))
                if sum(map(len, recordings)) >= self.seconds * sample_rate:
                    break
        else:
            whole = audio.read(self.audio, sample_rate)[: round(self.seconds * sample_rate)]
            size = round(PIECE_SECONDS * sample_rate)
            recordings = [whole[start : start + size] for start in range(0, len(whole), size)]
        left, kept = round(self.seconds * sample_rate), []
        for recording in recordings:
            kept.append(recording[:left])
            left -= len(kept[-1])
        kept = [recording for recording in kept if len(recording) >= sample_rate // 2]
        if not kept:
            raise AudioError(f"{self.audio or self.manifest} holds less than half a second of sound; give some speech")
        return kept


@dataclass
class Ear:
    """A recognizer with a stopwatch at its acoustic model and one at its decoder."""

    recognizer: Recognizer
    acoustic: Stopwatch
    decoder: Stopwatch

    @property
    def chunk_seconds(self) -> float:
        """Audio per step."""
        return self.recognizer.chunk_samples / self.recognizer.sample_rate


def open_ear(plan: Plan) -> Ear:
    """Load what a plan describes.

    Raises:
        EdgespeechError: The bundle or a setting does not do.
    """
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
    return Ear(Recognizer(recognizer.bundle, recognizer.options, parts=parts), acoustic, decoder)


@dataclass
class Heard:
    """What hearing a recording took, in seconds.

    Attributes:
        chunks: For each full chunk what everything, the acoustic model and the decoder took: [chunks, 3].
        totals: The same three for the whole recording, its end included.
        first_partial: When the first partial with a whole word was there, from the beginning of the recording; None if
            none came.
        first_final: Likewise for the first final before the stream was ended.
        final_on_stop: From the last sample until the stream had ended.
    """

    chunks: list[tuple[float, float, float]]
    totals: tuple[float, float, float]
    first_partial: float | None
    first_final: float | None
    final_on_stop: float


def listen(ear: Ear, samples: Floats) -> Heard:
    """Hear a recording as if it were spoken now.

    A chunk is there when its last sample has been spoken; it waits until the one before is done. So the times are those
    of a live session, without its waiting.
    """
    stream = ear.recognizer.stream()
    size, rate = ear.recognizer.chunk_samples, ear.recognizer.sample_rate
    chunks: list[tuple[float, float, float]] = []
    before = ear.acoustic.seconds, ear.decoder.seconds
    first_partial = first_final = None
    done = whole = 0.0
    for start in range(0, len(samples), size):
        chunk = samples[start : start + size]
        acoustic, decoder = ear.acoustic.seconds, ear.decoder.seconds
        began = time.perf_counter()
        events = stream.accept(chunk)
        taken = time.perf_counter() - began
        whole += taken
        done = max(done, (start + len(chunk)) / rate) + taken
        if len(chunk) == size:
            chunks.append((taken, ear.acoustic.seconds - acoustic, ear.decoder.seconds - decoder))
        # A single letter may be a guess about the noise before speech.
        if any(" " in event.text for event in events):
            first_partial = first_partial or done
        if any(event.type == "final" for event in events):
            first_final = first_final or done
    began = time.perf_counter()
    stream.finish()
    taken = time.perf_counter() - began
    return Heard(
        chunks=chunks,
        totals=(whole + taken, ear.acoustic.seconds - before[0], ear.decoder.seconds - before[1]),
        first_partial=first_partial,
        first_final=first_final,
        final_on_stop=done + taken - len(samples) / rate,
    )


def speech_limits(samples: Floats, sample_rate: int) -> tuple[int, int]:
    """First and last sample of speech: 20 ms frames within 30 dB of the loudest.

    Args:
        samples: float32 [n], at least one frame.
        sample_rate: Hertz.

    Returns:
        Indices of the first sample of the first such frame, and behind the last one.
    """
    size = sample_rate // 50
    frames = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    power = np.square(frames).mean(axis=1)
    loud = np.flatnonzero(power >= power.max() * 10.0 ** (-SPEECH_DB / 10.0))
    return int(loud[0]) * size, (int(loud[-1]) + 1) * size


def first_partial_after_speech(heard: Heard, samples: Floats, sample_rate: int) -> float | None:
    """Seconds from the beginning of speech until the first partial; None if none came."""
    if heard.first_partial is None:
        return None
    return heard.first_partial - speech_limits(samples, sample_rate)[0] / sample_rate


def final_after_silence(ear: Ear, samples: Floats) -> float | None:
    """Seconds from the end of speech until the final, with nothing but silence after it; None if none came."""
    rate = ear.recognizer.sample_rate
    end = speech_limits(samples, rate)[1]
    heard = listen(ear, np.concatenate([samples[:end], np.zeros(round(SILENCE_SECONDS * rate), np.float32)]))
    if heard.first_final is None or heard.first_final < end / rate:
        return None  # a pause within the recording ended a segment
    return heard.first_final - end / rate
