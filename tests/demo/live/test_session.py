"""Live sessions: replays through a real tiny bundle, and everything that can end a session."""

# ruff: noqa: D102, D105, D107  (what the stand-ins do is what the real things do)

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.live.session import live, run_live
from edgespeech.errors import AudioError, EdgespeechError, UsageError
from edgespeech.runtime.live.outputs import SaveFile
from edgespeech.runtime.live.sources import Block, Replay
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Event
from tests.runtime.live.stand_ins import RATE, Remembered, Sounds, run


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
    output = Remembered()
    run_live(recognizer, [Replay(recording, recognizer.sample_rate, speed=0)], output)
    text = recognizer.transcribe(recording).text
    assert text
    assert " ".join(output.texts("final")) == text


def test_partials_come_while_sound_is_still_arriving(recognizer: Recognizer, recording: Path) -> None:
    replay = Replay(recording, recognizer.sample_rate, speed=0)
    blocks = list(replay)
    given: list[int] = []
    given_at_partial: list[int] = []

    class Counting(Sounds):
        def __iter__(self) -> Iterator[Block]:
            for block in blocks:
                given.append(len(block.samples))
                yield block

    class Noting(Remembered):
        def show(self, event: Event, source: str = "") -> None:
            if event.type == "partial":
                given_at_partial.append(len(given))

    run_live(recognizer, [Counting()], Noting())
    assert len(given_at_partial) > 5
    assert given_at_partial[0] < len(blocks) / 4
    assert given_at_partial == sorted(given_at_partial)


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
def test_a_replay_takes_its_time(recording: Path, speed: float, seconds: float) -> None:
    clock = Clock()
    heard = 0
    for block in Replay(recording, RATE, speed, clock=clock, sleep=clock.sleep):
        heard += len(block.samples)
        if seconds:
            due = 100.0 + heard / RATE / speed
            assert clock.now == pytest.approx(due) and block.arrived == pytest.approx(due)
    assert clock.now - 100.0 == pytest.approx(seconds)
    assert max(clock.naps, default=0.0) <= 0.05
    assert heard == 3 * RATE


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
def test_a_replay_at_no_speed(recording: Path, speed: float) -> None:
    with pytest.raises(UsageError, match="speed"):
        Replay(recording, RATE, speed)


def test_a_replay_of_nothing(tmp_path: Path, recognizer: Recognizer) -> None:
    with pytest.raises(AudioError, match="does not exist"):
        Replay(tmp_path / "none.wav", RATE)
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, np.float32), RATE)
    output = Remembered()
    run_live(recognizer, [Replay(tmp_path / "empty.wav", RATE)], output)
    assert output.texts("final") == []
    assert output.texts("status")[-1].startswith("end: 0.0 s heard")


def test_the_order_of_a_session() -> None:
    source: Sounds = Sounds(0.5, lambda: source.said.append("the device coughed"), 0.0, 0.1)
    output = run(source)
    assert [(event.type, event.text) for event in output.events] == [
        ("status", "a test"),
        ("partial", "one t"),
        ("final", "part 1"),
        ("status", "the device coughed"),
        ("partial", "one t"),
        ("final", "the end"),
        ("status", "end: 3.0 s heard, real-time factor 0.000"),
    ]
    assert [round(meter.level, 1) for meter in output.meters] == [-6.0, -90.0, -20.0]
    assert [meter.heard for meter in output.meters] == [1.0, 2.0, 3.0]
    assert output.closed


def test_latency_counts_the_wait_before_the_recognizer() -> None:
    output = run(Sounds(0.5))  # its block arrived at 0 s of the clock
    partial = next(event for event in output.events if event.type == "partial")
    assert partial.latency_ms > 5.0


def test_a_damaged_source_still_gives_its_last_final() -> None:
    def fail() -> None:
        raise AudioError("damaged")

    output = Remembered()
    with pytest.raises(AudioError, match="damaged"):
        run(Sounds(0.5, fail, 0.5), output)
    assert output.texts("final") == ["the end"]
    assert output.closed


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_utterance_properly(name: str) -> None:
    number = getattr(signal, name)
    handler = signal.getsignal(number)
    signal.signal(number, signal.SIG_DFL)
    try:
        source = Sounds(0.5, lambda: signal.raise_signal(number), 0.5, 0.5)
        output = run(source)
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, handler)
    assert source.given == 1
    assert output.texts("final") == ["the end"]


def test_a_second_ctrl_c_does_not_wait() -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    output = Remembered()
    try:
        with pytest.raises(KeyboardInterrupt):
            run(Sounds(0.5, twice), output)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert output.closed


def test_nohup_is_respected() -> None:
    handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        source = Sounds(0.5, lambda: signal.raise_signal(signal.SIGHUP), 0.5)
        run(source)
    finally:
        signal.signal(signal.SIGHUP, handler)
    assert source.given == 2


class Failing(Remembered):
    """Takes two events and no more."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def show(self, event: Event, source: str = "") -> None:
        if len(self.events) == 2:
            raise self.error
        super().show(event)


def test_when_the_reader_leaves_the_session_ends_and_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    abandoned: list[bool] = []
    monkeypatch.setattr("edgespeech.demo.live.session.abandon_standard_output", lambda: abandoned.append(True))
    source = Sounds(0.5, 0.5, 0.5, 0.5)
    run(source, Failing(BrokenPipeError()), SaveFile(tmp_path / "a.txt"))
    assert source.given == 2 and abandoned
    assert (tmp_path / "a.txt").read_text() == "part 1\nthe end\n"


def test_when_standard_output_is_full_the_session_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgespeech.demo.live.session.abandon_standard_output", lambda: None)
    with pytest.raises(EdgespeechError, match="standard output cannot be written: No space left"):
        run(Sounds(0.5, 0.5), Failing(OSError(28, "No space left on device")), SaveFile(tmp_path / "a.txt"))
    assert (tmp_path / "a.txt").read_text() == "part 1\nthe end\n"


def test_clashing_options(recognizer: Recognizer, recording: Path) -> None:
    with pytest.raises(UsageError, match="--device and --replay exclude each other"):
        live(recognizer, devices=["0"], replays=[recording])


def test_a_wrong_save_file_is_told_before_anything_is_shown(
    recognizer: Recognizer, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=r"must end in .srt"):
        live(recognizer, replays=[recording], save=recording.parent / "x.doc")
    assert capsys.readouterr() == ("", "")


def test_live_on_a_pipe_prints_plain_lines(
    recognizer: Recognizer, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live(recognizer, replays=[recording], speed=0)
    shown = capsys.readouterr()
    assert shown.out == recognizer.transcribe(recording).text + "\n"
    assert "noise.wav" in shown.err.splitlines()[0] and "end: 3.0 s heard" in shown.err.splitlines()[-1]
