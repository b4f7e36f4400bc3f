"""The minimum acoustic evidence of a segment, which separates speech from noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.decoder.hypothesis import Hypothesis, Word
from edgespeech.runtime.min_evidence import MinEvidence
from edgespeech.runtime.recognizer import Recognizer

Samples = NDArray[np.float32]


def _hypothesis(words: str, acoustic_score: float, seconds: float = 0.4, confidence: float = 1.0) -> Hypothesis:
    """Words of this length in a row, one label for each letter and each space."""
    texts = words.split()
    found = tuple(Word(text, at * seconds, (at + 1) * seconds, confidence) for at, text in enumerate(texts))
    return Hypothesis(words, found, 99.0, acoustic_score, 99.0, tuple(range(len(words))), ())


@pytest.mark.parametrize(
    ("words", "evidence", "passes"),
    [
        ("yes", 8.3, True),  # 3 labels with 2.75 nats each
        ("yes", 8.2, False),
        ("yes or no", 8.3, False),  # the same evidence for nine labels
        ("yes or no", 24.8, True),
        ("i", 90.0, False),
        ("i i i", 90.0, False),
        ("i do", 90.0, True),
        ("", 0.0, False),
    ],
)
def test_a_segment_needs_evidence_for_every_label(words: str, evidence: float, passes: bool) -> None:
    hypothesis = _hypothesis(words, -2.0)
    assert MinEvidence(12.0).passes(hypothesis, -2.0 - evidence) is passes
    assert MinEvidence(0.0).passes(hypothesis, -2.0 - evidence) is True


def test_labels_that_are_far_apart_need_more_evidence() -> None:
    near, far = _hypothesis("yes or no", -2.0, seconds=0.4), _hypothesis("yes or no", -2.0, seconds=1.0)
    assert MinEvidence(12.0).passes(near, -32.0) and not MinEvidence(12.0).passes(far, -32.0)
    assert MinEvidence(12.0).passes(far, -52.0)


def test_words_need_the_mean_confidence_of_the_bundle() -> None:
    doubtful = _hypothesis("yes please", -2.0, confidence=0.1)
    assert MinEvidence(12.0, 0.05).passes(doubtful, -90.0) and not MinEvidence(12.0, 0.2).passes(doubtful, -90.0)


def test_an_accepted_phrase_needs_evidence_for_each_second_only() -> None:
    phrase = replace(_hypothesis("stop", -60.0, confidence=0.01), phrase_evidence=21.0)  # 0.4 s
    assert not MinEvidence(12.0, 0.05).passes(replace(phrase, phrase_evidence=None), -60.0)
    assert MinEvidence(12.0, 0.05).passes(phrase, -60.0) and not MinEvidence(13.0, 0.05).passes(phrase, -60.0)
    assert MinEvidence(0.0).passes(replace(phrase, phrase_evidence=1.0), -60.0)


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


def test_characters_that_are_words_count_together() -> None:
    def said(text: str) -> Hypothesis:
        words = tuple(Word(one, 0.3 * at, 0.3 * at + 0.04, 1.0, joined=at > 0) for at, one in enumerate(text))
        return Hypothesis(text, words, 0.0, 90.0, 0.0, tuple(range(len(text))), ())

    rule = MinEvidence(12.0)
    assert rule.passes(said("打开灯"), 0.0) and not rule.passes(said("打"), 0.0)
