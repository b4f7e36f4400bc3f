"""The part of ``edgespeech adapt`` that a text takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgespeech.demo.commands.options import FILE, Command

if TYPE_CHECKING:
    from edgespeech.demo.bundles.own_text import TextBundle, TextRequest


def text_options(command: Command) -> Command:
    """Add the options of a text to a command."""
    text = click.option("--text", "texts", type=FILE, multiple=True, metavar="FILE",
                        help="Text whose words and phrases the language model learns, one sentence per line "
                        "(.txt, .gz, .xz, .bz2, or a manifest); repeatable.")  # fmt: skip
    weight = click.option("--text-weight", type=float, metavar="X",
                          help="Weight of the text, above 0 and below 1; default: what is best for a held-out part of "
                          "it and raises the perplexity of other sentences by at most 2.5 %.")  # fmt: skip
    return text(weight(command))


def adapt_to_text(request: TextRequest, output: Path) -> TextBundle:
    """Mix a text into the language model of a bundle, after a line on what that takes."""
    from edgespeech.demo.bundles.own_text import adapt_text
    from edgespeech.runtime.measure.progress import describe_duration

    def announce(seconds: float, megabytes: float) -> None:
        time = describe_duration(seconds)
        click.echo(f"the text takes about {time} and {megabytes / 1e3:.1f} GB of memory", err=True)

    return adapt_text(request, output, announce)
