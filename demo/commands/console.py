"""Logging on the command line: to standard error, with rich on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
from typing import Any

import click


class PlainHandler(logging.Handler):
    """Writes each message as one line to whatever standard error is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        click.echo(self.format(record), err=True)


def log_to_console(level: int) -> None:
    """Show the package's log messages from this level on; a later call replaces the handler and the level."""
    logger = logging.getLogger("edgespeech")
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
    logger.addHandler(_handler())
    logger.setLevel(level)
    logger.propagate = False


def _handler() -> logging.Handler:
    if sys.stderr is None or not sys.stderr.isatty():
        return PlainHandler()
    from rich.console import Console
    from rich.logging import RichHandler

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    return RichHandler(console=console, show_time=False, show_level=False, show_path=False, rich_tracebacks=False)


def _set_level(context: click.Context, parameter: click.Parameter, given: bool) -> bool:
    if given:
        log_to_console(logging.DEBUG if parameter.name == "verbose" else logging.WARNING)
    return given


def verbosity_options() -> list[click.Option]:
    """Make ``--verbose`` and ``--quiet`` for a command; they take effect while the command line is parsed."""
    common: dict[str, Any] = {"is_flag": True, "expose_value": False, "callback": _set_level}
    return [
        click.Option(["-v", "--verbose"], help="Also print details.", **common),
        click.Option(["-q", "--quiet"], help="Print only results, warnings and errors.", **common),
    ]
