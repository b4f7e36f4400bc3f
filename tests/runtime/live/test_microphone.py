"""Microphones as the system lists them, with a fake sounddevice module."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgespeech.errors import DeviceError, MissingDependencyError
from edgespeech.runtime.live.microphone import Microphone, find_again, list_microphones
from edgespeech.runtime.live.microphone_source import MicrophoneSource
from edgespeech.runtime.live.request import LiveRequest
from edgespeech.runtime.live.session import run_live
from tests.runtime.live.fake_portaudio import FakePortAudio, PortAudioError
from tests.runtime.live.stand_ins import CollectingOutput


@pytest.fixture
def portaudio(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    fake = FakePortAudio()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake


def test_only_inputs_are_listed_with_the_rates_they_open_at(portaudio: FakePortAudio) -> None:
    portaudio.opens = lambda index, rate, channels: rate in (44100, 48000) and (index != 3 or channels == 32)
    found = list_microphones()
    assert [(m.index, m.name, m.channels, m.default_rate, m.is_default) for m in found] == [
        (1, "Built-in Audio", 2, 44100, True),
        (2, "USB Mic", 1, 48000, False),
        (3, "USB Mic Pro", 32, 96000, False),
    ]
    assert {m.rates for m in found} == {(44100, 48000)}
    assert str(found[0]) == "*  1  Built-in Audio  (ALSA, 2 channels, opens at 44100 48000 Hz)"


def test_a_device_that_opens_at_no_rate_is_listed_as_such(portaudio: FakePortAudio) -> None:
    portaudio.opens = lambda index, rate, channels: False
    assert "does not open" in str(list_microphones()[1])


@pytest.mark.parametrize(
    ("device", "index"),
    [(None, 1), ("2", 2), (3, 3), ("built", 1), ("USB MIC", 2), ("pro", 3), (" Built-in audio ", 1)],
)
def test_a_microphone_is_chosen_by_index_or_part_of_its_name(
    portaudio: FakePortAudio, device: str | int | None, index: int
) -> None:
    assert MicrophoneSource(device).microphone.index == index


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("usb", "matches 2 microphones"),
        ("banjo", "matches no microphone"),
        ("0", "matches no microphone"),
        (-1, "matches no"),
    ],
)
def test_no_or_several_matches_list_the_microphones(portaudio: FakePortAudio, device: str | int, words: str) -> None:
    with pytest.raises(DeviceError) as caught:
        MicrophoneSource(device)
    message = str(caught.value)
    assert words in message and "2 'USB Mic' (ALSA), 3 'USB Mic Pro' (ALSA)" in message
    assert ("Built-in" in message) == ("matches no" in message)
    assert "\n" not in message


def test_without_a_default_the_only_microphone_is_used(portaudio: FakePortAudio) -> None:
    portaudio.default.device = (-1, -1)
    with pytest.raises(DeviceError, match="no default microphone; choose one with --device: 1 "):
        MicrophoneSource()
    portaudio.devices = portaudio.devices[:2]
    assert MicrophoneSource().microphone.index == 1


def test_no_microphone_at_all(portaudio: FakePortAudio) -> None:
    portaudio.devices = portaudio.devices[:1]
    for ask in (list_microphones, MicrophoneSource):
        with pytest.raises(DeviceError, match="no microphone found"):
            ask()


def test_a_sound_system_that_does_not_answer(portaudio: FakePortAudio, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise PortAudioError("Host\nerror")

    monkeypatch.setattr(portaudio, "query_devices", refuse)
    with pytest.raises(DeviceError, match=r"does not answer \(Host error\)"):
        list_microphones()


def test_sounddevice_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    recognizer: Any = SimpleNamespace(sample_rate=16000)
    for ask in (list_microphones, MicrophoneSource, lambda: run_live(recognizer, LiveRequest(), CollectingOutput())):
        with pytest.raises(MissingDependencyError, match=r"pip install 'edgespeech\[mic\]'$"):
            ask()


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ("raise OSError('PortAudio library not found')", MissingDependencyError, "sudo apt-get install libportaudio2"),
        ("raise RuntimeError('Error initializing\\nPortAudio')", DeviceError, r"\(Error initializing PortAudio\)"),
    ],
)
def test_portaudio_is_not_installed_or_does_not_start(
    body: str, error: type[Exception], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sounddevice.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    for ask in (list_microphones, MicrophoneSource):
        with pytest.raises(error, match=words):
            ask()


def test_an_unplugged_microphone_is_found_again_under_another_index() -> None:
    def usb(index: int, card: int, name: str = "USB Mic: Audio") -> Microphone:
        return Microphone(index, f"{name} (hw:{card},0)", "ALSA", 1, 48000)

    lost = usb(3, 2)
    assert find_again([usb(1, 0, "Other"), usb(5, 4)], lost) == usb(5, 4)
    assert find_again([usb(2, 1), usb(3, 2)], lost) == lost
    assert find_again([usb(3, 2, "Other")], lost) is None
