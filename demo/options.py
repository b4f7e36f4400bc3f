"""Options that several commands share, and the recognizer that they describe."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import click

from edgespeech.errors import MissingDependencyError
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.recognizer import Recognizer

Command = TypeVar("Command", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)


def say(line: str) -> None:
    """A remark for the person at the terminal."""
    click.echo(line, err=True)


BUNDLE = click.option("--bundle", type=FILE, metavar="DIR", help="Bundle folder; default: the one that ships.")

_RECOGNIZER_OPTIONS = (
    BUNDLE,
    click.option("--beam-width", type=int, metavar="N", help="Readings that the search keeps."),
    click.option("--alpha", type=float, help="Weight of the language model."),
    click.option("--beta", type=float, help="Bonus for each word."),
    click.option("--unknown-score", type=float, help="Natural log added for a word that the model does not know."),
    click.option("--no-lm", is_flag=True, help="Search without the language model."),
    click.option("--lm", type=FILE, metavar="FILE", help="Another KenLM model (binary or ARPA)."),
    click.option("--nbest", type=int, default=1, show_default=True, metavar="N", help="Readings to report."),
    click.option("--endpoint", type=float, default=1.0, show_default=True, metavar="SECONDS",
                 help="Silence that ends a segment; 0 never ends one."),
    click.option("--chunk-ms", type=float, metavar="MS", help="Audio per step, if the bundle leaves it free."),
    click.option("--threads", type=int, default=1, show_default=True, metavar="N", help="CPU threads of the model."),
    click.option("--provider", default="cpu", show_default=True, metavar="NAME",
                 help="Where the model runs: cpu, cuda, tensorrt, coreml, xnnpack, openvino, directml."),
)  # fmt: skip


def recognizer_options(command: Command) -> Command:
    """Add the options that `make_recognizer` takes."""
    for option in reversed(_RECOGNIZER_OPTIONS):
        command = option(command)
    return command


def make_recognizer(
    bundle: Path | None,
    beam_width: int | None,
    alpha: float | None,
    beta: float | None,
    unknown_score: float | None,
    no_lm: bool,
    lm: Path | None,
    nbest: int,
    endpoint: float,
    chunk_ms: float | None,
    threads: int,
    provider: str,
) -> Recognizer:
    """Load what the options describe.

    Raises:
        EdgespeechError: The bundle, the language model or a setting does not do.
    """
    return Recognizer(
        load_bundle(bundle),
        beam_width=beam_width,
        alpha=alpha,
        beta=beta,
        unknown_score=unknown_score,
        use_lm=not no_lm,
        lm=lm,
        nbest=nbest,
        endpoint_seconds=endpoint or None,
        chunk_ms=chunk_ms,
        threads=threads,
        provider=provider,
    )


def require(modules: str, extra: str) -> None:
    """Ask for the libraries of an extra before a command imports them.

    Raises:
        MissingDependencyError: One of them is not installed.
    """
    missing = [name for name in modules.split() if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"this command needs {', '.join(missing)}, which is not installed; run: pip install 'edgespeech[{extra}]'"
        )
