"""Speech of any length: parts of ten minutes, made of the sample clips and pauses, which repeat after two hours."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest, read_samples

RATE = 16000
PART_SECONDS = 600
PART_SAMPLES = PART_SECONDS * RATE
PARTS = 12  # different ones
_NOISE = 3e-4  # everywhere, as a part of full scale
_BLOCK = 480  # samples: 30 ms

Samples = NDArray[np.float32]


@lru_cache(maxsize=1)
def _clips() -> list[Samples]:
    return [read_samples(utterance, RATE) for utterance in read_manifest(SAMPLE_CLIPS)]


@lru_cache(maxsize=2)
def part(number: int) -> Samples:
    """Return ten minutes of speech, float32 [n]; ``number`` counts on without an end.

    Pauses are between 0.1 and 25 seconds long, so segments end by every rule: after a pause, without words, and by
    their length, because some clips follow each other without a pause for a minute. Nothing is digital silence: the
    recognizer replaces it by noise that depends on the position in the stream, which faults shift.
    """
    random = np.random.default_rng(number % PARTS)
    pieces: list[Samples] = []
    length, hurry_until = 0, 0
    while length < PART_SAMPLES:
        clip = _clips()[random.integers(len(_clips()))]
        if random.random() < 0.2:
            begin = int(random.integers(len(clip) // 2))
            clip = clip[begin : begin + int(random.integers(RATE // 2, len(clip)))]
        if random.random() < 0.05:
            hurry_until = length + 60 * RATE
        seconds = 0.1 if length < hurry_until else 0.1 * 250.0 ** random.random()
        pieces += [clip * np.float32(10.0 ** (-0.5 * random.random())), np.zeros(int(seconds * RATE), np.float32)]
        length += len(pieces[-2]) + len(pieces[-1])
    samples = np.concatenate(pieces)[:PART_SAMPLES] + _NOISE * random.standard_normal(PART_SAMPLES)
    return (np.round(samples * 32767.0).clip(-32768, 32767) / 32768).astype(np.float32)


def block(begin: int, samples: int = _BLOCK) -> Samples:
    """Return samples of the endless programme from the sample ``begin`` on."""
    number, offset = divmod(begin, PART_SAMPLES)
    piece = part(number)[offset : offset + samples]
    missing = samples - len(piece)
    return np.concatenate([piece, part(number + 1)[:missing]]) if missing else piece


def blocks(begin: int, end: int) -> Iterator[Samples]:
    """Yield the samples between two positions in blocks of 30 ms."""
    for start in range(begin, end, _BLOCK):
        yield block(start, min(_BLOCK, end - start))
