"""Measures quiet speech, offsets, hum and digital silence with the input conditioning and without it.

Run: python -m edgespeech.demo.experiments.input_level MANIFEST [EVERY] [ROWS]

ROWS is a part of the names of the rows to measure; all are measured without it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgespeech.runtime import audio
from edgespeech.runtime.conditioning.conditioner import Conditioner, ConditioningState
from edgespeech.runtime.manifest import read_manifest
from edgespeech.runtime.measure.progress import track
from edgespeech.runtime.measure.tables import Table, output_text
from edgespeech.runtime.measure.word_errors import normalise, word_error_rate
from edgespeech.runtime.recognizer import Recognizer

Samples = NDArray[np.float32]
Change = Callable[[Samples], Samples]

_BLOCK = 480  # samples, 30 ms
_BELOW_SPEECH = 25.0  # dB below the loud blocks; quieter ones after the last word are cut off


def quieter(
    decibels: float, bits16: bool = False, offset: float = 0.0, tones: Sequence[tuple[float, float]] = ()
) -> Change:
    """Return a change of level, with an offset, sines (frequencies in Hz and amplitudes) and rounding to 16 bits."""

    def change(samples: Samples) -> Samples:
        time = np.arange(len(samples)) / audio.SAMPLE_RATE
        waves = [amplitude * np.sin(2.0 * np.pi * hertz * time) for hertz, amplitude in tones]
        changed = samples * 10.0 ** (-decibels / 20.0) + offset + np.sum(waves, axis=0)
        rounded: Samples = (np.round(changed * 32768.0) / 32768.0 if bits16 else changed).astype(np.float32)
        return rounded

    return change


def with_rumble(samples: Samples) -> Samples:
    """Add noise below 60 Hz, as of a fan, with a root mean square of 0.02."""
    spectrum = np.fft.rfft(np.random.default_rng(3).standard_normal(len(samples)))
    frequencies = np.fft.rfftfreq(len(samples), 1.0 / audio.SAMPLE_RATE)
    noise = np.fft.irfft(spectrum / (1.0 + (frequencies / 60.0) ** 4), len(samples))
    return np.asarray(samples + 0.02 * noise / noise.std(), np.float32)


def cut_after_speech(samples: Samples) -> Samples:
    """Return the recording up to its last loud block, with half a second of zeros behind it."""
    power = np.square(samples[: len(samples) // _BLOCK * _BLOCK].reshape(-1, _BLOCK)).mean(axis=1)
    loud = np.nonzero(power > np.percentile(power, 95) * 10.0 ** (-_BELOW_SPEECH / 10.0))[0]
    return np.pad(samples[: (int(loud[-1]) + 1) * _BLOCK], (0, audio.SAMPLE_RATE // 2))


CONDITIONS: dict[str, Change] = {
    "as it is": lambda samples: samples,
    "20 dB down": quieter(20),
    "30 dB down": quieter(30),
    "40 dB down": quieter(40),
    "50 dB down": quieter(50),
    "30 dB down, 16 bits": quieter(30, bits16=True),
    "20 dB down, offset 0.01": quieter(20, offset=0.01),
    "20 dB down, offset 0.03": quieter(20, offset=0.03),
    "offset 0.03": quieter(0, offset=0.03),
    "hum of 50 Hz, 0.01": quieter(0, tones=[(50, 0.01)]),
    "hum of 60 Hz, 0.03": quieter(0, tones=[(60, 0.03)]),
    "20 dB down, hum of 50 Hz, 0.003": quieter(20, tones=[(50, 0.003)]),
    "hum of 60, 120, 180 Hz, 0.01": quieter(0, tones=[(60, 0.01), (120, 0.005), (180, 0.0025)]),
    "tone of 100 Hz, 0.01": quieter(0, tones=[(100, 0.01)]),
    "tone of 16.7 Hz, 0.03": quieter(0, tones=[(16.7, 0.03)]),
    "rumble of a fan, 0.02": with_rumble,
    "cut after the last word, 0.5 s of zeros": cut_after_speech,
}


class PassOn(Conditioner):
    """Gives the model the samples as they arrive, and zeros after the last one."""

    def step(self, samples: Samples, state: ConditioningState, last: bool = False) -> tuple[Samples, ConditioningState]:
        """Return the samples and the state as they are."""
        return samples, state

    def fill_silence(self, chunk: Samples, position: int) -> Samples:
        """Return the chunk as it is."""
        return chunk

    def silence(self, position: int, count: int) -> Samples:
        """Return this number of zeros as silence."""
        return np.zeros(count, np.float32)


def measure(recognizer: Recognizer, clips: list[Samples], references: list[str]) -> list[str]:
    """Return cells of the table: word error rate and last words that are right."""
    texts = [recognizer.transcribe((clip, audio.SAMPLE_RATE)).text for clip in clips]
    right = sum(
        normalise(text).split()[-1:] == normalise(reference).split()[-1:]
        for text, reference in zip(texts, references, strict=True)
    )
    return [f"{word_error_rate(references, texts):.1%}", f"{right} of {len(texts)}"]


def main(manifest: str, every: str = "1", rows_with: str = "", *, recognizer: Recognizer | None = None) -> None:
    """Print a table with one row per condition, before and after."""
    known = read_manifest(Path(manifest))[:: int(every)]
    references, originals = [one.text for one in known], [audio.read(one.path) for one in known]
    recognizer, rows = recognizer or Recognizer(), []
    facts = recognizer.parts.audio
    plain = replace(recognizer.parts, conditioner=PassOn(facts.sample_rate, facts.frame_samples))
    unchanged = Recognizer(recognizer.bundle, recognizer.options, parts=plain)
    chosen = {name: change for name, change in CONDITIONS.items() if rows_with in name}
    for name, change in track(chosen.items(), "conditions", total=len(chosen)):
        clips = [change(samples) for samples in originals]
        rows.append([name, *measure(unchanged, clips, references), *measure(recognizer, clips, references)])
    print(output_text([Table(("input", "WER before", "last word", "WER after", "last word"), rows)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
