"""Options that several commands share, made from the fields of `RecognizerOptions`, and the recognizer of them."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from edgespeech.runtime.options import RecognizerOptions, RecognizerRequest

if TYPE_CHECKING:
    from edgespeech.runtime.recognizer import Recognizer

log = logging.getLogger(__name__)

Command = TypeVar("Command", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
BUNDLE = click.option("--bundle", type=FILE, metavar="DIR", help="Bundle folder; the default bundle if not given.")

_TYPES: dict[str, click.ParamType[Any] | type] = {
    "int": int, "int | None": int, "float": float, "float | None": float, "str": str, "str | Path | None": FILE,
}  # fmt: skip


def _from_field(record: Field[Any], hidden: bool) -> Callable[[Command], Command]:
    """Make the option of a field that was declared with `edgespeech.runtime.decoder.options.option`."""
    names = record.metadata["names"] or (f"--{record.name.replace('_', '-')}",)
    return click.option(
        *names,
        record.name,
        type=_TYPES[str(record.type)],
        default=record.default,
        show_default=record.default is not None,
        metavar=record.metadata["metavar"],
        help=record.metadata["help"],
        callback=_zero_to_none if record.metadata["zero_disables"] else None,
        hidden=hidden,
    )


def _zero_to_none(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    return value or None


_FROM_FIELDS = tuple(one.name for one in fields(RecognizerOptions) if "help" in one.metadata)
# Options of another form than their fields: a flag that negates, and files.
_OTHER_FORMS = {
    "use_lm": (click.option("--no-lm", is_flag=True, help="Decode without a language model."),),
    "hot_words": (
        click.option("--hot-word", multiple=True, metavar="WORDS:BOOST",
                     help="Expected phrase and the score (natural log) that it adds; repeatable."),
        click.option("--hot-words", type=FILE, metavar="FILE", help="File of hot words, one WORDS:BOOST per line."),
    ),
    "grammar": (
        click.option("--grammar", type=FILE, metavar="FILE",
                     help="Recognise only the phrases in this file, one per line, and <unknown>."),
    ),
}  # fmt: skip


def recognizer_options(*unused: str) -> Callable[[Command], Command]:
    """Make a decorator that adds the options of a recognizer, which the command receives as the parameter ``request``.

    ``unused`` names the fields that have no effect on this command: their options are accepted, but not in the help.
    """
    added = [BUNDLE]
    for field in fields(RecognizerOptions):
        if field.name in _FROM_FIELDS:
            added.append(_from_field(field, hidden=field.name in unused))
        added += _OTHER_FORMS.get(field.name, ())

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(*arguments: Any, **given: Any) -> Any:
            return command(*arguments, request=_take_request(given), **given)

        decorated: Any = run
        for add in reversed(added):
            decorated = add(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate


def _take_request(given: dict[str, Any]) -> RecognizerRequest:
    """Move the options of a recognizer out of a command's parameters."""
    from edgespeech.runtime.decoder.grammar import read_grammar
    from edgespeech.runtime.decoder.hot_words import parse_hot_word, read_hot_words

    context = click.get_current_context()
    named = [name for name in context.params if context.get_parameter_source(name) is not ParameterSource.DEFAULT]
    bundle, one_by_one, file, grammar = (given.pop(name) for name in ("bundle", "hot_word", "hot_words", "grammar"))
    hot_words = (read_hot_words(file) if file else {}) | dict(map(parse_hot_word, one_by_one))
    settings = {name: given.pop(name) for name in _FROM_FIELDS}
    options = RecognizerOptions(
        use_lm=not given.pop("no_lm"),
        hot_words=hot_words or None,
        grammar=read_grammar(grammar) if grammar else None,
        **settings,
    )
    return RecognizerRequest(bundle, options, frozenset(named))


def load_recognizer(request: RecognizerRequest) -> Recognizer:
    """Load the recognizer that the command line selects.

    Raises:
        EdgespeechError: The bundle, the language model or a setting is invalid.
    """
    from edgespeech.runtime.bundle import load_bundle
    from edgespeech.runtime.node_placement import describe_fallback
    from edgespeech.runtime.recognizer import Recognizer

    recognizer = Recognizer(load_bundle(request.bundle), request.options)
    fallback = describe_fallback(recognizer.model.nodes, recognizer.model.nodes_on_cpu)
    if fallback:
        log.warning("provider %s: %s", request.options.provider, fallback)
    return recognizer
