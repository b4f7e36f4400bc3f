"""`edgespeech live` on standard output: plain lines, JSON lines, a reader that leaves, options and their aliases."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.live import terminal
from edgespeech.demo.live.terminal import run_on_terminal
from edgespeech.errors import EdgespeechError, UsageError
from edgespeech.runtime.live.outputs import Output
from edgespeech.runtime.live.request import LiveRequest
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Event


@pytest.fixture
def recognizer(tiny_bundle: Any) -> Recognizer:
    return Recognizer(tiny_bundle, beam_width=8, min_evidence=0.0)


@pytest.fixture
def recording(tmp_path: Path, noise: Callable[[int], Any]) -> Path:
    soundfile.write(tmp_path / "noise.wav", noise(3 * 22050), 22050)
    return tmp_path / "noise.wav"


def test_live_on_a_pipe_prints_plain_lines(
    recognizer: Recognizer, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_on_terminal(recognizer, LiveRequest(replays=[recording], speed=0))
    shown = capsys.readouterr()
    assert shown.out == recognizer.transcribe(recording).text + "\n"
    assert "noise.wav" in shown.err.splitlines()[0] and "end: 3.0 s of audio" in shown.err.splitlines()[-1]


def test_an_invalid_save_file_is_refused_before_anything_is_shown(
    recognizer: Recognizer, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=r"must end in .srt"):
        run_on_terminal(recognizer, LiveRequest(replays=[recording], save=recording.parent / "x.doc"))
    assert capsys.readouterr() == ("", "")


class Failing(Output):
    """An output that fails at the first event."""

    def __init__(self, error: OSError) -> None:
        self.error = error

    def show(self, event: Event, source: str = "") -> None:  # noqa: D102
        raise self.error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (BrokenPipeError(), None),
        (OSError(28, "No space left on device"), "standard output cannot be written: No space left"),
    ],
)
def test_a_reader_that_leaves_is_no_error_and_a_full_disk_is_one(
    recognizer: Recognizer, recording: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, message: str | None
) -> None:
    abandoned: list[bool] = []
    monkeypatch.setattr(terminal, "abandon_standard_output", lambda: abandoned.append(True))
    monkeypatch.setattr(terminal, "choose_output", lambda as_json: Failing(error))
    request = LiveRequest(replays=[recording], speed=0)
    if message is None:
        run_on_terminal(recognizer, request)
    else:
        with pytest.raises(EdgespeechError, match=message):
            run_on_terminal(recognizer, request)
    assert abandoned == [True]


@pytest.mark.parametrize("option", ["--latency-report", "--ledger"])
def test_the_latency_report_has_a_new_and_an_old_option(
    edgespeech: Callable[..., Any], tiny_bundle: Any, recording: Path, option: str
) -> None:
    outcome = edgespeech("live", "--replay", recording, "--speed", 0, "--bundle", tiny_bundle.folder, "--json", option)
    events = [json.loads(line) for line in outcome.out.splitlines()]
    assert (outcome.code, outcome.err) == (0, "")
    assert any("look-ahead" in event["text"] for event in events if event["type"] == "status")
    keys = {"type", "text", "committed", "tentative", "start", "end", "latency_ms"}
    assert all(event.keys() - {"words", "word_latency_ms"} == keys for event in events)
    assert all(("word_latency_ms" in event) == (event["type"] == "final") for event in events)


def test_options_that_exclude_each_other_are_refused_in_one_line(edgespeech: Callable[..., Any]) -> None:
    outcome = edgespeech("live", "--replay", "a.wav", "--device", "usb")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("edgespeech: --device and --replay exclude each other")
    assert len(outcome.err.splitlines()) == 1
