"""Measures word errors, delay and computing time of the resampler's qualities, from 8, 44.1 and 48 kHz to 16 kHz.

Run: python -m edgespeech.demo.experiments.resampling MANIFEST [UTTERANCES [QUALITY...]]

Sources are the clips converted with the best quality. "hiss" adds noise above 8 kHz, 20 dB below the speech, which a
recording at 16 kHz does not have and a short filter does not remove.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgespeech.runtime.audio import SAMPLE_RATE, Resampler, resampling_delay
from edgespeech.runtime.measure.progress import track
from edgespeech.runtime.measure.references import read_references, read_speech
from edgespeech.runtime.measure.tables import Table, output_text
from edgespeech.runtime.measure.word_errors import word_error_rate
from edgespeech.runtime.recognizer import Recognizer

Floats = NDArray[np.float32]
QUALITIES = ("VHQ", "HQ", "MQ", "LQ", "QQ")
HISS_RATIO = 0.1  # amplitude below that of the speech
HISS_HERTZ = 9000.0


def convert(samples: Floats, from_rate: int, to_rate: int, quality: str = "VHQ") -> Floats:
    """Convert a whole recording at once."""
    return Resampler(from_rate, to_rate, quality).step(samples, last=True)


def add_hiss(samples: Floats, rate: int) -> Floats:
    """Add noise above 9 kHz, the same for every recording of this length."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(len(samples)))
    spectrum[np.fft.rfftfreq(len(samples), 1.0 / rate) < HISS_HERTZ] = 0.0
    hiss = np.fft.irfft(spectrum, len(samples))
    gain = HISS_RATIO * np.sqrt(np.mean(np.square(samples)) / np.mean(np.square(hiss)))
    return np.asarray(np.clip(samples + gain * hiss, -1.0, 1.0), np.float32)


def unchanged(samples: Floats, rate: int) -> Floats:
    """Return the samples as they are."""
    return samples


SOURCES: dict[str, tuple[int, Callable[[Floats, int], Floats]]] = {
    "8 kHz": (8000, unchanged),
    "44.1 kHz": (44100, unchanged),
    "48 kHz": (48000, unchanged),
    "48 kHz, hiss": (48000, add_hiss),
}


def main(manifest: str, utterances: str = "40", *qualities: str, recognizer: Recognizer | None = None) -> None:
    """Print a row for each source and quality; the first row is the recordings as they are."""
    recognizer = recognizer or Recognizer()
    references = read_references(Path(manifest), int(utterances))
    recordings = [samples for _, _, samples in read_speech(references, SAMPLE_RATE, "reading")]

    def error_rate(converted: list[Floats]) -> str:
        texts = [references.normalise(recognizer.transcribe((samples, SAMPLE_RATE)).text) for samples in converted]
        return f"{word_error_rate(references.texts, texts):.2%}"

    rows = [["16 kHz", "", error_rate(recordings), "0", "0"]]
    seconds = sum(map(len, recordings)) / SAMPLE_RATE
    for name, (rate, change) in track(list(SOURCES.items()), "resampling"):
        sources = [change(convert(samples, SAMPLE_RATE, rate), rate) for samples in recordings]
        for quality in qualities or QUALITIES:
            began = time.process_time()
            converted = [convert(samples, rate, SAMPLE_RATE, quality) for samples in sources]
            spent = time.process_time() - began
            delay = f"{1000.0 * resampling_delay(rate, SAMPLE_RATE, quality):.0f}"
            rows.append([name, quality, error_rate(converted), delay, f"{1000.0 * spent / seconds:.2f}"])
    print(output_text([Table(("source", "quality", "WER", "delay ms", "CPU ms per s"), rows, left=2)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
