"""End to end: speech is played into a virtual microphone, and `edgespeech live` transcribes it as a process."""

from __future__ import annotations

import contextlib
import json
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.runtime import audio
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.measure.word_errors import word_error_rate
from edgespeech.runtime.recognizer import Recognizer
from tests.runtime.live.virtual_microphone import VirtualMicrophones

RATES = (16000, 44100, 48000)
MAX_WER = 0.03
MAX_DIFFERENCE = 1e-9  # of power
TIMEOUT = 60.0  # seconds


@pytest.fixture(scope="module")
def microphones() -> Iterator[VirtualMicrophones]:
    made = VirtualMicrophones(RATES)
    yield made
    made.close()


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    """Two sample clips with pauses around them, at 16 kHz."""
    pause = np.zeros(24000, np.float32)
    clips = [audio.read(utterance.path) for utterance in read_manifest(SAMPLE_CLIPS)][:2]
    return np.concatenate([pause, *(sound for clip in clips for sound in (clip, pause))])


class Live:
    """A process of `edgespeech live` as a context manager; every wait ends after `TIMEOUT`."""

    def __init__(self, microphones: VirtualMicrophones, *options: str) -> None:
        command = [sys.executable, "-m", "edgespeech.demo.cli", "live", "--json", *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=microphones.environment
        )
        self.events: list[dict[str, Any]] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Live:
        self.until(lambda event: event["text"].startswith(("listening", "mixing")))
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:
            self.process.kill()
            self._reader.join(timeout=TIMEOUT)

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read events up to the first that is wanted, and return it."""
        end = time.monotonic() + TIMEOUT
        while line := self._next_line(end):
            self.events.append(json.loads(line))
            if wanted(self.events[-1]):
                return self.events[-1]
        assert self.process.stderr is not None
        self.process.kill()
        raise AssertionError(f"the wanted event did not come: {self.process.stderr.read()} {self.events[-5:]}")

    def end(self) -> None:
        """Interrupt the process as Ctrl-C does, and read the rest of its events."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(timeout=TIMEOUT) == 0
        self._reader.join(timeout=TIMEOUT)
        while line := self._next_line(time.monotonic()):
            self.events.append(json.loads(line))
        assert self.process.stderr is not None
        assert self.process.stderr.read() == ""

    @property
    def text(self) -> str:
        """Text of all finals so far."""
        return " ".join(event["text"] for event in self.events if event["type"] == "final")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _next_line(self, end: float) -> str:
        """Return the next line, or nothing if there is none before the end."""
        with contextlib.suppress(queue.Empty):
            return self._lines.get(timeout=max(0.01, end - time.monotonic()))
        return ""


def align(played: NDArray[np.float32], rate: int, recorded: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Return the played audio at 16 kHz, aligned with the recording, and the fraction of its power that differs.

    Uncertain words depend on the silence before them, on a shift of a third of a sample and on the rounding of a
    recording to 16 bits, so all of these must be equal.
    """
    speech = at_16_khz(played, rate)
    size = 1 << (len(speech) + len(recorded)).bit_length()
    correlation = np.fft.irfft(np.fft.rfft(recorded, size) * np.conj(np.fft.rfft(speech, size)), size)
    near = int(correlation.argmax())
    near = round((near - size if near > len(recorded) else near) * rate / 16000)
    found = []
    for start in range(near - rate // 16000, near + rate // 16000 + 1):
        begun = np.concatenate([np.zeros(max(0, start), np.float32), played[max(0, -start) :]])
        sound = at_16_khz(begun, rate)[: len(recorded)]
        aligned = np.round(np.pad(sound, (0, len(recorded) - len(sound))) * 32768.0).astype(np.float32) / 32768.0
        found.append((float(np.sum((recorded - aligned) ** 2) / np.sum(aligned**2)), start, aligned))
    difference, _, aligned = min(found, key=lambda one: one[:2])
    return aligned, difference


def at_16_khz(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    return samples if rate == 16000 else np.asarray(soxr.resample(samples, rate, 16000), np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("rate", RATES)
def test_played_audio_is_transcribed_like_the_file(
    microphones: VirtualMicrophones, speech: NDArray[np.float32], rate: int, tmp_path: Path
) -> None:
    played = speech if rate == 16000 else soxr.resample(speech, 16000, rate)
    soundfile.write(tmp_path / "played.wav", played, rate, subtype="PCM_16")
    options = ("--device", microphones.names[rate], "--rate", str(rate), "--record", str(tmp_path / "recorded.wav"))
    with Live(microphones, *options) as running:
        assert f"at {rate} Hz" in running.events[0]["text"]
        assert microphones.play(tmp_path / "played.wav", rate).wait(timeout=TIMEOUT) == 0
        time.sleep(1.0)  # until the last samples have arrived
        running.end()

    recorded = audio.read(tmp_path / "recorded.wav")
    aligned, difference = align(audio.read(tmp_path / "played.wav", rate), rate, recorded)
    assert difference < MAX_DIFFERENCE, "audio was lost or changed on the way"
    recognizer = Recognizer()
    of_recorded, of_played = (recognizer.transcribe((samples, 16000)).text for samples in (recorded, aligned))
    assert len(of_recorded.split()) > 15
    assert word_error_rate([of_recorded], [running.text]) <= MAX_WER
    assert word_error_rate([of_played], [running.text]) <= MAX_WER
    command = [sys.executable, "-m", "edgespeech.demo.cli", "live", "--replay", str(tmp_path / "recorded.wav")]
    replayed = subprocess.run([*command, "--speed", "0"], capture_output=True, text=True, check=True, timeout=TIMEOUT)
    assert replayed.stdout.split("\n")[:-1] == [e["text"] for e in running.events if e["type"] == "final"]


@pytest.mark.slow
def test_a_microphone_that_is_unplugged_and_plugged_in_again(
    microphones: VirtualMicrophones, speech: NDArray[np.float32], tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "played.wav", speech, 16000)
    # Half a sentence may have less than the minimum evidence, and would be dropped instead of becoming a final.
    with Live(microphones, "--device", "virtual_16000", "--rate", "16000", "--min-evidence", "0") as running:
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
            playing.wait(timeout=TIMEOUT)
    status = [event["text"] for event in running.events if event["type"] == "status"]
    assert [text.split(" ")[1] for text in status if "virtual_16000" in text] == ["to", "stopped:", "is"]
    assert "unplugged: 1" in status[-1]


@pytest.mark.slow
@pytest.mark.parametrize(("gain", "words"), [(1.0, r"speech at -[12]\d dB"), (0.002, "too low to be recognised well")])
def test_doctor_records_from_a_microphone_and_judges_the_level(
    microphones: VirtualMicrophones, speech: NDArray[np.float32], tmp_path: Path, gain: float, words: str
) -> None:
    soundfile.write(tmp_path / "played.wav", gain * np.tile(speech[24000:], 3), 16000)
    playing = microphones.play(tmp_path / "played.wav", 16000)
    command = [sys.executable, "-m", "edgespeech.demo.cli", "doctor", "mic", "--device", "virtual_16000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=microphones.environment)
    playing.kill()
    playing.wait(timeout=TIMEOUT)
    assert (done.returncode, done.stderr) == (0, "recording 5 s: please speak\n"), done.stdout
    (level,) = [line for line in done.stdout.splitlines() if line.startswith("level")]
    assert re.search(words, level), level


@pytest.mark.slow
def test_what_the_computer_plays_is_transcribed_like_the_file(
    microphones: VirtualMicrophones, speech: NDArray[np.float32], tmp_path: Path
) -> None:
    played = soxr.resample(speech, 16000, 44100)
    soundfile.write(tmp_path / "played.wav", played, 44100, subtype="PCM_16")
    options = (
        "--device",
        "system",
        "--record",
        str(tmp_path / "recorded.wav"),
        "--captions",
        str(tmp_path / "now.txt"),
    )
    with Live(microphones, *options) as running:
        assert running.events[0]["text"] == "listening to 'system' at 48000 Hz, the mean of 2 channels"
        with microphones.play(tmp_path / "played.wav", RATES[0]):  # the default output is the first one
            running.until(lambda event: event["type"] == "partial" and len(event["text"]) > 10)
            assert len((tmp_path / "now.txt").read_text()) > 10
            running.until(lambda event: event["type"] == "final")
            running.until(lambda event: event["type"] == "final")
        running.end()
    assert (tmp_path / "now.txt").read_text() == ""
    recorded = audio.read(tmp_path / "recorded.wav")
    assert word_error_rate([Recognizer().transcribe((recorded, 16000)).text], [running.text]) <= MAX_WER
    # The server resamples what it plays and what it hands over, so that uncertain words may differ.
    assert word_error_rate([Recognizer().transcribe((speech, 16000)).text], [running.text]) <= 0.2
    finals = [event for event in running.events if event["type"] == "final"]
    assert all(event["word_latency_ms"] > event["latency_ms"] for event in finals)


@pytest.mark.slow
def test_a_microphone_and_the_computer_have_a_text_each_or_one_together(
    microphones: VirtualMicrophones, tmp_path: Path
) -> None:
    clip = audio.read(read_manifest(SAMPLE_CLIPS)[0].path)
    soundfile.write(tmp_path / "played.wav", np.pad(clip, (0, 24000)), 16000)
    devices = ("--device", microphones.names[48000], "--device", "system")
    for mix in ([], ["--mix"]):
        with Live(microphones, *devices, *mix) as running:
            for rate in (48000, RATES[0]):
                with microphones.play(tmp_path / "played.wav", rate):
                    running.until(lambda event: event["type"] == "final")
            running.end()
        finals = [event for event in running.events if event["type"] == "final"]
        assert len(finals) == 4 and all(len(event["text"]) > 10 for event in finals)  # the clip has a pause
        sources = [event.get("source") for event in finals]
        assert sources == ([None] * 4 if mix else ["virtual_48000"] * 2 + ["system"] * 2)


@pytest.mark.slow
def test_a_sound_server_that_restarts(
    microphones: VirtualMicrophones, speech: NDArray[np.float32], tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "played.wav", speech, 16000)
    with Live(microphones, "--device", "system", "--min-evidence", "0") as running:
        microphones.kill()
        running.until(lambda event: "unplugged" in event["text"])
        microphones.start()
        running.until(lambda event: "is back" in event["text"])
        with microphones.play(tmp_path / "played.wav", RATES[0]):
            assert running.until(lambda event: event["type"] == "final")["text"]
        running.end()
    assert "unplugged: 1" in running.events[-1]["text"]
