"""Live sessions: replays through a real tiny bundle, and everything that can end a session."""

# ruff: noqa: D102, D105, D107  (what the stand-ins do is what the real things do)

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from rich.console import Console

from edgespeech.demo import live_output
from edgespeech.demo.live import level, live, run_live
from edgespeech.demo.live_output import JsonLines, Meter, Output, PlainLines, SaveFile
from edgespeech.demo.live_screen import LiveScreen, choose_output, clock_time
from edgespeech.demo.live_source import Block, Replay
from edgespeech.errors import AudioError, EdgespeechError, UsageError
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Event, Word

RATE = 16000


def final(text: str, start: float = 1.0) -> Event:
    words = tuple(Word(word, start + i, start + i + 0.5, 0.9) for i, word in enumerate(text.split()))
    return Event("final", text, text, "", start, start + len(words), words, 12.0)


class Remembered(Output):
    """Keeps everything."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.meters: list[Meter] = []
        self.closed = False

    def show(self, event: Event) -> None:
        self.events.append(event)

    def measure(self, meter: Meter) -> None:
        self.meters.append(meter)

    def close(self) -> None:
        self.closed = True

    def texts(self, kind: str) -> list[str]:
        return [event.text for event in self.events if event.type == kind]


class Sounds:
    """A source of blocks that a test makes up; a callable among them is called when its turn comes."""

    sample_rate = RATE
    description = "a test"

    def __init__(self, *steps: Any) -> None:
        self.steps = steps
        self.given = 0
        self.stopped = False
        self.said: list[str] = []

    def __iter__(self) -> Iterator[Block]:
        for step in self.steps:
            if self.stopped:
                return
            if callable(step):
                step()
                continue
            self.given += 1
            yield Block(np.full(RATE, step, np.float32), 0.0)

    def remarks(self) -> list[str]:
        said, self.said = self.said, []
        return said

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        self.stopped = True


class FakeRecognizer:
    """Every second block makes a final, the end makes the last one."""

    sample_rate = RATE

    def stream(self, sample_rate: int) -> FakeRecognizer:
        self.blocks = 0
        return self

    @property
    def seconds_heard(self) -> float:
        return float(self.blocks)

    def accept(self, samples: Any) -> list[Event]:
        self.blocks += 1
        if self.blocks % 2:
            return [Event("partial", "one t", "one", " t", latency_ms=5.0)]
        return [final(f"part {self.blocks // 2}", self.blocks)]

    def finish(self) -> list[Event]:
        return [final("the end", 9.0)]


def run(source: Any, output: Output | None = None, save: SaveFile | None = None) -> Any:
    output = output or Remembered()
    recognizer: Any = FakeRecognizer()
    run_live(recognizer, source, output, save)
    return output


@pytest.fixture
def recognizer(tiny_bundle: Any) -> Recognizer:
    return Recognizer(tiny_bundle, beam_width=8)


@pytest.fixture
def recording(tmp_path: Path, noise: Callable[[int], Any]) -> Path:
    """Three seconds of noise with a hole, at a rate that is not the model's."""
    samples = noise(3 * 22050)
    samples[20000:40000] = 0.0
    soundfile.write(tmp_path / "noise.wav", samples, 22050)
    return tmp_path / "noise.wav"


def test_a_replay_gives_the_text_of_transcribe(recognizer: Recognizer, recording: Path) -> None:
    output = Remembered()
    run_live(recognizer, Replay(recording, recognizer.sample_rate, speed=0), output)
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
        def show(self, event: Event) -> None:
            if event.type == "partial":
                given_at_partial.append(len(given))

    run_live(recognizer, Counting(), Noting())
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
    run_live(recognizer, Replay(tmp_path / "empty.wav", RATE), output)
    assert output.texts("final") == []
    assert output.texts("status")[-1].startswith("end: 0.0 s heard")


def test_the_order_of_a_session() -> None:
    source = Sounds(0.5, lambda: source.said.append("the device coughed"), 0.0, 0.1)
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

    def show(self, event: Event) -> None:
        if len(self.events) == 2:
            raise self.error
        super().show(event)


def test_when_the_reader_leaves_the_session_ends_and_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    abandoned: list[bool] = []
    monkeypatch.setattr("edgespeech.demo.live.abandon_standard_output", lambda: abandoned.append(True))
    source = Sounds(0.5, 0.5, 0.5, 0.5)
    run(source, Failing(BrokenPipeError()), SaveFile(tmp_path / "a.txt"))
    assert source.given == 2 and abandoned
    assert (tmp_path / "a.txt").read_text() == "part 1\nthe end\n"


def test_when_standard_output_is_full_the_session_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgespeech.demo.live.abandon_standard_output", lambda: None)
    with pytest.raises(EdgespeechError, match="standard output cannot be written: No space left"):
        run(Sounds(0.5, 0.5), Failing(OSError(28, "No space left on device")), SaveFile(tmp_path / "a.txt"))
    assert (tmp_path / "a.txt").read_text() == "part 1\nthe end\n"


def test_levels() -> None:
    assert level(np.ones(10, np.float32)) == 0.0
    assert level(np.full(10, 1e-9, np.float32)) == level(np.zeros(3, np.float32)) == level(np.zeros(0, np.float32))
    assert level(np.zeros(1, np.float32)) == -90.0


def test_json_lines_and_plain_lines() -> None:
    stream = io.StringIO()
    run(Sounds(0.5, 0.5), JsonLines(stream))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["type"] for line in lines] == ["status", "partial", "final", "final", "status"]
    assert lines[1]["committed"] + lines[1]["tentative"] == lines[1]["text"] == "one t"
    assert lines[2]["words"][0] == {"word": "part", "start": 2.0, "end": 2.5, "confidence": 0.9}

    stream, remarks = io.StringIO(), io.StringIO()
    run(Sounds(0.5, 0.5), PlainLines(stream, remarks))
    assert stream.getvalue() == "part 1\nthe end\n"
    assert remarks.getvalue().startswith("a test\nend: 2.0 s heard")


SAVED = {
    ".txt": "hello there\ngood bye\n",
    ".srt": (
        "1\n00:00:01,000 --> 00:00:02,500\nhello there\n\n"
        "2\n01:01:01,000 --> 01:01:02,500\ngood bye\n\n"
    ),
    ".vtt": (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nhello there\n\n"
        "01:01:01.000 --> 01:01:02.500\ngood bye\n\n"
    ),
}  # fmt: skip


@pytest.mark.parametrize("suffix", SAVED)
def test_saved_text_and_subtitles(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"talk{suffix.upper()}"
    save = SaveFile(path)
    assert [save.add(final("hello there")), save.add(final("good bye", 3661.0)), save.close()] == [""] * 3
    assert path.read_text() == SAVED[suffix]


def test_saved_json_lines(tmp_path: Path) -> None:
    save = SaveFile(tmp_path / "talk.jsonl")
    save.add(final("hello there"))
    save.close()
    (line,) = (tmp_path / "talk.jsonl").read_text().splitlines()
    assert json.loads(line)["text"] == "hello there" and len(json.loads(line)["words"]) == 2


@pytest.mark.parametrize("suffix", [".txt", ".srt", ".vtt", ".jsonl"])
def test_a_final_is_on_the_disk_before_it_is_shown(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"talk{suffix}"
    synced: list[int] = []
    monkeypatch.setattr(live_output.os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    on_disk: list[bool] = []

    class Looking(Remembered):
        def show(self, event: Event) -> None:
            if event.type == "final":
                on_disk.append(event.text in path.read_text() and synced[-1] == path.stat().st_size)

    run(Sounds(0.5, 0.5, 0.5, 0.5), Looking(), SaveFile(path))
    assert on_disk == [True, True, True]


def test_text_is_added_to_and_subtitles_are_not(tmp_path: Path) -> None:
    for _ in range(2):
        save = SaveFile(tmp_path / "notes.txt")
        save.add(final("again"))
        save.close()
    assert (tmp_path / "notes.txt").read_text() == "again\nagain\n"
    (tmp_path / "old.srt").write_text("kept")
    with pytest.raises(UsageError, match="holds 4 bytes already; give a new file"):
        SaveFile(tmp_path / "old.srt")
    assert (tmp_path / "old.srt").read_text() == "kept"


@pytest.mark.parametrize("name", ["talk", "talk.docx", ".srt", "missing/talk.srt", "folder.txt"])
def test_files_that_cannot_be_saved_to(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(UsageError, match="^cannot save to .*") as caught:
        SaveFile(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a device of Linux")
def test_a_full_disk_does_not_end_the_session(tmp_path: Path) -> None:
    (tmp_path / "full.txt").symlink_to("/dev/full")
    (tmp_path / "full.vtt").symlink_to("/dev/full")
    output = run(Sounds(0.5, 0.5, 0.5, 0.5), save=SaveFile(tmp_path / "full.txt"))
    assert output.texts("final") == ["part 1", "part 2", "the end"]
    remarks = [text for text in output.texts("status") if "save" in text]
    assert len(remarks) == 2
    assert "No space left on device" in remarks[0] and "22 bytes of text could not be saved" in remarks[1]
    with pytest.raises(UsageError, match="No space left on device"):
        SaveFile(tmp_path / "full.vtt")


def test_what_did_not_fit_is_written_when_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Crowded(io.FileIO):
        room = 0

        def write(self, data: Any) -> int:
            if not self.room:
                raise OSError(28, "No space left on device")
            taken, Crowded.room = min(self.room, len(data)), max(0, self.room - len(data))
            return super().write(bytes(data[:taken]))

    monkeypatch.setattr(live_output, "open", lambda path, *_, **__: Crowded(path, "ab"), raising=False)
    save = SaveFile(tmp_path / "a.txt")
    Crowded.room = 2
    assert "No space left" in save.add(final("one"))
    assert save.add(final("two")) == ""
    Crowded.room = 100
    assert save.add(final("three")) == f"saving to {str(tmp_path / 'a.txt')!r} again"
    assert save.close() == ""
    assert (tmp_path / "a.txt").read_text() == "one\ntwo\nthree\n"


def test_clashing_options(recognizer: Recognizer, recording: Path) -> None:
    with pytest.raises(UsageError, match="--device and --replay exclude each other"):
        live(recognizer, device="0", replay=recording)


def test_a_wrong_save_file_is_told_before_anything_is_shown(
    recognizer: Recognizer, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=r"must end in .srt"):
        live(recognizer, replay=recording, save=recording.parent / "x.doc")
    assert capsys.readouterr() == ("", "")


def test_live_on_a_pipe_prints_plain_lines(
    recognizer: Recognizer, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live(recognizer, replay=recording, speed=0)
    shown = capsys.readouterr()
    assert shown.out == recognizer.transcribe(recording).text + "\n"
    assert "noise.wav" in shown.err.splitlines()[0] and "end: 3.0 s heard" in shown.err.splitlines()[-1]


def screen(clock: Callable[[], float], width: int = 60) -> tuple[LiveScreen, io.StringIO]:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=width, height=10, legacy_windows=False, highlight=False)
    return LiveScreen(console, clock), stream


def test_the_screen_shows_finals_partials_and_the_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    shown, stream = screen(lambda: 0.0)
    shown.show(Event("status", "listening"))
    shown.show(final("hello there", 61.0))
    shown.show(Event("partial", "good by", "good", " by", latency_ms=41.4))
    shown.measure(Meter(-30.0, 75.0, 7.5, 3.2))
    shown.close()
    drawn = stream.getvalue()
    assert "01:01" in drawn and "hello there" in drawn and "listening" in drawn
    assert "\x1b[1mgood\x1b[0m\x1b[2m by\x1b[0m" in drawn
    assert "━" * 10 + "\x1b[0m" in drawn and "01:15" in drawn and "3 s behind" in drawn
    assert "\x1b[?1049h" not in drawn


def test_the_screen_is_calm_and_shows_the_loudest_since() -> None:
    times = iter(np.arange(0.0, 1.0, 0.03))
    shown, stream = screen(lambda: float(next(times)), width=120)
    drawings = []
    for block in range(30):
        before = stream.tell()
        shown.measure(Meter(0.0 if block == 2 else -60.0, block / 10, block / 100, 0.0))
        if stream.tell() > before:
            drawings.append((block, "━" * 20 in stream.getvalue()[before:]))
    shown.close()
    assert len(drawings) <= 10
    assert drawings[:3] == [(0, False), (4, True), (8, False)]
    assert "real-time factor 0.10" in stream.getvalue()


def test_of_a_long_partial_the_screen_shows_the_newest_lines() -> None:
    shown, stream = screen(lambda: 0.0, width=20)
    text = " ".join(f"word{number}" for number in range(100))
    shown.show(Event("partial", text, "", text))
    shown.measure(Meter(-60.0, 1.0, 0.0, 0.0))
    shown.close()
    assert "word99" in stream.getvalue() and "word89" not in stream.getvalue()


def test_the_output_suits_where_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(choose_output(as_json=True), JsonLines)
    assert isinstance(choose_output(), PlainLines)
    monkeypatch.setattr(sys, "stdout", None)  # closed by the shell
    assert isinstance(choose_output(), PlainLines)
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    output = choose_output()
    output.close()
    assert isinstance(output, LiveScreen)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(choose_output(), PlainLines)


def test_clock_times() -> None:
    assert [clock_time(s) for s in (0.0, 59.99, 61.0, 3661.5)] == ["00:00", "00:59", "01:01", "1:01:01"]


PROGRAM = """
import sys
from pathlib import Path
from edgespeech.demo.live import live
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.recognizer import Recognizer
live(Recognizer(load_bundle(Path(sys.argv[1])), beam_width=4), replay=sys.argv[2], as_json=True, save=sys.argv[3])
"""


@pytest.fixture
def process(tiny_bundle: Any, tmp_path: Path, noise: Callable[[int], Any]) -> Iterator[subprocess.Popen[str]]:
    """A session of ten minutes in real time, from which the first partial has come."""
    soundfile.write(tmp_path / "long.wav", noise(600 * RATE), RATE)
    command = [sys.executable, "-c", PROGRAM, str(tiny_bundle.folder), str(tmp_path / "long.wav")]
    with subprocess.Popen(
        [*command, str(tmp_path / "saved.txt")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            while json.loads(running.stdout.readline())["type"] != "partial":
                pass
            yield running
        finally:
            running.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_is_interrupted_gives_its_last_final(
    process: subprocess.Popen[str], number: signal.Signals, tmp_path: Path
) -> None:
    process.send_signal(number)
    out, err = process.communicate()
    events = [json.loads(line) for line in out.splitlines()]
    assert (process.returncode, err) == (0, "")
    assert [event["type"] for event in events[-2:]] == ["final", "status"]
    assert events[-2]["text"] + "\n" == (tmp_path / "saved.txt").read_text()
    assert events[-1]["text"].startswith("end: ") and events[-1]["end"] < 600.0


def test_a_process_whose_reader_leaves_ends_quietly(process: subprocess.Popen[str], tmp_path: Path) -> None:
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 0
    assert (tmp_path / "saved.txt").read_text().strip()
