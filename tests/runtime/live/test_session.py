"""Live sessions: replays through a tiny bundle, and everything that can end a session."""

# ruff: noqa: D102  (the stand-ins do what the real things do)

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.errors import AudioError, UsageError
from edgespeech.runtime.live.request import LiveRequest
from edgespeech.runtime.live.save_file import SaveFile
from edgespeech.runtime.live.session import Controls, run_live, run_session
from edgespeech.runtime.live.sources import Block, Replay
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.stream import Stream
from edgespeech.runtime.transcript import Event
from tests.runtime.live.stand_ins import RATE, CollectingOutput, FakeRecognizer, FakeSource, run


@pytest.fixture
def recognizer(tiny_bundle: Any) -> Recognizer:
    return Recognizer(tiny_bundle, beam_width=8, min_evidence=0.0)


@pytest.fixture
def recording(tmp_path: Path, noise: Callable[[int], Any]) -> Path:
    """Three seconds of noise with a hole, at a rate that is not the model's."""
    samples = noise(3 * 22050)
    samples[20000:40000] = 0.0
    soundfile.write(tmp_path / "noise.wav", samples, 22050)
    return tmp_path / "noise.wav"


def test_a_replay_gives_the_text_of_transcribe(recognizer: Recognizer, recording: Path) -> None:
    output = CollectingOutput()
    run_session(recognizer, [Replay(recording, recognizer.sample_rate, speed=0)], output)
    text = recognizer.transcribe(recording).text
    assert text
    assert " ".join(output.texts("final")) == text


def test_partials_come_while_sound_is_still_arriving(recognizer: Recognizer, recording: Path) -> None:
    replay = Replay(recording, recognizer.sample_rate, speed=0)
    blocks = list(replay)
    given: list[int] = []
    given_at_partial: list[int] = []

    class Counting(FakeSource):
        def __iter__(self) -> Iterator[Block]:
            for block in blocks:
                given.append(len(block.samples))
                yield block

    class Noting(CollectingOutput):
        def show(self, event: Event, source: str = "") -> None:
            if event.type == "partial":
                given_at_partial.append(len(given))

    run_session(recognizer, [Counting()], Noting())
    assert len(given_at_partial) > 5
    assert given_at_partial[0] < len(blocks) / 4
    assert given_at_partial == sorted(given_at_partial)


def test_the_stream_gets_audio_that_completes_a_chunk(
    recognizer: Recognizer, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = list(Replay(recording, recognizer.sample_rate, speed=0))
    alone, wanted = recognizer.stream(recognizer.sample_rate, fast_partials=True), []
    for block in blocks:
        wanted += alone.accept(block.samples)
    wanted += alone.finish()

    given: list[int] = []
    accept = Stream.accept

    def counting(stream: Stream, samples: Any) -> list[Event]:
        given.append(len(samples))
        return accept(stream, samples)

    monkeypatch.setattr(Stream, "accept", counting)
    output = CollectingOutput()
    run_session(recognizer, [Replay(recording, recognizer.sample_rate, speed=0)], output)
    for kind in ("partial", "final"):
        assert output.texts(kind) == [event.text for event in wanted if event.type == kind]
    assert sum(given) == sum(len(block.samples) for block in blocks)
    chunks = sum(given) // recognizer.chunk_samples
    assert len(given) <= chunks + 2 < len(blocks)


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0
        self.naps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.naps.append(seconds)


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 3.0), (2.0, 1.5), (0.25, 12.0), (0.0, 0.0), (float("inf"), 0.0)])
def test_a_replay_keeps_its_pace(recording: Path, speed: float, seconds: float) -> None:
    clock = Clock()
    received = 0
    for block in Replay(recording, RATE, speed, clock=clock, sleep=clock.sleep):
        received += len(block.samples)
        if seconds:
            due = 100.0 + received / RATE / speed
            assert clock.now == pytest.approx(due) and block.arrived == pytest.approx(due)
    assert clock.now - 100.0 == pytest.approx(seconds)
    assert max(clock.naps, default=0.0) <= 0.05
    assert received == 3 * RATE


def test_a_stopped_replay_ends_at_once(recording: Path) -> None:
    clock = Clock()
    replay = Replay(recording, RATE, 0.001, clock=clock, sleep=clock.sleep)
    blocks = iter(replay)
    next(blocks)
    replay.stop()
    before = clock.now
    assert list(blocks) == []
    assert clock.now == before


@pytest.mark.parametrize("speed", [-1.0, float("nan")])
def test_an_invalid_replay_speed_is_refused(recording: Path, speed: float) -> None:
    with pytest.raises(UsageError, match="speed"):
        Replay(recording, RATE, speed)


def test_a_missing_file_is_refused_and_an_empty_one_gives_no_text(tmp_path: Path, recognizer: Recognizer) -> None:
    with pytest.raises(AudioError, match="does not exist"):
        Replay(tmp_path / "none.wav", RATE)
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, np.float32), RATE)
    output = CollectingOutput()
    run_session(recognizer, [Replay(tmp_path / "empty.wav", RATE)], output)
    assert output.texts("final") == []
    assert output.texts("status")[-1].startswith("end: 0.0 s of audio")


def test_events_come_in_the_order_of_the_audio() -> None:
    source: FakeSource = FakeSource(0.5, lambda: source.messages.append("the device coughed"), 0.0, 0.1)
    output = run(source)
    assert [(event.type, event.text) for event in output.events] == [
        ("status", "a test"),
        ("partial", "one t"),
        ("final", "part 1"),
        ("status", "the device coughed"),
        ("partial", "one t"),
        ("final", "the end"),
        ("status", "end: 3.0 s of audio, real-time factor 0.000"),
    ]
    assert [round(meter.level_db, 1) for meter in output.meters] == [-6.0, -90.0, -20.0]
    assert [meter.audio_seconds for meter in output.meters] == [1.0, 2.0, 3.0]
    assert output.closed


def test_latency_includes_the_wait_before_recognition() -> None:
    output = run(FakeSource(0.5))  # its block arrived at 0 s of the clock
    partial = next(event for event in output.events if event.type == "partial")
    assert partial.latency_ms > 5.0


def test_a_damaged_source_still_gives_its_last_final() -> None:
    def fail() -> None:
        raise AudioError("damaged")

    output = CollectingOutput()
    with pytest.raises(AudioError, match="damaged"):
        run(FakeSource(0.5, fail, 0.5), output)
    assert output.texts("final") == ["the end"]
    assert output.closed


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_session_with_a_last_final(name: str) -> None:
    number = getattr(signal, name)
    handler = signal.getsignal(number)
    signal.signal(number, signal.SIG_DFL)
    try:
        source = FakeSource(0.5, lambda: signal.raise_signal(number), 0.5, 0.5)
        output = run(source)
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, handler)
    assert source.given == 1
    assert output.texts("final") == ["the end"]


def test_a_second_ctrl_c_interrupts_what_is_queued_and_keeps_the_finals(tmp_path: Path) -> None:
    class Overloaded(FakeSource):
        def __iter__(self) -> Iterator[Block]:
            for number in range(1000):  # what is queued comes even after the stop
                if number in (4, 6):
                    signal.raise_signal(signal.SIGINT)
                if number == 5:
                    self.messages.append("stopping: 29.9 s of audio are still to be recognised")
                self.given += 1
                yield Block(np.full(RATE, 0.1, np.float32), 0.0)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    source, output = Overloaded(), CollectingOutput()
    try:
        with pytest.raises(KeyboardInterrupt):
            run(source, output, SaveFile(tmp_path / "saved.txt"))
    finally:
        signal.signal(signal.SIGINT, handler)
    assert source.given == 6 and output.closed
    assert output.texts("status")[-1] == "stopping: 29.9 s of audio are still to be recognised"
    assert (tmp_path / "saved.txt").read_text() == "part 1\npart 2\npart 3\n"


def test_a_second_ctrl_c_interrupts_at_once() -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    output = CollectingOutput()
    try:
        with pytest.raises(KeyboardInterrupt):
            run(FakeSource(0.5, twice), output)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert output.closed


def test_sighup_is_ignored_under_nohup() -> None:
    handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        source = FakeSource(0.5, lambda: signal.raise_signal(signal.SIGHUP), 0.5)
        run(source)
    finally:
        signal.signal(signal.SIGHUP, handler)
    assert source.given == 2


def test_a_key_ends_the_segments_of_all_sources_and_the_session_goes_on() -> None:
    recognizer: Any = FakeRecognizer()
    output, asked = CollectingOutput(), iter([False, False, True, False, False, False])
    sources = [FakeSource(0.5, 0.5, 0.5), FakeSource(0.5)]
    sources[1].name = "other"
    run_session(recognizer, sources, output, controls=Controls(end_segment=lambda: next(asked)))
    cut = [(event.text, name) for event, name in zip(output.events, output.sources, strict=True) if "cut" in event.text]
    assert [name for _, name in cut] == ["test", "other"]
    assert output.texts("final")[-2:] == ["the end", "the end"] and len(output.meters) == 4


def test_a_key_in_the_middle_of_speech_makes_a_final_of_it(recognizer: Recognizer, recording: Path) -> None:
    output = CollectingOutput()
    shown = {"partials": 0}

    def end_segment() -> bool:
        before, shown["partials"] = shown["partials"], len(output.texts("partial"))
        return before < 3 <= shown["partials"]

    run_live(recognizer, LiveRequest(replays=[recording], speed=0), output, Controls(end_segment=end_segment))
    kinds = [event.type for event in output.events]
    assert kinds[kinds.index("final") - 1] == "partial" and kinds.count("final") == 2
    first, second = (event for event in output.events if event.type == "final")
    assert first.words[-1].end <= second.words[0].start


class Failing(CollectingOutput):
    """An output that fails after two events."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def show(self, event: Event, source: str = "") -> None:
        if len(self.events) == 2:
            raise self.error
        super().show(event)


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(28, "No space left on device")])
def test_a_failing_output_ends_the_session_after_everything_is_saved(tmp_path: Path, error: OSError) -> None:
    source, output = FakeSource(0.5, 0.5, 0.5, 0.5), Failing(error)
    with pytest.raises(type(error)):
        run(source, output, SaveFile(tmp_path / "a.txt"))
    assert source.given == 2 and output.closed
    assert (tmp_path / "a.txt").read_text() == "part 1\nthe end\n"


def test_a_request_opens_its_sources_and_files(recognizer: Recognizer, recording: Path, tmp_path: Path) -> None:
    output = CollectingOutput()
    request = LiveRequest(
        replays=[recording], speed=0, save=tmp_path / "saved.txt", record=tmp_path / "copy.wav", latency_report=True
    )
    run_live(recognizer, request, output)
    text = recognizer.transcribe(recording).text
    assert output.texts("final") == (tmp_path / "saved.txt").read_text().splitlines() == [text]
    assert soundfile.info(tmp_path / "copy.wav").frames == 3 * RATE
    assert any("look-ahead" in message for message in output.texts("status"))
    assert output.closed


def test_an_invalid_save_file_is_refused_before_anything_is_shown(recognizer: Recognizer, recording: Path) -> None:
    output = CollectingOutput()
    with pytest.raises(UsageError, match=r"must end in .srt"):
        run_live(recognizer, LiveRequest(replays=[recording], save=recording.parent / "x.doc"), output)
    assert output.events == []


def test_a_session_needs_no_command_line() -> None:
    program = """
import sys
import edgespeech.runtime.live.session
assert not {"click", "rich", "sounddevice"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", program], check=True)
