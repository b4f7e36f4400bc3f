"""A recording of several segments, which the default bundle transcribes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.runtime.audio import read
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.recognizer import Recognizer

RATE = 16000
CLIPS = [read_manifest(SAMPLE_CLIPS)[index] for index in (3, 4, 5)]


@pytest.fixture(scope="session")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a recording of three sentences with pauses of 2 s: talk.wav, 16 s."""
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    soundfile.write(path, np.concatenate([np.pad(read(clip.path, RATE), (0, 2 * RATE)) for clip in CLIPS]), RATE)
    return Path(path)


@pytest.fixture(scope="session")
def long_talk(talk: Path) -> Path:
    """Repeat it to ten minutes."""
    samples, _ = soundfile.read(talk, dtype="int16")
    path = talk.with_name("long.wav")
    soundfile.write(path, np.resize(samples, 600 * RATE), RATE)
    return path


@pytest.fixture(scope="session")
def recognizer() -> Recognizer:
    return Recognizer(beam_width=16)


@pytest.fixture(scope="session")
def lines(recognizer: Recognizer, talk: Path) -> list[str]:
    """The text of its three segments."""
    found = [segment.text for segment in recognizer.transcribe(talk).segments]
    assert len(found) == 3
    return found
