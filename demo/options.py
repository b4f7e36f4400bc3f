"""Options that several commands share, and the recognizer that they describe."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import click

from edgespeech.errors import MissingDependencyError
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.grammar import read_grammar
from edgespeech.runtime.hot_words import parse_hot_word, read_hot_words
from edgespeech.runtime.node_placement import describe_fallback
from edgespeech.runtime.noise_gate import NATS_PER_WORD
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
    click.option("--hot-word", "hot_word", multiple=True, metavar="WORDS:BOOST",
                 help="A word or phrase to expect, and what it adds (natural log); may be given again."),
    click.option("--hot-words", type=FILE, metavar="FILE", help="The same from a file, one a line."),
    click.option("--grammar", type=FILE, metavar="FILE",
                 help="Nothing but these phrases, one a line, and <unknown> can come out."),
    click.option("--filler-score", type=float, metavar="X",
                 help="With --grammar: natural log for each letter of other speech; the lower, the less is rejected."),
    click.option("--nbest", type=int, default=1, show_default=True, metavar="N", help="Readings to report."),
    click.option("--endpoint", type=float, default=1.0, show_default=True, metavar="SECONDS",
                 help="Silence after speech that ends a segment; 0 leaves this rule out."),
    click.option("--endpoint-empty", type=float, default=5.0, show_default=True, metavar="SECONDS",
                 help="Silence before any speech that begins a segment anew; 0 leaves this rule out."),
    click.option("--longest", type=float, default=30.0, show_default=True, metavar="SECONDS",
                 help="Length from which a segment ends between two words; 0 leaves this rule out."),
    click.option("--noise-gate", type=float, default=NATS_PER_WORD, show_default=True, metavar="NATS",
                 help="Evidence per word that a segment needs not to be noise; 0 shows everything."),
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


def chosen_hot_words(one_by_one: tuple[str, ...], file: Path | None) -> dict[str, float]:
    """Read --hot-words and then --hot-word, which wins where both name a phrase.

    Raises:
        UsageError: One of them cannot be read.
    """
    return (read_hot_words(file) if file else {}) | dict(map(parse_hot_word, one_by_one))


def make_recognizer(
    bundle: Path | None,
    beam_width: int | None,
    alpha: float | None,
    beta: float | None,
    unknown_score: float | None,
    no_lm: bool,
    lm: Path | None,
    hot_word: tuple[str, ...],
    hot_words: Path | None,
    grammar: Path | None,
    filler_score: float | None,
    nbest: int,
    endpoint: float,
    endpoint_empty: float,
    longest: float,
    noise_gate: float,
    chunk_ms: float | None,
    threads: int,
    provider: str,
) -> Recognizer:
    """Load what the options describe.

    Raises:
        EdgespeechError: The bundle, the language model or a setting does not do.
    """
    recognizer = Recognizer(
        load_bundle(bundle),
        beam_width=beam_width,
        alpha=alpha,
        beta=beta,
        unknown_score=unknown_score,
        use_lm=not no_lm,
        lm=lm,
        hot_words=chosen_hot_words(hot_word, hot_words),
        grammar=read_grammar(grammar) if grammar else None,
        filler_score=filler_score,
        nbest=nbest,
        endpoint_seconds=endpoint or None,
        empty_seconds=endpoint_empty or None,
        longest_seconds=longest or None,
        noise_gate=noise_gate,
        chunk_ms=chunk_ms,
        threads=threads,
        provider=provider,
    )
    fallback = describe_fallback(recognizer.model.nodes, recognizer.model.nodes_on_cpu)
    if fallback:
        say(f"provider {provider}: {fallback}")
    return recognizer


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
