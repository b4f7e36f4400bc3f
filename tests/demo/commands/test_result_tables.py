"""Every command that prints a table draws it on a terminal, and writes Markdown into a pipe or on request."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyte
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.runtime.bundle import Bundle
from tests.demo.bench.test_report import report, result

Command = Callable[..., Any]
WIDTH, HEIGHT = 80, 200
LANGUAGE_MODEL = Path(__file__).parents[2] / "golden" / "tiny.bin"
COMMANDS = {
    "bench compare": "a.json b.json",
    "confidence": "dev.jsonl --bundle BUNDLE --min-evidence 0",
    "data check": "dev.jsonl",
    "evaluate": "dev.jsonl dev.jsonl --bundle BUNDLE",
    "hot-words": "dev.jsonl --bundle BUNDLE --hot-word zebra",
    "lm info": str(LANGUAGE_MODEL),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(1).standard_normal(16000), 16000)
    line = json.dumps({"audio_filepath": "a.wav", "duration": 1.0, "text": "zebra go on"})
    (tmp_path / "dev.jsonl").write_text(f"{line}\n{line}\n")
    for name, rtf in (("a", 0.02), ("b", 0.03)):
        (tmp_path / f"{name}.json").write_bytes(msgspec.json.encode(report(result(rtf=rtf))))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def screen_of(text: str) -> list[str]:
    """Return what a terminal shows."""
    screen = pyte.Screen(WIDTH, HEIGHT)
    pyte.Stream(screen).feed(text.replace("\n", "\r\n"))
    return [line.rstrip() for line in screen.display[: screen.cursor.y]]


def is_markdown(line: str) -> bool:
    return line.startswith("| ") and line.endswith(" |")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("command", COMMANDS)
def test_tables_are_drawn_on_a_terminal_only(
    edgespeech: Command, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    arguments = [*command.split(), *COMMANDS[command].replace("BUNDLE", str(tiny_bundle.folder)).split()]
    piped = edgespeech(*arguments)
    assert piped.code in {0, 1} and any(map(is_markdown, piped.out.splitlines()))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setenv("TERM", "xterm-256color")
    text = edgespeech(*arguments).out
    drawn = screen_of(text)
    assert len(drawn) == text.count("\n"), "no line is wider than the terminal"
    assert any(set(line) == {"─"} for line in drawn), "a rule below the headings"
    assert not any(map(is_markdown, drawn))
    asked = edgespeech(*arguments, "--markdown").out.splitlines()
    assert any(map(is_markdown, asked)) and not any("\x1b" in line for line in asked)


@pytest.mark.parametrize("command", [*COMMANDS, "bench", "tune-device", "lm tune", "lm compare", "data scaling"])
def test_json_and_markdown_clash(edgespeech: Command, command: str) -> None:
    arguments = [] if command in {"bench", "tune-device"} else ["absent"] * (1 + (command == "bench compare"))
    for both in (["--json", "--markdown"], ["--markdown", "--json"]):
        outcome = edgespeech(*command.split(), *arguments, *both)
        assert (outcome.code, outcome.out) == (2, "")
        assert "--json and --markdown" in outcome.err and outcome.err.count("\n") == 1
