"""A session: good takes are stored, others repeated, and keys choose what to do."""

# ruff: noqa: D102  (methods of stand-ins)

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from edgespeech.demo.record import session as module
from edgespeech.demo.record.capture import Recorded
from edgespeech.demo.record.session import Input, Session, Summary
from edgespeech.demo.record.takes import Takes
from edgespeech.demo.record.verdict import Verdict
from edgespeech.demo.record.view import PlainView, ScreenView
from edgespeech.runtime.live.sources import Block
from edgespeech.runtime.recognizer import Recognizer
from tests.demo.live.emulator import EmulatedConsole, Terminal

SENTENCES = ["First of all.", "Then another.", "At last."]


class Script:
    """A user: speaks endlessly, presses the next keys with each block, and reads well or not as listed."""

    def __init__(self, keys: Sequence[bytes], good: Sequence[bool]) -> None:
        self._keys, self._good = iter(keys), iter(good)

    def blocks(self) -> Iterator[Block]:
        while True:
            yield Block(np.full(480, 0.1, np.float32), 0.0)

    def keys(self) -> bytes:
        return next(self._keys)

    def judge(self, recorded: Recorded, sentence: str, recognizer: Recognizer) -> Verdict:
        return Verdict("") if next(self._good) else Verdict("too quiet", "noise", 0.9)


@pytest.fixture
def shown() -> list[str]:
    return []


def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: list[str], keys: Sequence[bytes], good: Sequence[bool] = ()
) -> tuple[Summary, list[str]]:
    script = Script(keys, good)
    monkeypatch.setattr(module, "judge", script.judge)
    takes = Takes(tmp_path, "me")
    source = Input(script.blocks, 16000, script.keys, has_keys=True)
    summary = Session(cast(Recognizer, None), takes, PlainView(shown.append), source).run(SENTENCES)
    return summary, takes.missing(SENTENCES)


def test_enter_ends_a_take_and_good_ones_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: list[str]
) -> None:
    summary, missing = run(tmp_path, monkeypatch, shown, [b"", b"\r", b"", b"\r", b" "], [True, True, True])
    assert summary == Summary(3, 0, True) and missing == []
    assert shown[0] == "1/3  First of all." and shown[1].startswith("0001.flac  0.1 s")
    assert shown[-1].endswith("0.0 minutes so far")


def test_a_bad_take_is_repeated_kept_or_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: list[str]
) -> None:
    keys = [b"\r", b"\r", b"\r", b"k", b"\r", b"", b"x", b"s", b"q"]
    summary, missing = run(tmp_path, monkeypatch, shown, keys, [False, False, False])
    assert summary == Summary(1, 1, False) and missing == SENTENCES[1:]
    assert shown[1] == "again: too quiet, but like: noise"
    assert [line[:3] for line in shown if line[1] == "/"] == ["1/3", "1/3", "2/3", "3/3"]


def test_the_last_sentence_can_be_repeated_and_the_session_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: list[str]
) -> None:
    summary, missing = run(tmp_path, monkeypatch, shown, [b"\r", b"", b"r", b"\r", b"Q"], [True, True])
    assert summary == Summary(2, 0, False) and missing == SENTENCES[1:]
    assert [line[:3] for line in shown if line[1] == "/"] == ["1/3", "2/3", "1/3", "2/3"]


def test_a_file_is_a_take_and_three_bad_ones_skip_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: list[str]
) -> None:
    script = Script([], [False, False, False, True])
    monkeypatch.setattr(module, "judge", script.judge)
    files = iter([[0.1, 0.2], [0.1], [0.1], [0.3]])

    def blocks() -> Iterator[Block] | None:
        values = next(files, None)
        return None if values is None else iter([Block(np.full(480, one, np.float32), 0.0) for one in values])

    takes = Takes(tmp_path, "me")
    session = Session(cast(Recognizer, None), takes, PlainView(shown.append), Input(blocks, 16000, ends_itself=True))
    assert session.run(SENTENCES) == Summary(1, 1, False)
    assert takes.missing(SENTENCES) == [SENTENCES[0], SENTENCES[2]]


def test_a_microphone_that_ends_ends_the_session(tmp_path: Path, shown: list[str]) -> None:
    source = Input(lambda: iter([Block(np.zeros(480, np.float32), 0.0)]), 16000)
    session = Session(cast(Recognizer, None), Takes(tmp_path, "me"), PlainView(shown.append), source)
    assert session.run(SENTENCES) == Summary(0, 0, False)


@pytest.mark.parametrize("columns", [24, 80])
def test_the_terminal_shows_the_sentence_the_level_and_the_keys(columns: int) -> None:
    terminal = Terminal(columns)
    now = [0.0]
    view = ScreenView(EmulatedConsole(terminal), lambda: now[0])
    view.ask_to_read("A sentence that is wrapped on a narrow terminal.", "1/69")
    for _ in range(5):
        now[0] += 1.0
        view.level(-12.0)
    shown = " ".join(" ".join(terminal.visible).split())
    assert "A sentence that is wrapped on a narrow terminal." in shown
    assert "━━━" in shown and "1/69" in shown and "q quits" in shown
    view.report("again: too quiet", good=False, asks=True)
    assert terminal.rows[0] == "again: too quiet"
    assert "k keeps" in " ".join(" ".join(terminal.rows).split())
    view.close()
    assert terminal.visible == ["again: too quiet"]
