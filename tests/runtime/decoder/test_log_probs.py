"""Best-path decoding of log-probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from edgespeech.errors import DecodingError
from edgespeech.runtime.decoder.log_probs import greedy


@pytest.mark.parametrize(
    ("best", "text"),
    [([], ""), ([0, 0], ""), ([1, 1, 2], "ath"), ([1, 0, 1, 1], "aa"), ([0, 2, 2, 0, 2, 1, 0], "ththa")],
)
def test_greedy_merges_repeats_and_drops_blanks(best: list[int], text: str) -> None:
    log_probs = np.log(np.full((len(best), 3), 0.1) + 0.7 * np.eye(3)[best] if best else np.zeros((0, 3)))
    assert greedy(log_probs, ("", "a", "th")) == text


def test_greedy_with_the_blank_last() -> None:
    assert greedy(np.log([[0.8, 0.2], [0.1, 0.9], [0.8, 0.2]]), ("a", "_"), blank=1) == "aa"


def test_greedy_refuses_logits() -> None:
    with pytest.raises(DecodingError, match="log-softmax"):
        greedy([[3.0, -1.0]], ("", "a"))
