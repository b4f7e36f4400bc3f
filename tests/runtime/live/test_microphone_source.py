"""A microphone as a source: rates, blocks, losses, unplugging; with a fake sounddevice module."""

# ruff: noqa: D102  (the stand-ins do what the real things do)

from __future__ import annotations

import queue
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgespeech.errors import DeviceError
from edgespeech.runtime.live import device_source, microphone_source
from edgespeech.runtime.live.device_source import ClockWatch
from edgespeech.runtime.live.microphone_source import MicrophoneSource
from edgespeech.runtime.live.sources import BLOCK_SECONDS, Block
from tests.runtime.live.fake_portaudio import FakePortAudio

RATE = 48000  # of device 2


@pytest.fixture
def portaudio(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    fake = FakePortAudio()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    monkeypatch.setattr(microphone_source, "_open_sources", set())
    return fake


class Clock:
    """Time that passes by sleeping; callbacks that are due run on the way."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for entry in [entry for entry in self.due if entry[0] <= self.now]:
            self.due.remove(entry)
            entry[1]()


def blocks_so_far(source: MicrophoneSource) -> list[Block]:
    source.stop()
    return list(source)


def samples(blocks: list[Block]) -> list[float]:
    return [round(float(sample), 4) for block in blocks for sample in block.samples]


@pytest.mark.parametrize(
    ("opens", "wanted", "rate", "channels"),
    [
        (lambda index, rate, channels: True, None, 44100, 1),
        (lambda index, rate, channels: True, 22050, 22050, 1),
        (lambda index, rate, channels: rate != 44100, None, 16000, 1),
        (lambda index, rate, channels: channels == 2, None, 44100, 2),
        (lambda index, rate, channels: (rate, channels) == (32000, 2), None, 32000, 2),
    ],
)
def test_the_device_opens_at_its_preferred_rate_if_that_works(
    portaudio: FakePortAudio, opens: Any, wanted: int | None, rate: int, channels: int
) -> None:
    portaudio.opens = opens
    source = MicrophoneSource("built", 16000, wanted)
    assert (source.rate, source.channels, source.sample_rate) == (rate, channels, 16000)
    assert portaudio.streams[0].calls == ["start"]
    assert str(rate) in source.description and "Built-in Audio" in source.description


def test_a_microphone_that_does_not_open(portaudio: FakePortAudio) -> None:
    portaudio.opens = lambda index, rate, channels: False
    with pytest.raises(DeviceError, match=r"'USB Mic' does not open \(Invalid sample rate .*another with --device"):
        MicrophoneSource(2)
    portaudio.opens = lambda index, rate, channels: rate == 48000
    with pytest.raises(DeviceError, match="does not open at 44100 Hz"):
        MicrophoneSource(2, rate=44100)


@pytest.mark.parametrize("rate", [44100, 48000, 96000])
def test_blocks_are_resampled_as_one_stream(portaudio: FakePortAudio, rate: int) -> None:
    source = MicrophoneSource("built", 16000, rate)
    tone = 0.5 * np.sin(np.arange(rate) / rate * 2.0 * np.pi * 440.0)
    for piece in np.array_split(tone, 33):
        portaudio.streams[0].give(piece)
    got = np.concatenate([block.samples for block in blocks_so_far(source)])
    wanted = 0.5 * np.sin(np.arange(16000) / 16000 * 2.0 * np.pi * 440.0)
    assert abs(len(got) - 16000) <= 1 and got.dtype == np.float32
    np.testing.assert_allclose(got[100:15900], wanted[100:15900], atol=2e-3)


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_what_the_resampler_holds_is_known(portaudio: FakePortAudio, rate: int) -> None:
    source = MicrophoneSource(2, rate=rate)
    for _ in range(40):
        portaudio.streams[0].give(np.zeros(rate * 3 // 100, np.float32))
    *blocks, last = blocks_so_far(source)
    given = np.arange(1, 41) * (rate * 3 // 100) / rate
    returned = np.cumsum([len(block.samples) for block in blocks]) / 16000
    np.testing.assert_allclose([block.held_seconds for block in blocks], given - returned, atol=2e-4)
    assert last.held_seconds == 0.0 and (blocks[-1].held_seconds > 0.0) == (rate != 16000)


def test_blocks_are_the_mean_of_the_channels_in_order(portaudio: FakePortAudio) -> None:
    portaudio.opens = lambda index, rate, channels: channels == 2
    source = MicrophoneSource("built", rate=16000)
    stream = portaudio.streams[0]
    stream.give([[0.5, 0.25], [1.0, -1.0]])
    stream.give([[0.0, np.nan], [np.inf, 3.0]])  # seen from drivers; a stream must survive it
    blocks = blocks_so_far(source)
    assert samples(blocks) == [0.375, 0.0, 0.0, 0.5]
    assert blocks[0].arrived <= blocks[1].arrived


def test_the_callback_only_copies_and_queues(portaudio: FakePortAudio) -> None:
    source = MicrophoneSource(2)
    copy = np.zeros((480, 1), np.float32)

    class OnlyCopied:
        """Anything else that is done to it raises AttributeError or TypeError."""

        def copy(self) -> Any:
            return copy

    portaudio.streams[0].settings["callback"](OnlyCopied(), None, None, SimpleNamespace(input_overflow=False))
    assert source._blocks.get_nowait()[0] is copy


def test_the_buffer_of_portaudio_is_not_kept(portaudio: FakePortAudio) -> None:
    source = MicrophoneSource(2, rate=16000)
    buffer = np.full((3, 1), 0.5, np.float32)
    portaudio.streams[0].settings["callback"](buffer, 3, None, SimpleNamespace(input_overflow=False))
    buffer[:] = -1.0
    assert samples(blocks_so_far(source)) == [0.5, 0.5, 0.5]


def test_overflows_are_counted_and_reported_at_intervals(portaudio: FakePortAudio) -> None:
    clock = Clock()
    source = MicrophoneSource(2, clock=clock, sleep=clock.sleep)
    stream, messages = portaudio.streams[0], []
    blocks = iter(source)
    for overflow in (False, True, True, True, False, False, True, False):
        stream.give(np.ones(RATE), overflow)
        next(blocks)
        messages.append(source.take_messages())
        clock.now += 1.0
    lost = "the device lost audio (overflows so far: {})".format
    assert messages == [[], [lost(1)], [], [], [], [], [lost(4)], []]
    assert source.counts()["overflows"] == 4


def test_a_full_queue_drops_the_newest_and_counts(portaudio: FakePortAudio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_source, "QUEUE_SECONDS", 2 * BLOCK_SECONDS)
    source = MicrophoneSource(2, rate=16000)
    for value in (0.1, 0.2, 0.3):
        portaudio.streams[0].give([value])
    assert source.counts()["blocks dropped"] == 1
    assert samples(blocks_so_far(source)) == [0.1, 0.2]
    assert any("too slow" in message for message in source.take_messages())


def test_audio_that_is_skipped_without_a_report_is_detected(portaudio: FakePortAudio) -> None:
    clock = Clock()
    source = MicrophoneSource(2, clock=clock, sleep=clock.sleep)
    blocks = iter(source)
    for second in range(8):
        clock.now += 1.0 if second != 4 else 3.5
        portaudio.streams[0].give(np.zeros(RATE))
        next(blocks)
    assert source.take_messages() == ["the device's clock jumped: 2.5 s of audio are missing"]
    assert source.counts()["clock gaps"] == 1


def test_an_unplugged_device_gives_silence_until_it_is_back(portaudio: FakePortAudio) -> None:
    clock = Clock()
    portaudio.first_samples = [0.1]
    source = MicrophoneSource(2, rate=16000, clock=clock, sleep=clock.sleep)
    devices = portaudio.devices

    def come_back() -> None:
        portaudio.devices = [*devices[:2], devices[3], devices[2]]
        portaudio.first_samples = [0.2]

    blocks: list[Block] = []
    messages: list[tuple[float, str]] = []
    for block in source:
        blocks.append(block)
        messages += [(clock.now, message) for message in source.take_messages()]
        if samples([block]) == [0.1]:
            portaudio.devices = devices[:2]
            portaudio.streams[0].unplug()
            clock.due.append((103.0, come_back))
        elif samples([block]) == [0.2]:
            break
    assert [text for _, text in messages] == [
        "'USB Mic' stopped: unplugged, or taken by another program? waiting for it",
        "'USB Mic' is back",
    ]
    assert messages[0][0] == 100.0 and clock.now == pytest.approx(103.5, abs=0.6)
    silence = [block for block in blocks if block.absent]
    assert not any(samples(silence))
    assert sum(len(block.samples) for block in silence) == pytest.approx((clock.now - 100.0) * 16000, abs=1000)
    assert max(len(block.samples) for block in silence) < 1000
    assert portaudio.calls[:2] == ["terminate", "initialize"]
    assert portaudio.streams[0].calls[-1] == "close"
    assert source.microphone.index == 3
    assert source.counts()["unplugged"] == 1
    source.close()


def test_unplugging_while_the_source_waits_for_audio_is_reported_once(
    portaudio: FakePortAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = MicrophoneSource(2)

    def nothing_until_unplugged(timeout: float) -> Any:
        portaudio.streams[0].unplug()
        raise queue.Empty

    monkeypatch.setattr(source._blocks, "get", nothing_until_unplugged)
    next(iter(source))
    assert source.take_messages() == ["'USB Mic' stopped: unplugged, or taken by another program? waiting for it"]
    source.close()


def test_portaudio_is_not_restarted_while_another_source_is_open(portaudio: FakePortAudio) -> None:
    clock = Clock()
    other, source = MicrophoneSource(1), MicrophoneSource(2, clock=clock, sleep=clock.sleep)
    portaudio.opens = lambda index, rate, channels: False
    portaudio.streams[1].unplug()
    clock.due.append((103.0, source.stop))
    list(source)
    assert portaudio.calls == []
    other.close()


def test_waiting_for_a_device_can_be_ended(portaudio: FakePortAudio) -> None:
    clock = Clock()
    source = MicrophoneSource(2, clock=clock, sleep=clock.sleep)
    portaudio.opens = lambda index, rate, channels: False
    portaudio.streams[0].unplug()
    clock.due.append((105.0, source.stop))
    assert all(block.absent for block in list(source)[1:])
    assert clock.now == pytest.approx(105.0, abs=0.1)
    source.close()


def test_hours_in_which_the_process_was_stopped_without_a_device_are_left_out(portaudio: FakePortAudio) -> None:
    clock = Clock()
    source = MicrophoneSource(2, clock=clock, sleep=clock.sleep)
    portaudio.opens = lambda index, rate, channels: False
    portaudio.streams[0].unplug()
    clock.due += [(102.0, lambda: clock.sleep(36000.0)), (36103.0, source.stop)]
    given = [len(block.samples) / 16000 for block in source]
    assert max(given) == device_source.QUEUE_SECONDS and sum(given) == pytest.approx(33.0, abs=0.1)
    assert any("the clock jumped: 35970.0 s without 'USB Mic' are left out" in one for one in source.take_messages())
    source.close()


def test_a_device_that_gives_no_blocks_counts_as_unplugged(
    portaudio: FakePortAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_source, "_POLL_SECONDS", 0.01)
    clock = Clock()
    source = MicrophoneSource(2, clock=clock, sleep=clock.sleep)
    ticks = iter(range(0, 1000, 2))
    monkeypatch.setattr(source, "_clock", lambda: clock.now + next(ticks))
    blocks = iter(source)
    next(blocks)
    assert source.take_messages() == ["'USB Mic' gave no audio for 5 s: unplugged? waiting for it"]
    source.close()


def test_audio_that_arrived_before_the_stop_is_kept(portaudio: FakePortAudio) -> None:
    source = MicrophoneSource(2, rate=16000)
    portaudio.streams[0].give([0.1])
    portaudio.streams[0].give([0.2])
    assert samples(blocks_so_far(source)) == [0.1, 0.2]
    assert "abort" in portaudio.streams[0].calls
    assert source.take_messages() == []
    source.close()
    assert portaudio.streams[0].calls[-1] == "close"


def test_what_is_queued_at_the_end_is_reported_with_the_way_out(portaudio: FakePortAudio) -> None:
    source = MicrophoneSource(2, rate=16000)
    for _ in range(200):
        portaudio.streams[0].give(np.zeros(480, np.float32))
    source.stop()
    blocks = iter(source)
    next(blocks)
    assert source.take_messages() == ["stopping: 6.0 s of audio are still to be recognised; Ctrl-C again ends at once"]
    assert len(list(blocks)) == 200  # 199 and the end
    assert source.take_messages() == []


def test_late_blocks_and_a_slow_sample_clock_are_not_gaps() -> None:
    watch = ClockWatch()
    found, received = [], 0.0
    for block in range(2000):
        received += 0.03
        late = 0.5 - (block % 100) * 0.03 if block % 100 < 16 else 0.0  # a stall, and the backlog that follows
        found.append(watch.step(0.03, received * 1.0005 + late))
    assert not any(found) and watch.gaps == 0
