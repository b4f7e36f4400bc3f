"""The high-pass filter: frequency response, and blocks that equal the recursion sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.runtime.conditioning.high_pass import HighPass

RATE, BLOCK = 16000, 480


def _filtered(samples: NDArray[np.float64], order: int = 4) -> NDArray[np.float32]:
    high_pass, pieces = HighPass(RATE, 80.0, BLOCK, order), []
    state = high_pass.settled(0.0)
    for block in samples.astype(np.float32).reshape(-1, BLOCK):
        piece, state = high_pass.step(block, state)
        pieces.append(piece)
    return np.concatenate(pieces)


@pytest.mark.parametrize("order", [2, 4, 6, 8])
@pytest.mark.parametrize("hertz", [40, 50, 60, 80, 160, 1000])
def test_the_response_is_that_of_a_butterworth_filter(hertz: int, order: int) -> None:
    tone = np.sin(2.0 * np.pi * hertz * np.arange(RATE * 3) / RATE)
    power = np.square(_filtered(tone, order)[RATE:], dtype=np.float64).mean() / 0.5
    wanted = -10.0 * np.log10(1.0 + (80.0 / hertz) ** (2 * order))
    assert 10.0 * np.log10(power) == pytest.approx(wanted, abs=0.2)


def test_an_impulse_fades_within_a_tenth_of_a_second_without_a_seam_between_blocks() -> None:
    for position in (0, 31, 32, 479, 480, 481):
        impulse = np.zeros(4 * BLOCK)
        impulse[position] = 1.0
        response = _filtered(impulse)
        assert not response[:position].any()
        np.testing.assert_allclose(
            response[position : position + BLOCK], _filtered(np.eye(1, 4 * BLOCK)[0])[:BLOCK], atol=1e-7
        )
        assert abs(response[position + 1280 :]).max(initial=0.0) < 1e-4


def test_a_constant_has_no_output_from_the_settled_state() -> None:
    high_pass = HighPass(RATE, 80.0, BLOCK, 8)
    output, _ = high_pass.step(np.full(BLOCK, 0.3, np.float32), high_pass.settled(float(np.float32(0.3))))
    assert abs(output).max() < 1e-7
