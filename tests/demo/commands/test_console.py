"""Log messages on the command line: levels, one line each on terminals too, and no trace after the end."""

from __future__ import annotations

import contextlib
import logging
import os
import pty
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.cli import cli
from edgespeech.demo.commands.console import LOGGER, logging_to_console
from edgespeech.runtime.bundle import Bundle

Command = Callable[..., Any]
log = logging.getLogger("edgespeech.tests")
LONG = "chunk of 160.5 ms 'path' " + "word " * 60 + "end"


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    """Half a second of noise."""
    path = tmp_path / "noise.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(8000), 16000)
    return path


@pytest.fixture
def chatty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command with one message of every level."""

    @click.command()
    def chatty() -> None:
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            log.log(level, "%s of %d", logging.getLevelName(level).lower(), 2)
        click.echo("result")

    get_command = type(cli).get_command

    def find(group: Any, context: click.Context, name: str) -> click.Command | None:
        if name != "chatty":
            return get_command(group, context, name)
        from edgespeech.demo.cli import _add_verbosity

        _add_verbosity(chatty)
        return chatty

    monkeypatch.setattr(type(cli), "get_command", find)


LEVELS = {"-v": 0, "--verbose": 0, "": 1, "-q": 2, "--quiet": 2}


@pytest.mark.usefixtures("chatty")
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("option", LEVELS)
def test_the_level_is_chosen_before_or_after_the_command(edgespeech: Command, option: str, before: bool) -> None:
    outcome = edgespeech(*[option] * bool(option and before), "chatty", *[option] * bool(option and not before))
    messages = ["debug of 2", "info of 2", "warning of 2", "error of 2"][LEVELS[option] :]
    assert (outcome.code, outcome.out, outcome.err.splitlines()) == (0, "result\n", messages)


@pytest.mark.usefixtures("chatty")
def test_a_command_line_leaves_nothing_to_the_next(edgespeech: Command, caplog: pytest.LogCaptureFixture) -> None:
    assert edgespeech("chatty", "--quiet").err.count("\n") == 2
    assert edgespeech("chatty").err.count("\n") == 3
    assert edgespeech("chatty", "--verbose").err.count("\n") == 4
    assert edgespeech("chatty").err.count("\n") == 3
    assert (LOGGER.handlers, LOGGER.level, LOGGER.propagate) == ([], logging.NOTSET, True)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        log.info("seen")
    assert caplog.messages == ["seen"]


@pytest.mark.usefixtures("chatty")
def test_verbose_and_quiet_clash(edgespeech: Command) -> None:
    for arguments in (["chatty", "-v", "-q"], ["-q", "chatty", "-v"]):
        outcome = edgespeech(*arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err == "edgespeech: --verbose and --quiet clash; leave one of them out\n"


def test_verbose_reports_what_was_loaded(edgespeech: Command, tiny_bundle: Bundle, wav: Path) -> None:
    plain = edgespeech("transcribe", wav, "--bundle", tiny_bundle.folder)
    outcome = edgespeech("transcribe", wav, "--bundle", tiny_bundle.folder, "--beam-width", 9, "--verbose")
    assert plain.err == "" and outcome.out == plain.out
    assert f"bundle {tiny_bundle.folder}: tiny, fused, fp32\n" in outcome.err
    assert re.search(
        r"^beam search \((native|numpy)\): width 9, alpha 0, beta 0, no language model, 0 hot words$",
        outcome.err,
        re.MULTILINE,
    )
    assert re.search(r"^acoustic model: onnxruntime [\d.]+, provider cpu, threads 1$", outcome.err, re.MULTILINE)


def test_quiet_still_prints_errors(edgespeech: Command, tmp_path: Path) -> None:
    outcome = edgespeech("transcribe", tmp_path / "no.wav", "--quiet", "--bundle", tmp_path)
    assert outcome.code == 2 and outcome.err.startswith("edgespeech: ")


def on_terminal(print_lines: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what a terminal of 40 columns receives on standard error."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    master, slave = pty.openpty()
    with os.fdopen(slave, "w", encoding="utf-8", newline="") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        print_lines()
    received = b""
    with contextlib.suppress(OSError), os.fdopen(master, "rb", buffering=0) as reader:  # EIO after the last line
        while piece := reader.read(65536):
            received += piece
    return received.decode().replace("\r\n", "\n")


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_lines_on_a_terminal_are_neither_wrapped_nor_highlighted(monkeypatch: pytest.MonkeyPatch) -> None:
    def print_lines() -> None:
        with logging_to_console():
            log.info("%s", LONG)
            log.info("[bold]3 of 4[/bold] :smile: GET %d", 7)
            log.warning("%s", LONG)

    first, second, third, rest = on_terminal(print_lines, monkeypatch).split("\n")
    assert (first, second, rest) == (LONG, "[bold]3 of 4[/bold] :smile: GET 7", "")
    assert re.fullmatch(rf"\x1b\[33m{re.escape(LONG)}\x1b\[0m", third)


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_a_progress_bar_stays_below_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgespeech.runtime.measure.progress import Progress

    def print_lines() -> None:
        with logging_to_console(), Progress("working", 3) as progress:
            log.info("step 1 of 3")
            progress.advance()

    received = on_terminal(print_lines, monkeypatch)
    assert re.search(r"step 1 of 3\n", received)
    assert "working" in received.partition("step 1 of 3")[2]
