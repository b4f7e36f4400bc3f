"""Samples of a scale that cannot be right are refused, with the factor; louder than full scale is clipped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgespeech.errors import AudioError
from edgespeech.runtime.audio import ArrayInput, from_array, read
from tests.runtime.audio.stand_ins import babble, encode, refusal

RATE = 16000
SOUND = babble(RATE, 2)
INT16 = np.round(SOUND * 32767)

WRONG: dict[str, tuple[Any, str]] = {
    "int16 as float32": (INT16.astype(np.float32), "32768 times too large"),
    "int16 as float64": (INT16, "32768 times too large"),
    "quiet int16 as float32": (INT16 * 0.01, "32768 times too large"),
    "24 bits as float": (np.round(SOUND * 2**23), "8388608 times too large"),
    "int32 as float": (np.round(SOUND * 2.0**31), "2147483648 times too large"),
    "beyond any integer": (SOUND * 1e30, "repair the source"),
    "int16 in int32": (INT16.astype(np.int32), "65536 times too small"),
}
RIGHT: dict[str, Any] = {
    "float": SOUND,
    "a little too loud": SOUND * 4,
    "far too loud": SOUND * 40,
    "int16": INT16.astype(np.int16),
    "int32": np.round(SOUND * 2.0**31).astype(np.int32),
    "24 bits in int32": np.round(SOUND * 2**23).astype(np.int32) * 256,
    "quiet 24 bits in int32": np.round(SOUND * 100).astype(np.int32) * 256,
    "almost silent int32": np.round(SOUND * 2000).astype(np.int32),
    "silent int32": np.zeros((RATE, 1), np.int32),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("step", [160, 4000, 10**6])
def test_a_wrong_scale_is_refused_with_its_factor(name: str, step: int) -> None:
    samples, part = WRONG[name]
    assert part in refusal(lambda: from_array(samples, RATE))

    def stream() -> None:
        arrivals = ArrayInput(RATE)
        for begin in range(0, len(samples), step):
            arrivals.step(samples[begin : begin + step])

    assert part in refusal(stream)


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("step", [160, 4000, 10**6])
def test_other_scales_pass(name: str, step: int) -> None:
    samples = RIGHT[name]
    whole = from_array(samples, RATE)
    arrivals = ArrayInput(RATE)
    parts = [arrivals.step(samples[begin : begin + step])[:, 0] for begin in range(0, len(samples), step)]
    assert np.array_equal(np.concatenate(parts), whole)
    assert np.abs(whole).max() <= 1.0


@pytest.mark.parametrize(
    ("subtype", "scale", "part"),
    [
        ("FLOAT", 32768.0, "32768 times too large"),
        ("DOUBLE", 32768.0, "32768 times too large"),
        ("PCM_32", 2.0**-16, "65536 times too small"),
    ],
)
def test_files_are_judged_alike(tmp_path: Path, subtype: str, scale: float, part: str) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(encode("WAV", subtype, SOUND * scale, RATE))
    assert part in refusal(lambda: read(path))
    path.write_bytes(encode("WAV", subtype, SOUND, RATE))
    assert np.allclose(read(path), SOUND[:, 0], atol=1e-6)


def test_short_arrays_are_judged_too() -> None:
    short: Callable[[Any], object] = lambda samples: from_array(samples[: RATE // 10], RATE)  # noqa: E731
    with pytest.raises(AudioError, match="65536"):
        short(INT16.astype(np.int32))
