"""Measures quiet speech, offsets, hum and digital silence with the input conditioning and without it.

Run: python -m edgespeech.demo.experiments.input_level MANIFEST [EVERY]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgespeech.runtime import audio
from edgespeech.runtime.conditioning.conditioner import Conditioner, ConditioningState
from edgespeech.runtime.manifest import read_manifest
from edgespeech.runtime.measure.progress import track
from edgespeech.runtime.measure.tables import text_table
from edgespeech.runtime.measure.word_errors import normalise, word_error_rate
from edgespeech.runtime.recognizer import Recognizer

Samples = NDArray[np.float32]
Change = Callable[[Samples], Samples]

_BLOCK = 480  # samples, 30 ms
_BELOW_SPEECH = 25.0  # dB below the loud blocks; quieter ones after the last word are cut off


def quieter(decibels: float, bits16: bool = False, offset: float = 0.0, hum: float = 0.0, hertz: int = 50) -> Change:
    """Return a change of level, with an offset, a hum and rounding to 16 bits."""

    def change(samples: Samples) -> Samples:
        time = np.arange(len(samples)) / audio.SAMPLE_RATE
        changed = samples * 10.0 ** (-decibels / 20.0) + offset + hum * np.sin(2.0 * np.pi * hertz * time)
        rounded: Samples = (np.round(changed * 32768.0) / 32768.0 if bits16 else changed).astype(np.float32)
        return rounded

    return change


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
    "hum of 50 Hz, 0.01": quieter(0, hum=0.01),
    "hum of 60 Hz, 0.03": quieter(0, hum=0.03, hertz=60),
    "20 dB down, hum of 50 Hz, 0.003": quieter(20, hum=0.003),
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


def main(manifest: str, every: str = "1", *, recognizer: Recognizer | None = None) -> None:
    """Print a table with one row per condition, before and after."""
    known = read_manifest(Path(manifest))[:: int(every)]
    references, originals = [one.text for one in known], [audio.read(one.path) for one in known]
    recognizer, rows = recognizer or Recognizer(), []
    facts = recognizer.parts.audio
    plain = replace(recognizer.parts, conditioner=PassOn(facts.sample_rate, facts.frame_samples))
    unchanged = Recognizer(recognizer.bundle, recognizer.options, parts=plain)
    for name, change in track(CONDITIONS.items(), "conditions", total=len(CONDITIONS)):
        clips = [change(samples) for samples in originals]
        rows.append([name, *measure(unchanged, clips, references), *measure(recognizer, clips, references)])
    print(text_table(("input", "WER before", "last word", "WER after", "last word"), rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
