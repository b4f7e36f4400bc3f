"""The minimum acoustic evidence of a segment, which separates speech from noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.decoder.hypothesis import Hypothesis, Word
from edgespeech.runtime.min_evidence import MinEvidence
from edgespeech.runtime.recognizer import Recognizer

Samples = NDArray[np.float32]


def _hypothesis(words: str, acoustic_score: float) -> Hypothesis:
    found = tuple(Word(word, 0.0, 1.0, 1.0) for word in words.split())
    return Hypothesis(words, found, 99.0, acoustic_score, 99.0, (), ())


@pytest.mark.parametrize(
    ("words", "acoustic_score", "blank_score", "passes"),
    [
        ("yes", -2.0, -12.1, True),
        ("yes", -2.0, -9.9, False),  # 7.9 nats
        ("yes or no", -2.0, -12.1, False),  # the same for three words
        ("yes or no", -2.0, -26.1, True),
        ("i", -2.0, -90.0, False),
        ("i i i", -2.0, -90.0, False),
        ("i do", -2.0, -90.0, True),
        ("", -1.0, -1.0, False),
    ],
)
def test_a_segment_needs_evidence_for_every_word(
    words: str, acoustic_score: float, blank_score: float, passes: bool
) -> None:
    hypothesis = _hypothesis(words, acoustic_score)
    assert MinEvidence(8.0).passes(hypothesis, blank_score) is passes
    assert MinEvidence(0.0).passes(hypothesis, blank_score) is True


@pytest.mark.parametrize("nats", [-1.0, float("nan"), float("inf")])
def test_an_invalid_minimum_is_refused(tiny_bundle: Bundle, nats: float) -> None:
    with pytest.raises(UsageError, match="wanted 0"):
        Recognizer(tiny_bundle, min_evidence=nats)


def test_a_segment_without_evidence_is_retracted(tiny_bundle: Bundle, noise: Callable[[int], Samples]) -> None:
    sound = np.clip(4.0 * noise(64000), -1.0, 1.0)
    stream = Recognizer(tiny_bundle, min_evidence=1e6, endpoint_seconds=None, empty_seconds=None).stream()
    events = stream.accept(sound) + stream.finish()
    assert len(events) > 2 and {event.type for event in events} == {"partial"}
    assert events[-1].text == ""
