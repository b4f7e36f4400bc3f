"""Logging on the command line: one line per message on standard error, with rich's handler on a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from edgespeech.errors import UsageError

if TYPE_CHECKING:
    from rich.logging import RichHandler

LOGGER = logging.getLogger("edgespeech")
_LEVELS = {"verbose": logging.DEBUG, "quiet": logging.WARNING}
_STYLES = {logging.DEBUG: "dim", logging.WARNING: "yellow", logging.ERROR: "red", logging.CRITICAL: "red"}


class ConsoleHandler(logging.Handler):
    """Writes each message as one line to standard error as it is at that moment; imports rich only on a terminal."""

    def emit(self, record: logging.LogRecord) -> None:  # noqa: D102
        if sys.stderr is not None and sys.stderr.isatty():
            self._rich_handler.emit(record)
        else:
            click.echo(self.format(record), err=True)

    @cached_property
    def _rich_handler(self) -> RichHandler:
        from rich.console import Console
        from rich.logging import RichHandler
        from rich.text import Text

        class LineHandler(RichHandler):
            def render(self, *, record: logging.LogRecord, **_: Any) -> Text:  # the original's table wraps long lines
                return Text(self.format(record), style=_STYLES.get(record.levelno, ""))

        console = Console(file=_StandardError(), force_terminal=True, soft_wrap=True)  # type: ignore[arg-type]
        return LineHandler(console=console)


class _StandardError:
    """Standard error as it is at that moment: a progress bar replaces it, and prints what is written above itself."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


@contextmanager
def logging_to_console() -> Iterator[None]:
    """Print the package's log messages while the block runs: INFO and above, unless an option changes the level."""
    handler = ConsoleHandler()
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(logging.NOTSET)


def _set_level(context: click.Context, parameter: click.Parameter, given: bool) -> bool:
    name = str(parameter.name)
    if given and context.meta.setdefault("edgespeech.verbosity", name) != name:
        raise UsageError("--verbose and --quiet clash; leave one of them out")
    if given:
        LOGGER.setLevel(_LEVELS[name])
    return given


def verbosity_options() -> list[click.Option]:
    """Make ``--verbose`` and ``--quiet`` for a command; they take effect while the command line is parsed."""
    common: dict[str, Any] = {"is_flag": True, "expose_value": False, "callback": _set_level}
    return [
        click.Option(["-v", "--verbose"], help="Also print details.", **common),
        click.Option(["-q", "--quiet"], help="Print only results, warnings and errors.", **common),
    ]
