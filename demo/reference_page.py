"""The page of all commands, made from their ``--help``. Run: python -m edgespeech.demo.reference_page FILE.md."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from edgespeech.demo.cli import cli

WIDTH = 100
PROGRAM = "edgespeech"
INTRODUCTION = """\
# Command line

Every command with its options, as `--help` prints them. `make docs` writes this page; do not edit it by hand.

Results go to standard output, progress, log messages and warnings to standard error. Exit codes: 0 for success, 1 where
the work was done and its result refused or found to differ, 2 for an invalid input or option, 130 after Ctrl-C.
"""


def render_page() -> str:
    """Return the page as Markdown: one section per command, in alphabetical order."""
    sections = [f"## {path}\n\n```text\n{text}\n```\n" for path, text in help_texts()]
    return "\n".join([INTRODUCTION, *sections])


def help_texts() -> Iterator[tuple[str, str]]:
    """Yield each command line up to its options, such as ``edgespeech lm build``, and its help text."""
    yield from _texts_below(cli, click.Context(cli, info_name=PROGRAM, terminal_width=WIDTH, **cli.context_settings))


def _texts_below(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    yield context.command_path, context.get_help().rstrip()
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                below = click.Context(inner, parent=context, info_name=name, terminal_width=WIDTH)
                yield from _texts_below(inner, below)


def main() -> None:
    """Write the page to the file named on the command line."""
    Path(sys.argv[1]).write_text(render_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
