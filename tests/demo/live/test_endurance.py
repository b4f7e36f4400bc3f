"""Long sessions: an hour of speech in flat memory, and minutes of silence and noise with hardly any words."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.runtime import audio
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.recognizer import Recognizer

Samples = NDArray[np.float32]
Seconds = NDArray[np.float64]
RATE = 16000
MINUTES_OF_NOISE = 10
NOISE = Path(__file__).parents[4] / "shared" / "noise"


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer()


def words_per_minute(recognizer: Recognizer, sound: Samples) -> float:
    return len(recognizer.transcribe((sound, RATE)).words) / (len(sound) / RATE / 60.0)


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.0, 1e-4, 1e-2])
def test_ten_minutes_of_silence_and_hiss_have_hardly_any_words(recognizer: Recognizer, level: float) -> None:
    hiss = np.random.default_rng(0).standard_normal(MINUTES_OF_NOISE * 60 * RATE, dtype=np.float32)
    assert words_per_minute(recognizer, hiss * np.float32(level)) <= 1.0


def hum(seconds: Seconds) -> Seconds:
    """A mains hum with harmonics."""
    parts = [np.sin(2.0 * np.pi * 50.0 * k * seconds) / k for k in range(1, 8)]
    sound: Seconds = 0.05 * np.sum(parts, axis=0)
    return sound


def rumble(seconds: Seconds) -> Seconds:
    """Brown noise, swelling like traffic."""
    walk = np.cumsum(np.random.default_rng(1).standard_normal(len(seconds)))
    smooth = walk - np.convolve(walk, np.full(1601, 1.0 / 1601.0), mode="same")
    swell: Seconds = 0.1 * smooth / smooth.std() * (0.6 + 0.4 * np.sin(seconds * 0.4))
    return swell


def clicks(seconds: Seconds) -> Seconds:
    """Knocks at irregular times."""
    random = np.random.default_rng(2)
    sound = np.zeros(len(seconds))
    sound[random.integers(0, len(seconds), len(seconds) // 8000)] = 1.0
    return 0.5 * np.convolve(sound, np.exp(-np.arange(800) / 80.0) * random.standard_normal(800), mode="same")


@pytest.mark.slow
@pytest.mark.parametrize("make", [hum, rumble, clicks])
def test_made_noise_has_hardly_any_words(recognizer: Recognizer, make: Callable[[Seconds], Seconds]) -> None:
    sound = make(np.arange(2 * 60 * RATE) / RATE).clip(-1.0, 1.0).astype(np.float32)
    assert words_per_minute(recognizer, sound) <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["background", "esc10", "ambient"])
def test_ten_minutes_of_recorded_noise_have_hardly_any_words(recognizer: Recognizer, folder: str) -> None:
    files = sorted((NOISE / folder).glob("*.opus"))
    if not files:
        pytest.skip("the recorded noise is not beside this checkout (../shared/noise)")
    order = np.random.default_rng(0).permutation(len(files))
    sound = np.concatenate([audio.read(files[index]) for index in order])[: MINUTES_OF_NOISE * 60 * RATE]
    assert words_per_minute(recognizer, sound) <= 1.0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_an_hour_of_speech_takes_no_more_memory_than_five_minutes(tmp_path: Path) -> None:
    clips = [audio.read(utterance.path) for utterance in read_manifest(SAMPLE_CLIPS)]
    random, written = np.random.default_rng(0), 0
    with soundfile.SoundFile(tmp_path / "hour.wav", "w", RATE, 1) as file:
        while written < 3600 * RATE:
            pause = np.zeros(random.integers(0, 2 * RATE), np.float32)
            piece = np.concatenate([clips[random.integers(len(clips))] * random.uniform(0.3, 1.0), pause])
            file.write(piece)
            written += len(piece)
    command = [sys.executable, "-m", "edgespeech.demo.cli", "live", "--json", "--speed", "0"]
    early, late, end, words, before = 0, 0, "", 0, 0.0
    with subprocess.Popen(
        [*command, "--replay", str(tmp_path / "hour.wav")], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            event = json.loads(line)
            assert event["type"] == "status" or event["end"] >= before
            if event["type"] == "final":
                late, before, words = _resident_kilobytes(running.pid), event["start"], words + len(event["words"])
                early = early or (late if event["end"] > 300.0 else 0)
            end = event["text"]
    assert running.returncode == 0
    assert end.startswith("end: 36") and words > 3600
    assert before > 3590.0
    assert late <= 1.05 * early, f"{early} kB after five minutes, {late} kB at the end"
    print(f"\nresident memory: {early} kB after five minutes, {late} kB after an hour")


def _resident_kilobytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])
