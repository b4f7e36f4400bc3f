"""Quiet speech, digital silence and dead microphones: the words stay, and the user learns what is wrong."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.live.sound_watch import MUTED_SECONDS, SoundWatch
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest, read_samples
from edgespeech.runtime.measure.word_errors import normalise, word_error_rate
from edgespeech.runtime.recognizer import Recognizer

Samples = NDArray[np.float32]
RATE = 16000


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    """The default bundle, which the sample clips suit."""
    return Recognizer(load_bundle())


@pytest.fixture(scope="module")
def clips() -> list[tuple[str, Samples]]:
    """Texts and samples of the clips inside the package."""
    return [(normalise(one.text), read_samples(one, RATE)) for one in read_manifest(SAMPLE_CLIPS)]


def _rate(recognizer: Recognizer, clips: list[tuple[str, Samples]]) -> float:
    texts = [recognizer.transcribe((samples, RATE)).text for _, samples in clips]
    return word_error_rate([text for text, _ in clips], texts)


@pytest.mark.parametrize(("decibels", "bits16"), [(20, False), (30, True), (40, False)])
def test_quiet_speech_keeps_its_words(
    recognizer: Recognizer, clips: list[tuple[str, Samples]], decibels: float, bits16: bool
) -> None:
    quiet = [(text, samples * np.float32(10.0 ** (-decibels / 20.0))) for text, samples in clips]
    if bits16:
        quiet = [(text, (np.round(samples * 32768.0) / 32768.0).astype(np.float32)) for text, samples in quiet]
    assert _rate(recognizer, quiet) < _rate(recognizer, clips) + 0.06  # three of 73 words


@pytest.mark.parametrize(("offset", "hertz", "amplitude"), [(0.01, 50, 0.0), (-0.03, 50, 0.0), (0.0, 50, 0.003)])
def test_offset_and_hum_under_quiet_speech_cost_few_words(
    recognizer: Recognizer, clips: list[tuple[str, Samples]], offset: float, hertz: float, amplitude: float
) -> None:
    disturbed = []
    for text, samples in clips:
        hum = amplitude * np.sin(2.0 * np.pi * hertz * np.arange(len(samples)) / RATE)
        disturbed.append((text, (0.1 * samples + offset + hum).astype(np.float32)))
    assert _rate(recognizer, disturbed) < _rate(recognizer, clips) + 0.06


def test_speech_that_is_too_quiet_is_reported(
    recognizer: Recognizer, clips: list[tuple[str, Samples]], caplog: pytest.LogCaptureFixture
) -> None:
    samples = clips[0][1]
    with caplog.at_level(logging.WARNING, "edgespeech"):
        recognizer.transcribe((samples, RATE))
        assert caplog.messages == []
        recognizer.transcribe((samples * np.float32(10.0 ** (-55.0 / 20.0)), RATE))
    assert len(caplog.messages) == 1 and "the speech is very quiet (-" in caplog.messages[0]


@pytest.mark.parametrize("offset", [0.0, 0.02, -0.3])
def test_a_dead_microphone_with_an_offset_is_muted(offset: float) -> None:
    watch = SoundWatch(RATE)
    block = np.full(RATE, offset, np.float32)
    messages = [message for _ in range(int(MUTED_SECONDS) + 1) for message in watch.step(block)]
    assert messages == ["no sound from the microphone: is it muted?"]
