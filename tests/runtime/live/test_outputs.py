"""What a live session prints: JSON lines and plain lines."""

from __future__ import annotations

import io
import json
import sys

import pytest

from edgespeech.runtime.live.outputs import JsonLines, PlainLines, with_source_name
from tests.runtime.live.stand_ins import FakeSource, final, run


def test_json_lines_and_plain_lines() -> None:
    stream = io.StringIO()
    run(FakeSource(0.5, 0.5), JsonLines(stream))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["type"] for line in lines] == ["status", "partial", "final", "final", "status"]
    assert lines[1]["committed"] + lines[1]["tentative"] == lines[1]["text"] == "one t"
    assert lines[2]["words"][0] == {"word": "part", "start": 2.0, "end": 2.5, "confidence": 0.9}

    stream, status = io.StringIO(), io.StringIO()
    run(FakeSource(0.5, 0.5), PlainLines(stream, status))
    assert stream.getvalue() == "part 1\nthe end\n"
    assert status.getvalue().startswith("a test\nend: 2.0 s of audio")


def test_status_lines_that_nobody_reads_do_not_end_the_session() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    stream = io.StringIO()
    run(FakeSource(0.5, 0.5), PlainLines(stream, Gone()))
    assert stream.getvalue() == "part 1\nthe end\n"


def test_without_standard_error_status_lines_are_dropped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)  # closed by the shell
    run(FakeSource(0.5, 0.5), PlainLines())
    assert capsys.readouterr().out == "part 1\nthe end\n"


def test_events_of_several_sources_carry_the_source_name() -> None:
    event = final("hello there")
    named = with_source_name("left", event)
    assert named.text == "left: hello there" and [word.word for word in named.words] == ["left: hello", "there"]
    assert with_source_name("", event) is event
    stream, status = io.StringIO(), io.StringIO()
    PlainLines(stream, status).show(event, "left")
    JsonLines(stream).show(event, "left")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "left: hello there"
    assert (json.loads(lines[1])["source"], json.loads(lines[1])["text"]) == ("left", "hello there")
