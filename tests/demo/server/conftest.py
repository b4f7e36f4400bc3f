"""A server that all tests use at the same time, and clips with the words that `Recognizer.transcribe` finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from edgespeech import Recognizer
from edgespeech.runtime import audio
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from tests.demo.server.clients import RATE, RunningServer, running


@dataclass(frozen=True)
class Clip:
    """Audio as 16-bit samples at 16 kHz, and the text that a recognizer alone finds in it."""

    audio: bytes
    text: str


@pytest.fixture(scope="session")
def recognizer() -> Recognizer:
    """The recognizer whose words are the right ones, with the settings of the server."""
    return Recognizer(beam_width=64)


@pytest.fixture(scope="session")
def clips(recognizer: Recognizer) -> list[Clip]:
    """The sample clips; the first has a pause within."""
    found = []
    for entry in read_manifest(SAMPLE_CLIPS):
        samples = (audio.read(entry.path, RATE) * 32767).astype(np.int16)
        found.append(Clip(samples.astype("<i2").tobytes(), recognizer.transcribe((samples, RATE)).text))
    return found


@pytest.fixture(scope="session")
def server() -> Iterator[RunningServer]:
    """A server with the default bundle and no token."""
    with running() as started:
        yield started
