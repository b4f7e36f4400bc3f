"""From end to end: recorded speech is played into a microphone, and `edgespeech live` runs on it as a process."""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.runtime import audio
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.recognizer import Recognizer
from tests.runtime.live.virtual_microphone import VirtualMicrophones

RATES = (16000, 44100, 48000)
MAX_WER = 0.03
MAX_DIFFERENCE = 1e-9  # of power
PATIENCE = 60.0  # seconds


@pytest.fixture(scope="module")
def microphones() -> Iterator[VirtualMicrophones]:
    made = VirtualMicrophones(RATES)
    yield made
    made.close()


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    """Two clips that ship, with pauses around them, at 16 kHz."""
    pause = np.zeros(24000, np.float32)
    clips = [audio.read(utterance.path) for utterance in read_manifest(SAMPLE_CLIPS)][:2]
    return np.concatenate([pause, *(sound for clip in clips for sound in (clip, pause))])


class Live:
    """A process of `edgespeech live`, for a ``with``; nobody waits for it longer than `PATIENCE`."""

    def __init__(self, microphones: VirtualMicrophones, *options: str) -> None:
        """Start it."""
        command = [sys.executable, "-m", "edgespeech.demo.cli", "live", "--json", *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=microphones.environment
        )
        self.events: list[dict[str, Any]] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Live:
        """Wait until it listens."""
        self.until(lambda event: event["text"].startswith("listening"))
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing running, whatever failed."""
        with self.process:
            self.process.kill()
            self._reader.join(timeout=PATIENCE)

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read events up to one that is wanted."""
        end = time.monotonic() + PATIENCE
        while line := self._next_line(end):
            self.events.append(json.loads(line))
            if wanted(self.events[-1]):
                return self.events[-1]
        assert self.process.stderr is not None
        self.process.kill()
        raise AssertionError(f"what was wanted did not come: {self.process.stderr.read()} {self.events[-5:]}")

    def end(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(timeout=PATIENCE) == 0
        self._reader.join(timeout=PATIENCE)
        while line := self._next_line(time.monotonic()):
            self.events.append(json.loads(line))
        assert self.process.stderr is not None
        assert self.process.stderr.read() == ""

    @property
    def text(self) -> str:
        """All finals."""
        return " ".join(event["text"] for event in self.events if event["type"] == "final")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _next_line(self, end: float) -> str:
        """The next line, or nothing if there is none by then."""
        with contextlib.suppress(queue.Empty):
            return self._lines.get(timeout=max(0.01, end - time.monotonic()))
        return ""


def place(played: NDArray[np.float32], rate: int, heard: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """What was played, at 16 kHz, where it lies in what was of audio, and the share of power that differs.

    Words that a model is unsure of depend on the silence before them, on a third of a sample and on the rounding of
    a recording to 16 bits: all that has to be the same.
    """
    speech = at_16_khz(played, rate)
    size = 1 << (len(speech) + len(heard)).bit_length()
    likeness = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(speech, size)), size)
    near = int(likeness.argmax())
    near = round((near - size if near > len(heard) else near) * rate / 16000)
    found = []
    for start in range(near - rate // 16000, near + rate // 16000 + 1):
        begun = np.concatenate([np.zeros(max(0, start), np.float32), played[max(0, -start) :]])
        sound = at_16_khz(begun, rate)[: len(heard)]
        placed = np.round(np.pad(sound, (0, len(heard) - len(sound))) * 32768.0).astype(np.float32) / 32768.0
        found.append((float(np.sum((heard - placed) ** 2) / np.sum(placed**2)), start, placed))
    difference, _, placed = min(found, key=lambda one: one[:2])
    return placed, difference


def at_16_khz(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    return samples if rate == 16000 else np.asarray(soxr.resample(samples, rate, 16000), np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("rate", RATES)
def test_what_is_played_is_transcribed_like_the_file(
    microphones: VirtualMicrophones, speech: NDArray[np.float32], rate: int, tmp_path: Path
) -> None:
    played = speech if rate == 16000 else soxr.resample(speech, 16000, rate)
    soundfile.write(tmp_path / "played.wav", played, rate, subtype="PCM_16")
    options = ("--device", microphones.names[rate], "--rate", str(rate), "--record", str(tmp_path / "heard.wav"))
    with Live(microphones, *options) as running:
        assert f"at {rate} Hz" in running.events[0]["text"]
        assert microphones.play(tmp_path / "played.wav", rate).wait(timeout=PATIENCE) == 0
        time.sleep(1.0)  # what is played last is of audio last
        running.end()

    heard = audio.read(tmp_path / "heard.wav")
    placed, difference = place(audio.read(tmp_path / "played.wav", rate), rate, heard)
    assert difference < MAX_DIFFERENCE, "sound was lost or changed on the way"
    recognizer = Recognizer()
    of_heard, of_played = (recognizer.transcribe((samples, 16000)).text for samples in (heard, placed))
    assert len(of_heard.split()) > 15
    assert jiwer.wer(of_heard, running.text) <= MAX_WER
    assert jiwer.wer(of_played, running.text) <= MAX_WER
    replayed = subprocess.run(
        [sys.executable, "-m", "edgespeech.demo.cli", "live", "--replay", str(tmp_path / "heard.wav"), "--speed", "0"],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert replayed.stdout.split("\n")[:-1] == [e["text"] for e in running.events if e["type"] == "final"]


@pytest.mark.slow
def test_a_microphone_that_is_pulled_out_and_put_back(
    microphones: VirtualMicrophones, speech: NDArray[np.float32], tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "played.wav", speech, 16000)
    # Half a sentence may have too little evidence for the noise gate, and would be taken back instead of made final.
    with Live(microphones, "--device", "virtual_16000", "--rate", "16000", "--noise-gate", "0") as running:
        for unplugged in (True, False):
            playing = microphones.play(tmp_path / "played.wav", 16000)
            running.until(lambda event: event["type"] == "partial" and len(event["text"]) > 10)
            if unplugged:
                microphones.kill()
                running.until(lambda event: "unplugged" in event["text"])
            assert running.until(lambda event: event["type"] == "final")["text"]
            if unplugged:
                microphones.start()
                running.until(lambda event: "is back" in event["text"])
            else:
                running.end()
            playing.kill()
            playing.wait(timeout=PATIENCE)
    said = [event["text"] for event in running.events if event["type"] == "status"]
    assert [text.split(" ")[1] for text in said if "virtual_16000" in text] == ["to", "stopped:", "is"]
    assert "unplugged: 1" in said[-1]
