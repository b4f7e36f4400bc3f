"""Channels as sources of their own, and recordings from standard input or with damage."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.errors import DamagedAudioError, DeviceError, UsageError
from edgespeech.runtime.live import microphone_source
from edgespeech.runtime.live.channel_sources import split_channels
from edgespeech.runtime.live.microphone_source import MicrophoneSource
from edgespeech.runtime.live.request import LiveRequest
from edgespeech.runtime.live.session import run_live
from edgespeech.runtime.live.sources import Replay
from edgespeech.runtime.recognizer import Recognizer
from tests.runtime.live.fake_portaudio import FakePortAudio
from tests.runtime.live.stand_ins import RATE, CollectingOutput


@pytest.fixture(scope="module")
def recognizer(tiny_bundle: Any) -> Recognizer:
    return Recognizer(tiny_bundle, beam_width=8, min_evidence=0.0)


@pytest.fixture
def call(tmp_path: Path, noise: Callable[[int], Any]) -> Path:
    soundfile.write(tmp_path / "call.wav", np.stack([noise(2 * RATE), noise(2 * RATE + 1)[1:]], axis=1), RATE)
    return tmp_path / "call.wav"


def finals(output: CollectingOutput, source: str = "") -> str:
    pairs = zip(output.events, output.sources, strict=True)
    return " ".join(event.text for event, name in pairs if event.type == "final" and name == source)


@pytest.mark.parametrize("also", [[], ["mono.wav"]])
def test_each_channel_has_its_own_text(
    recognizer: Recognizer, call: Path, noise: Callable[[int], Any], also: list[str]
) -> None:
    soundfile.write(call.with_name("mono.wav"), noise(RATE), RATE)
    output = CollectingOutput()
    replays = [call, *(call.with_name(name) for name in also)]
    run_live(recognizer, LiveRequest(replays=replays, speed=0, channel="each"), output)
    prefix = "call " if also else ""
    for transcript in recognizer.transcribe_channels(call):
        assert finals(output, f"{prefix}channel {transcript.channel}") == transcript.text != ""
    if also:
        assert finals(output, "mono channel 1") == recognizer.transcribe(call.with_name("mono.wav")).text


@pytest.mark.parametrize("channel", ["mix", "1", "2"])
def test_one_channel_or_the_mean_is_replayed(recognizer: Recognizer, call: Path, channel: str) -> None:
    output = CollectingOutput()
    run_live(recognizer, LiveRequest(replays=[call], speed=0, channel=channel), output)
    number = None if channel == "mix" else int(channel)
    assert finals(output) == recognizer.transcribe(call, number).text != ""


def test_a_split_source_is_read_once(call: Path) -> None:
    channels = split_channels(Replay(call, RATE, 0, "each"), 2)
    second = np.concatenate([block.samples for block in channels[1]])
    first = np.concatenate([block.samples for block in channels[0]])
    expected, _ = soundfile.read(call, dtype="float32")
    assert np.array_equal(np.stack([first, second], axis=1), expected)
    assert channels[0].counts() == channels[1].counts() == {}


def test_standard_input_is_replayed(
    recognizer: Recognizer, call: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = recognizer.transcribe(call).text
    samples, _ = soundfile.read(call, dtype="int16")
    for content, raw in ((call.read_bytes(), None), (samples.tobytes(), "s16le:16000:2")):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
        output = CollectingOutput()
        run_live(recognizer, LiveRequest(replays=["-"], speed=0, raw=raw), output)
        assert finals(output) == expected
        assert output.texts("status")[0].startswith("replaying standard input")


def test_two_files_on_standard_input_are_replayed(
    recognizer: Recognizer, call: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = call.read_bytes()
    (call.with_name("joined.wav")).write_bytes(content + content)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content + content)))
    output = CollectingOutput()
    run_live(recognizer, LiveRequest(replays=["-"], speed=0), output)
    assert finals(output) == recognizer.transcribe(call.with_name("joined.wav")).text
    assert output.texts("status")[-1].startswith("end: 4.0 s")


@pytest.mark.parametrize("as_pipe", [False, True])
@pytest.mark.parametrize("kind", ["channels that cancel", "a header that is wrong"])
def test_warnings_about_a_recording_are_status_events(
    recognizer: Recognizer,
    noise: Callable[[int], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    as_pipe: bool,
    kind: str,
) -> None:
    path = tmp_path / "odd.aiff"
    sound = noise(4 * RATE)
    soundfile.write(path, np.stack([sound, -sound], axis=1) if "channels" in kind else sound, RATE, "PCM_16")
    if "header" in kind:
        content = bytearray(path.read_bytes())
        at = content.index(b"SSND") + 4
        content[at : at + 4] = (8 + RATE).to_bytes(4, "big")
        path.write_bytes(content + b"\xff\xfe\xfd\xfc")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(path.read_bytes())))
    output = CollectingOutput()
    run_live(recognizer, LiveRequest(replays=["-" if as_pipe else path], speed=0), output)
    wanted = "channels cancel each other in 4 of 4 s" if "channels" in kind else "it is read to its end"
    assert len([text for text in output.texts("status") if wanted in text]) == 1
    assert caplog.text == ""


def test_damage_becomes_a_status_event_and_an_error(recognizer: Recognizer, call: Path) -> None:
    cut = call.with_name("cut.wav")
    cut.write_bytes(call.read_bytes()[:-64000])
    output = CollectingOutput()
    with pytest.raises(DamagedAudioError, match=r"damaged at 1\.00 s"):
        run_live(recognizer, LiveRequest(replays=[cut, call], speed=0), output)
    assert "the recording is damaged at 1.00 s" in output.texts("status")
    assert finals(output, "call") == recognizer.transcribe(call).text  # the other one goes on
    assert finals(output, "cut") == recognizer.transcribe(cut).text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channel": "left"}, "wanted mix, each"),
        ({"channel": "each", "record": "a.wav"}, "--record takes one source"),
        ({"replays": ["-", "-"]}, "can be read only once"),
        ({"raw": "s16le:16000:1"}, "--raw is for --replay -"),
        ({"raw": "s16le:16000:1", "replays": ["a.wav"]}, "--raw is for --replay -"),
        ({"raw": "wav", "replays": ["-"]}, "wanted FORMAT:RATE:CHANNELS"),
    ],
)
def test_settings_that_do_not_fit_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        LiveRequest(**options)


@pytest.fixture
def portaudio(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    fake = FakePortAudio()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    monkeypatch.setattr(microphone_source, "_open_sources", set())
    return fake


@pytest.mark.parametrize(
    ("channel", "opened", "described", "first"),
    [
        ("mix", 1, "1 channel", None),
        (1, 1, "channel 1 of 1", None),
        (2, 2, "channel 2 of 2", [-0.25, 0.0]),
        ("each", 2, "2 channels", [[0.5, -0.25], [0.25, 0.0]]),
    ],
)
def test_a_microphone_opens_with_the_channels_that_are_needed(
    portaudio: FakePortAudio, channel: str | int, opened: int, described: str, first: Any
) -> None:
    source = MicrophoneSource("built-in", 44100, channel=channel)
    assert (source.channels, portaudio.streams[0].settings["channels"]) == (opened, opened)
    assert source.description.endswith(described)
    if first is not None:
        portaudio.streams[0].give([[0.5, -0.25], [0.25, 0.0]])
        source.stop()
        assert next(iter(source)).samples.tolist() == first


def test_a_microphone_with_fewer_channels_is_refused(portaudio: FakePortAudio) -> None:
    with pytest.raises(DeviceError, match="has 2 channels; wanted channel 3"):
        MicrophoneSource("built-in", 44100, channel=3)


def test_the_channels_of_a_microphone_are_sources(portaudio: FakePortAudio) -> None:
    source = MicrophoneSource("built-in", 44100, channel="each")
    portaudio.streams[0].give([[0.5, -0.25], [0.25, 0.0]])
    source.stop()
    channels = split_channels(source, source.channels)
    found = [np.concatenate([block.samples for block in channel]).tolist() for channel in channels]
    assert found == [[0.5, 0.25], [-0.25, 0.0]]


def test_microphone_channels_that_cancel_are_reported(portaudio: FakePortAudio, noise: Callable[[int], Any]) -> None:
    portaudio.opens = lambda index, rate, channels: channels == 2
    source = MicrophoneSource("built-in", 44100)
    for block in np.split(noise(88200), 40):
        portaudio.streams[0].give(np.stack([block, -block], axis=1))
    source.stop()
    assert all(abs(block.samples).max(initial=0.0) == 0.0 for block in source)
    assert any("cancel each other" in message for message in source.take_messages())
