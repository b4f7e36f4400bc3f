"""`edgespeech record` with recordings in place of a microphone, and in a terminal with keys."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from edgespeech.demo.cli import cli
from edgespeech.demo.record.run import RecordRequest
from edgespeech.errors import UsageError
from edgespeech.runtime.live import microphone_source
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest, read_samples
from tests.demo.live.tmux import Tmux
from tests.runtime.live.fake_portaudio import FakePortAudio, FakeStream

ROOT = Path(__file__).resolve().parents[3]
CLIPS = [one for one in read_manifest(SAMPLE_CLIPS) if (one.speaker or "").startswith("ls")]


@pytest.fixture
def sentences(tmp_path: Path) -> Path:
    (tmp_path / "sentences.txt").write_text("\n".join(one.text for one in CLIPS), encoding="utf-8")
    return tmp_path / "sentences.txt"


def arguments(folder: Path, sentences: Path, clips: list[Path]) -> list[str]:
    replays = [word for path in clips for word in ("--replay", str(path))]
    return ["record", "-o", str(folder), "--sentences", str(sentences), *replays]


def test_replays_are_recorded_and_a_second_call_goes_on(tmp_path: Path, sentences: Path) -> None:
    by_text = {one.text: one.path for one in CLIPS}
    shown = CliRunner().invoke(cli, arguments(tmp_path / "mine", sentences, [SAMPLE_CLIPS.parent / "none.wav"]))
    assert "none.wav" in str(shown.exception)
    first = next(line for line in shown.output.splitlines() if line.startswith("1/3  ")).removeprefix("1/3  ")
    done = CliRunner().invoke(cli, arguments(tmp_path / "mine", sentences, [by_text[first]]))
    assert done.exit_code == 0 and "1 recording, 0.1 minutes; 2 sentences are left: the same command" in done.output
    others = [path for text, path in by_text.items() if text != first]
    done = CliRunner().invoke(cli, arguments(tmp_path / "mine", sentences, [*others, *others]))
    assert "3 recordings, 0.3 minutes, all sentences are recorded" in done.output
    lines = [json.loads(line) for line in (tmp_path / "mine" / "speech.jsonl").read_text("utf-8").splitlines()]
    assert {line["text"] for line in lines} == set(by_text) and {line["speaker"] for line in lines} == {"me"}


class SpeakingMicrophone(FakePortAudio):
    """A microphone that gives a recording in short blocks as soon as it is opened."""

    def __init__(self, samples: NDArray[np.float32]) -> None:
        super().__init__()
        self.devices[1] = self.device("Built-in Audio", 1, 16000.0)
        self._samples = samples

    def InputStream(self, **settings: Any) -> FakeStream:  # noqa: D102, N802
        stream = super().InputStream(**settings)
        start = stream.start

        def start_and_speak() -> None:
            start()
            for block in np.array_split(self._samples, len(self._samples) // 480):
                stream.give(block)

        stream.start = start_and_speak  # type: ignore[method-assign]
        return stream


def test_a_take_from_the_microphone_ends_after_a_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = CLIPS[2]
    room = np.random.default_rng(0).normal(0.0, 3e-4, 32000).astype(np.float32)
    spoken = np.concatenate([room[:16000], read_samples(clip, 16000), room])
    monkeypatch.setitem(sys.modules, "sounddevice", SpeakingMicrophone(spoken))
    monkeypatch.setattr(microphone_source, "_open_sources", set())
    (tmp_path / "one.txt").write_text(clip.text, encoding="utf-8")
    done = CliRunner().invoke(cli, arguments(tmp_path / "mine", tmp_path / "one.txt", []))
    assert done.exit_code == 0, done.exception
    assert "0001.flac  " in done.output and "1 recording, 0.1 minutes, all sentences are recorded" in done.output
    line = json.loads((tmp_path / "mine" / "speech.jsonl").read_text("utf-8"))
    assert line["text"] == clip.text and abs(line["duration"] - (clip.duration or 0.0)) < 1.1


def test_what_clashes_or_is_out_of_range_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--minutes 0; wanted more than 0, at most 120"):
        RecordRequest(tmp_path, minutes=0.0)
    with pytest.raises(UsageError, match="--device and --replay clash"):
        RecordRequest(tmp_path, device="1", replays=(tmp_path,))


SCRIPT = """
import contextlib, itertools, sys, time
from pathlib import Path
import numpy as np
from edgespeech.demo.record import run, session
from edgespeech.demo.record.verdict import Verdict
from edgespeech.runtime.live.sources import Block

def blocks():
    for _ in itertools.count():
        time.sleep(0.03)
        yield Block(np.full(480, 0.1, np.float32), 0.0)

class Recognizer:
    sample_rate = 16000

shared = blocks()
run._open = contextlib.contextmanager(lambda request, rate: (yield lambda: shared))
session.judge = lambda *given: Verdict("")
print(run.record(Recognizer(), run.RecordRequest(Path(sys.argv[1]), minutes=0.5)))
"""


def wait_for(shown: Callable[[], str], text: str) -> None:
    end = time.monotonic() + 60.0
    while text not in shown():
        assert time.monotonic() < end, shown()
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform == "win32", reason="tmux")
def test_keys_end_takes_repeat_skip_and_quit_in_a_terminal(tmp_path: Path) -> None:
    terminal = Tmux([sys.executable, "-c", SCRIPT, str(tmp_path / "mine")], 70, 20, {"PYTHONPATH": os.fspath(ROOT)})
    try:

        def shown() -> str:
            return "\n".join(terminal.rows)

        wait_for(shown, "1/6")
        wait_for(shown, "━")
        assert "Enter ends" in shown()
        terminal.type("Enter")
        wait_for(shown, "2/6")
        terminal.type("s")
        wait_for(shown, "3/6")
        terminal.type("r")
        wait_for(shown, "2/6")
        terminal.type("Enter")
        wait_for(shown, "0002.flac")
        terminal.type("q")
        code, lines = terminal.wait()
        assert code == 0
        assert [line[:9] for line in lines if ".flac" in line] == ["0001.flac", "0002.flac"]
        assert any(line.startswith("2 recordings, ") and "sentences are left" in line for line in lines)
        assert "Enter ends" not in "\n".join(lines)
    finally:
        terminal.close()
