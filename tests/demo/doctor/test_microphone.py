"""The microphone's checks of `edgespeech doctor`: devices that are listed, and recordings that are judged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.demo.doctor import microphone as doctor_microphone
from edgespeech.demo.doctor.input_quality import find_hum
from edgespeech.demo.doctor.microphone import MicrophoneTrial, check_recording, check_sound
from edgespeech.demo.doctor.report import Check
from edgespeech.errors import DeviceError, MissingDependencyError, UsageError
from edgespeech.runtime import audio
from edgespeech.runtime.live.microphone import Microphone
from edgespeech.runtime.live.sources import Block, Replay, Source
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest

Samples = NDArray[np.float32]
RATE = 16000


@pytest.fixture(scope="module")
def speech() -> Samples:
    """A sample clip without hum of its own."""
    return audio.read(read_manifest(SAMPLE_CLIPS)[1].path)


def record(samples: Samples, folder: Path, seconds: float = 60.0) -> dict[str, Check]:
    soundfile.write(folder / "recorded.wav", samples, RATE, subtype="FLOAT")
    checks = check_recording(lambda: Replay(folder / "recorded.wav", RATE, speed=0.0), seconds)
    return {check.topic: check for check in checks}


def sine(like: Samples, *tones: tuple[float, float]) -> NDArray[np.float64]:
    time = np.arange(len(like)) / RATE
    waves = [level * np.sin(2.0 * np.pi * hertz * time) for hertz, level in tones]
    return np.asarray(np.sum(waves, axis=0), np.float64)


def test_good_speech_has_nothing_to_fix(speech: Samples, tmp_path: Path) -> None:
    found = record(speech, tmp_path)
    assert list(found) == ["recording", "level", "offset", "hum", "digital silence"]
    assert {check.state for check in found.values()} == {"ok"} and not any(check.fix for check in found.values())
    assert found["level"].found.startswith("speech at -24 dB of full scale, ")


Change = Callable[[Samples], Samples]


@pytest.mark.parametrize(
    ("change", "topic", "state", "words", "fix"),
    [
        (lambda x: x * 0.04, "level", "note", "quiet, and amplified by", "raise the microphone's gain"),
        (lambda x: x * 0.003, "level", "note", "too low", "raise the microphone's gain"),
        (lambda x: 1e-4 * noise(x), "level", "note", "no speech was recorded", "speak during the recording"),
        (lambda x: x + 0.02 * noise(x), "level", "note", "above the noise, which is little", "go nearer"),
        (lambda x: np.clip(30.0 * x, -1.0, 1.0), "clipping", "note", "clipped", "lower the microphone's gain"),
        (lambda x: x + 0.02, "offset", "ok", "0.020 of full scale; it is removed", ""),
        (lambda x: x - 0.2, "offset", "note", "-0.200 of full scale", "wiring"),
        (lambda x: x + sine(x, (50, 0.01)), "hum", "note", "50 Hz at -43 dB", "mains"),
        (lambda x: x + sine(x, (60, 0.02)), "hum", "note", "60 Hz at -37 dB", "mains"),
        (lambda x: x + sine(x, (100, 0.01), (150, 0.005)), "hum", "note", "50 Hz at -42 dB", "mains"),
        (lambda x: 0.01 * (x + sine(x, (50, 0.01))), "hum", "note", "50 Hz at -83 dB", "mains"),
        (lambda x: x * (np.abs(x) > 0.02), "digital silence", "note", "has no sound at all", "noise suppression"),
        (lambda x: 0.0 * x, "digital silence", "missing", "nothing but zeros", "unmute"),
        (lambda x: 0.0 * x + 0.02, "digital silence", "missing", "nothing but the constant 0.020", "unmute"),
    ],
)  # fmt: skip
def test_what_is_wrong_has_a_line_with_what_to_do(
    speech: Samples, tmp_path: Path, change: Change, topic: str, state: str, words: str, fix: str
) -> None:
    found = record(change(speech).astype(np.float32), tmp_path)[topic]
    assert (found.state, found.part) == (state, "mic")
    assert words in found.found and fix in found.fix and bool(fix) == bool(found.fix)


def noise(like: Samples) -> Samples:
    return np.random.default_rng(0).standard_normal(len(like)).astype(np.float32)


@pytest.mark.parametrize("hertz", [40, 55, 70, 440])
def test_other_tones_are_no_hum_of_the_mains(speech: Samples, hertz: float) -> None:
    assert find_hum((speech + sine(speech, (hertz, 0.01))).astype(np.float32), RATE) is None


def test_the_recording_ends_after_its_seconds_and_is_announced(
    speech: Samples, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        found = record(speech, tmp_path, seconds=2.0)
    assert found["recording"].found.startswith("2.0 s, replaying")
    assert "recording 2 s: please speak" in caplog.messages


class Unplugged:
    """A microphone that is gone after its first block."""

    sample_rate, name, description = RATE, "usb", "a microphone"
    closed = False

    def __iter__(self) -> Iterator[Block]:
        yield Block(np.ones(480, np.float32), 0.0)
        yield Block(np.zeros(480, np.float32), 0.0, absent=True)

    def take_messages(self) -> list[str]:  # noqa: D102
        return ["'usb' stopped"]

    def counts(self) -> dict[str, int]:  # noqa: D102
        return {}

    def stop(self) -> None:  # noqa: D102
        return

    def close(self) -> None:  # noqa: D102
        self.closed = True


def test_a_microphone_that_is_gone_or_does_not_open() -> None:
    source: Any = Unplugged()
    (gone,) = check_recording(lambda: source, 5.0)
    assert (gone.state, gone.found) == ("missing", "'usb' gave no audio") and "--device" in gone.fix
    assert source.closed

    def refuse() -> Source:
        raise DeviceError("microphone 'usb' does not open (busy); close the program that uses it")

    (closed,) = check_recording(refuse, 5.0)
    assert (closed.state, closed.fix) == ("missing", "close the program that uses it")


@pytest.mark.parametrize("seconds", [0.0, -1.0, 61.0, float("nan")])
def test_the_length_of_a_recording_has_limits(seconds: float) -> None:
    with pytest.raises(UsageError, match="wanted 1 to 60 seconds"):
        MicrophoneTrial(seconds=seconds)


def fake_import(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
    def load(name: str) -> Any:
        if error is not None:
            raise error
        return SimpleNamespace()

    monkeypatch.setattr(doctor_microphone, "find_spec", lambda name: object())
    monkeypatch.setattr(doctor_microphone, "import_module", load)


def test_without_portaudio_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_import(monkeypatch, OSError("PortAudio library not found"))
    monkeypatch.setattr("sys.platform", "linux")
    (check,) = check_sound()
    assert (check.topic, check.state) == ("PortAudio", "missing")
    assert check.fix == "sudo apt-get install libportaudio2"
    monkeypatch.setattr("sys.platform", "darwin")
    assert list(check_sound())[0].fix == "brew install portaudio"
    fake_import(monkeypatch, RuntimeError("no host\nAPI"))
    assert list(check_sound())[0].found == "does not start: no host API"


def test_microphones_are_listed_with_their_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_import(monkeypatch, None)
    found = [Microphone(3, "USB", "ALSA", 1, 48000, (16000, 48000)), Microphone(4, "Busy", "ALSA", 1, 48000)]
    monkeypatch.setattr(doctor_microphone, "list_microphones", lambda: found)
    library, usb, busy = check_sound()
    assert [library.state, usb.state, busy.state] == ["ok", "ok", "note"]
    assert usb.found == "3 USB (ALSA): 16000 48000 Hz" and "does not open" in busy.found

    def none() -> list[Microphone]:
        raise MissingDependencyError("gone")

    monkeypatch.setattr(doctor_microphone, "list_microphones", none)
    assert [check.state for check in check_sound()] == ["ok", "missing"]


def test_without_sounddevice_the_microphone_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_microphone, "find_spec", lambda name: None)
    (check,) = check_sound()
    assert (check.state, check.fix) == ("missing", "pip install 'edgespeech[mic]'")
