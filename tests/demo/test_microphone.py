"""Microphones, with a sounddevice module that we play."""

# ruff: noqa: D102, D105, D107  (what the stand-ins do is what the real things do)

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgespeech.demo import microphone
from edgespeech.demo.live import live
from edgespeech.demo.live_source import BLOCK_SECONDS
from edgespeech.demo.microphone import MicrophoneSource, list_microphones
from edgespeech.errors import DeviceError, MissingDependencyError


class PortAudioError(Exception):
    """What sounddevice raises."""


class FakePortAudio:
    """The part of sounddevice that is used; ``opens(index, rate, channels)`` decides what the devices take."""

    PortAudioError = PortAudioError

    def __init__(self, opens: Callable[[int, int, int], bool] = lambda index, rate, channels: True) -> None:
        self.opens = opens
        self.streams: list[FakeStream] = []
        self.default = SimpleNamespace(device=(1, 0))
        self.devices = [
            self.device("Speakers", 0, 48000.0),
            self.device("Built-in Audio", 2, 44100.0),
            self.device("USB Mic", 1, 48000.0),
            self.device("USB Mic\nPro", 32, 96000.0),
        ]

    @staticmethod
    def device(name: str, channels: int, rate: float) -> dict[str, Any]:
        return {"name": name, "hostapi": 0, "max_input_channels": channels, "default_samplerate": rate}

    def query_devices(self) -> list[dict[str, Any]]:
        return self.devices

    def query_hostapis(self) -> tuple[dict[str, Any], ...]:
        return ({"name": "ALSA"},)

    def check_input_settings(self, device: int, channels: int, dtype: str, *, samplerate: int) -> None:
        if not self.opens(device, samplerate, channels):
            raise PortAudioError("Invalid sample rate [PaErrorCode -9997]")

    def InputStream(self, **settings: Any) -> FakeStream:  # noqa: N802
        self.check_input_settings(settings["device"], settings["channels"], "", samplerate=settings["samplerate"])
        self.streams.append(FakeStream(settings))
        return self.streams[-1]


class FakeStream:
    """A stream to which a test gives sound by hand."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def abort(self) -> None:
        self.calls.append("abort")

    def close(self) -> None:
        self.calls.append("close")

    def give(self, samples: Any, overflow: bool = False) -> None:
        frames = np.asarray(samples, np.float32).reshape(-1, self.settings["channels"])
        self.settings["callback"](frames, len(frames), None, SimpleNamespace(input_overflow=overflow))

    def unplug(self) -> None:
        self.settings["finished_callback"]()


@pytest.fixture
def portaudio(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    fake = FakePortAudio()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake


def test_the_list_has_inputs_only_with_the_rates_they_take(portaudio: FakePortAudio) -> None:
    portaudio.opens = lambda index, rate, channels: rate in (44100, 48000) and (index != 3 or channels == 32)
    found = list_microphones()
    assert [(m.index, m.name, m.channels, m.default_rate, m.is_default) for m in found] == [
        (1, "Built-in Audio", 2, 44100, True),
        (2, "USB Mic", 1, 48000, False),
        (3, "USB Mic Pro", 32, 96000, False),
    ]
    assert {m.rates for m in found} == {(44100, 48000)}
    assert str(found[0]) == "*  1  Built-in Audio  (ALSA, 2 channels, opens at 44100 48000 Hz)"


def test_a_device_that_takes_no_rate_is_listed_as_such(portaudio: FakePortAudio) -> None:
    portaudio.opens = lambda index, rate, channels: False
    assert "does not open" in str(list_microphones()[1])


@pytest.mark.parametrize(
    ("device", "index"),
    [(None, 1), ("2", 2), (3, 3), ("built", 1), ("USB MIC", 2), ("pro", 3), (" Built-in audio ", 1)],
)
def test_choosing(portaudio: FakePortAudio, device: str | int | None, index: int) -> None:
    assert MicrophoneSource(device).microphone.index == index


@pytest.mark.parametrize(
    ("device", "words"),
    [("usb", "fits 2 microphones"), ("banjo", "fits no microphone"), ("0", "fits no microphone"), (-1, "fits no")],
)
def test_choosing_nothing_or_several_lists_what_there_is(
    portaudio: FakePortAudio, device: str | int, words: str
) -> None:
    with pytest.raises(DeviceError) as caught:
        MicrophoneSource(device)
    message = str(caught.value)
    assert words in message and "2 'USB Mic' (ALSA), 3 'USB Mic Pro' (ALSA)" in message
    assert ("Built-in" in message) == ("fits no" in message)
    assert "\n" not in message


def test_without_a_default_the_only_microphone_is_taken(portaudio: FakePortAudio) -> None:
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


@pytest.mark.parametrize(
    ("opens", "rate", "channels"),
    [
        (lambda index, rate, channels: True, 16000, 1),
        (lambda index, rate, channels: rate == 44100, 44100, 1),
        (lambda index, rate, channels: channels == 2, 16000, 2),
        (lambda index, rate, channels: (rate, channels) == (32000, 2), 32000, 2),
    ],
)
def test_the_rate_is_the_one_wanted_or_the_devices_own(
    portaudio: FakePortAudio, opens: Any, rate: int, channels: int
) -> None:
    portaudio.opens = opens
    source = MicrophoneSource("built", 16000)
    assert (source.sample_rate, source.channels) == (rate, channels)
    assert portaudio.streams[0].calls == ["start"]
    assert str(rate) in source.description and "Built-in Audio" in source.description


def test_a_microphone_that_does_not_open(portaudio: FakePortAudio) -> None:
    portaudio.opens = lambda index, rate, channels: False
    with pytest.raises(DeviceError, match=r"'USB Mic' does not open \(Invalid sample rate .*another with --device"):
        MicrophoneSource(2)


def test_a_sound_system_that_does_not_answer(portaudio: FakePortAudio, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise PortAudioError("Host\nerror")

    monkeypatch.setattr(portaudio, "query_devices", refuse)
    with pytest.raises(DeviceError, match=r"does not answer \(Host error\)"):
        list_microphones()


def test_blocks_are_the_mean_of_the_channels_in_order(portaudio: FakePortAudio) -> None:
    portaudio.opens = lambda index, rate, channels: channels == 2
    source = MicrophoneSource("built")
    stream = portaudio.streams[0]
    stream.give([[0.5, 0.25], [1.0, -1.0]])
    stream.give([[0.0, np.nan], [np.inf, 3.0]])  # seen from drivers; a stream must survive it
    stream.unplug()
    blocks = list(source)
    assert [block.samples.tolist() for block in blocks] == [[0.375, 0.0], [0.0, 0.5]]
    assert blocks[0].samples.dtype == np.float32
    assert blocks[0].arrived <= blocks[1].arrived


def test_the_callback_copies_and_queues_and_does_nothing_else(portaudio: FakePortAudio) -> None:
    source = MicrophoneSource(2)
    copy = np.zeros((480, 1), np.float32)

    class OnlyCopied:
        """Anything else that is done to it raises AttributeError or TypeError."""

        def copy(self) -> Any:
            return copy

    portaudio.streams[0].settings["callback"](OnlyCopied(), None, None, SimpleNamespace(input_overflow=False))
    assert source._blocks.get_nowait()[0] is copy


def test_the_buffer_of_portaudio_is_not_kept(portaudio: FakePortAudio) -> None:
    source = MicrophoneSource(2)
    buffer = np.full((3, 1), 0.5, np.float32)
    portaudio.streams[0].settings["callback"](buffer, 3, None, SimpleNamespace(input_overflow=False))
    buffer[:] = -1.0
    portaudio.streams[0].unplug()
    assert [block.samples.tolist() for block in source] == [[0.5, 0.5, 0.5]]


def test_overflows_are_counted_and_told_seldom(portaudio: FakePortAudio) -> None:
    source = MicrophoneSource(2)
    stream, rate = portaudio.streams[0], source.sample_rate
    said = []
    for overflow in (False, True, True, True):
        stream.give(np.ones(rate), overflow)
    stream.give(np.ones(round(microphone.REMARK_SECONDS) * rate))
    blocks = iter(source)
    for _ in range(5):
        next(blocks)
        said.append(source.remarks())
    assert source.overflows == 3
    assert said == [["the device lost sound (overflows so far: 3)"], [], [], [], []]
    stream.give(np.ones(10), overflow=True)
    stream.unplug()
    list(blocks)
    assert source.remarks()[1:] == ["the device lost sound (overflows so far: 4)"]


def test_a_full_queue_drops_the_newest_and_counts(portaudio: FakePortAudio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone, "QUEUE_SECONDS", 2 * BLOCK_SECONDS)
    source = MicrophoneSource(2)
    for value in (0.1, 0.2, 0.3):
        portaudio.streams[0].give([value])
    assert source.dropped_blocks == 1
    portaudio.streams[0].unplug()
    assert [round(float(block.samples[0]), 3) for block in source] == [0.1, 0.2]
    assert any("too slow" in remark for remark in source.remarks())


def test_silence_is_remarked_once_until_sound_comes_back(portaudio: FakePortAudio) -> None:
    source = MicrophoneSource(2)
    stream, rate = portaudio.streams[0], source.sample_rate
    said = []
    for value, seconds in ((0.0, 4), (0.0, 1), (2.0**-15, 5), (0.1, 1), (0.0, 4), (0.0, 2)):
        stream.give(np.full(seconds * rate, value))
    stream.unplug()
    for _ in source:
        said.append(source.remarks())
    assert said == [[], ["the microphone hears nothing: muted?"], [], [], [], ["the microphone hears nothing: muted?"]]


def test_unplugging_yields_what_was_heard_and_says_so(portaudio: FakePortAudio) -> None:
    source = MicrophoneSource(2)
    portaudio.streams[0].give([0.1])
    portaudio.streams[0].unplug()
    assert len(list(source)) == 1
    assert source.remarks() == ["'USB Mic' stopped: unplugged, or taken by another program?"]
    assert source.remarks() == []


def test_a_device_that_falls_silent_without_a_word(portaudio: FakePortAudio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone, "DEAD_SECONDS", 0.0)
    monkeypatch.setattr(microphone, "_POLL_SECONDS", 0.01)
    source = MicrophoneSource(2)
    portaudio.streams[0].give([0.1])
    assert len(list(source)) == 1
    assert source.remarks() == ["'USB Mic' gave no sound for 0 s: unplugged?"]


def test_stopping_keeps_what_was_said_by_then(portaudio: FakePortAudio) -> None:
    source = MicrophoneSource(2)
    portaudio.streams[0].give([0.1])
    portaudio.streams[0].give([0.2])
    source.stop()
    assert len(list(source)) == 2
    assert "abort" in portaudio.streams[0].calls
    assert source.remarks() == []
    source.close()
    assert portaudio.streams[0].calls[-1] == "close"


def test_sounddevice_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    recognizer: Any = SimpleNamespace(sample_rate=16000)
    for ask in (list_microphones, MicrophoneSource, lambda: live(recognizer)):
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
