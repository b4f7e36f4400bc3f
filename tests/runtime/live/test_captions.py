"""The file of captions: two short lines, replaced at once, cleared after silence, and emptied at the end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.errors import UsageError
from edgespeech.runtime.files import replacing
from edgespeech.runtime.live import captions as captions_module
from edgespeech.runtime.live.captions import CaptionedOutput, Captions
from edgespeech.runtime.live.outputs import Meter
from edgespeech.runtime.live.request import LiveRequest
from edgespeech.runtime.live.session import run_live
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Event
from tests.runtime.live.stand_ins import RATE, CollectingOutput, final

LONG = "she felt a little reassured and was free her when she discovered that her pet cat and dog had followed her"


def partial(text: str) -> Event:
    return Event("partial", text)


def meter(seconds: float) -> Meter:
    return Meter(-20.0, seconds, 0.1, 0.0)


def test_the_file_holds_the_newest_two_lines(tmp_path: Path) -> None:
    path = tmp_path / "captions.txt"
    captions = Captions(path)
    seen = [path.read_text()]
    events = [
        partial("one"),
        partial("one two"),
        Event("status", "the device coughed"),
        final("one two three"),
        partial("four"),
        partial(""),  # taken back
        partial(LONG[:65]),
        final(LONG),
        partial("a" * 50),
    ]
    for event in events:
        captions.show(event)
        seen.append(path.read_text())
    assert seen == [
        "",
        "one",
        "one two",
        "one two",
        "one two three",
        "one two three\nfour",
        "one two three",
        "she felt a little reassured and was free\nher when she discovered",
        "her when she discovered that her pet cat\nand dog had followed her",
        f"{'a' * 42}\n{'a' * 8}",
    ]
    captions.close()
    assert path.read_text() == "" and os.listdir(tmp_path) == ["captions.txt"]


def test_two_sources_have_a_line_each(tmp_path: Path) -> None:
    captions = Captions(tmp_path / "captions.txt")
    captions.show(partial("good morning"), "mic")
    captions.show(partial("hello"), "system")
    assert captions.path.read_text() == "mic: good morning\nsystem: hello"
    captions.show(partial("good morning all"), "mic")
    assert captions.path.read_text() == "system: hello\nmic: good morning all"


def test_captions_are_cleared_after_silence_and_come_back_with_speech(tmp_path: Path) -> None:
    captions = Captions(tmp_path / "captions.txt")
    captions.show(final("one two"))
    shown = []
    for second in range(10, 18):
        captions.show_meter(meter(second))
        captions.show_meter(meter(100.0 + second), "of another source, whose time does not count")
        shown.append(captions.path.read_text())
    assert shown == ["one two"] * 5 + [""] * 3
    captions.show(partial("three"))
    assert captions.path.read_text() == "three"


def test_a_reader_never_sees_half_of_a_version(tmp_path: Path) -> None:
    captions = Captions(tmp_path / "captions.txt")
    versions = {"", *(letter * 40 + "\n" + letter * 40 for letter in "abc")}
    torn: list[str] = []
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            if (text := captions.path.read_text()) not in versions:
                torn.append(text)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(300):
        letter = "abc"[number % 3]
        captions.show(partial(f"{letter * 40} {letter * 40}"))
    ended.set()
    reader.join()
    assert torn == []


def test_a_file_that_cannot_be_replaced_for_a_moment_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = CollectingOutput()
    shown = CaptionedOutput(output, Captions(tmp_path / "captions.txt"))
    works = replacing

    def refuse(path: Path, sync: bool = True) -> Any:
        raise UsageError(f"cannot write {path}: Permission denied")

    for second in range(12):
        monkeypatch.setattr(captions_module, "replacing", refuse if second < 9 else works)
        shown.show(partial(f"word {second // 4}"))
        shown.show_meter(meter(second / 2))
    assert output.texts("status") == [f"cannot write {tmp_path / 'captions.txt'}: Permission denied"]
    assert (tmp_path / "captions.txt").read_text() == "word 2"
    shown.close()
    assert output.closed and (tmp_path / "captions.txt").read_text() == ""


def test_captions_of_a_session(tiny_bundle: Any, tmp_path: Path, noise: Callable[[int], Any]) -> None:
    soundfile.write(tmp_path / "noise.wav", noise(3 * RATE), RATE)
    path = tmp_path / "captions.txt"
    seen: list[str] = []

    class Reading(CollectingOutput):
        def show(self, event: Event, source: str = "") -> None:
            super().show(event, source)
            if event.type != "status":
                seen.append(path.read_text())

    output = Reading()
    recognizer = Recognizer(tiny_bundle, beam_width=8, min_evidence=0.0)
    run_live(recognizer, LiveRequest(replays=[tmp_path / "noise.wav"], speed=0, captions=path), output)
    texts = [event.text for event in output.events if event.type != "status"]
    assert len(texts) == len(seen) > 5
    assert all(text.endswith(lines.splitlines()[-1]) for text, lines in zip(texts, seen, strict=True))
    assert path.read_text() == ""


def test_a_file_that_must_not_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(UsageError, match=r"notes.txt exists; give --overwrite"):
        LiveRequest(captions=tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "notes"
    LiveRequest(captions=tmp_path / "notes.txt", overwrite=True)
    with pytest.raises(UsageError, match="is not a file"):
        LiveRequest(captions=tmp_path)
    with pytest.raises(UsageError, match="cannot write .*No such file or directory"):
        LiveRequest(captions=tmp_path / "none" / "captions.txt")
