"""Options that several commands share, made from the fields of `RecognizerOptions`, and the recognizer of them."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import Field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from edgespeech.errors import UsageError
from edgespeech.runtime.options import RecognizerOptions, RecognizerRequest

if TYPE_CHECKING:
    from edgespeech.runtime.bundle import Bundle
    from edgespeech.runtime.recognizer import Recognizer

log = logging.getLogger(__name__)

Command = TypeVar("Command", bound=Callable[..., Any])
Value = TypeVar("Value")
FILE = click.Path(path_type=Path)


def values(convert: Callable[[str], Value]) -> Callable[[click.Context, click.Parameter, str | None], list[Value]]:
    """Make an option's callback that splits ``a,b,c`` and converts each value; repeated values are dropped."""

    def read(context: click.Context, parameter: click.Parameter, text: str | None) -> list[Value]:
        try:
            return list(dict.fromkeys(convert(part.strip()) for part in (text or "").split(",") if part.strip()))
        except ValueError:
            raise UsageError(f"{parameter.opts[0]} {text!r} is invalid; wanted values separated by commas") from None

    return read


LABELS = click.option("--labels", metavar="CHARACTERS",
                      help="Characters that have labels, as in the recipe; by default the English ones.")  # fmt: skip


def _choose_form(context: click.Context, parameter: click.Parameter, given: bool) -> bool:
    name = parameter.opts[0]
    if given and context.meta.setdefault("edgespeech.form", name) != name:
        raise UsageError("--json and --markdown clash; choose one")
    return given


def json_option(text: str = "Print one JSON object.") -> Callable[[Command], Command]:
    """Make the option ``--json``, which excludes ``--markdown``."""
    return click.option("--json", "as_json", is_flag=True, callback=_choose_form, help=text)


JSON = json_option()
MARKDOWN = click.option("--markdown", is_flag=True, callback=_choose_form,
                        help="Print tables as Markdown, as into a file or pipe, on a terminal too.")  # fmt: skip
BUNDLE = click.option("--bundle", type=FILE, metavar="DIR", help="Bundle folder; the default bundle if not given.")


_ENGINE_OPTIONS = (
    click.option("--jobs", type=click.IntRange(1), metavar="N",
                 help="Number of workers, each with its own model; default: 1, on a Ray cluster one for each core."),
    click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True,
                 help="Whose workers: processes of this machine, or Ray (extra `ray`)."),
    click.option("--address", metavar="ADDRESS",
                 help="Ray cluster, such as auto or ray://host:10001; default: one that is started on this machine."),
)  # fmt: skip


def engine_options(command: Command) -> Command:
    """Add the options of `edgespeech.demo.jobs.engine.Engine`."""
    for add in reversed(_ENGINE_OPTIONS):
        command = add(command)
    return command


class BundleOption(click.Option):
    """An option whose default is the bundle's; the help adds the value of the default bundle, read only for that."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:  # noqa: D102
        record = super().get_help_record(ctx)
        value = _default_bundle_settings().get(str(self.name))
        if record is None or value is None:
            return record
        return record[0], record[1].replace("the bundle's.", f"the bundle's ({value:g}).")


@functools.cache
def _default_bundle_settings() -> dict[str, float]:
    """Return settings of the default bundle by the names of options; nothing if it cannot be read."""
    import json
    from contextlib import suppress

    from edgespeech import runtime

    with suppress(OSError, ValueError, KeyError, TypeError):
        content = Path(runtime.__path__[0], "default_bundle", "bundle.json").read_text(encoding="utf-8")
        decoder, audio = (json.loads(content)[part] for part in ("decoder", "audio"))
        chunk_ms = 1000.0 * audio["chunk_samples"] / audio["sample_rate"]
        names = ("beam_width", "alpha", "beta", "unknown_score")
        one = {**{name: float(decoder[name]) for name in names}, "chunk_ms": chunk_ms}
        return {**one, "beam_widths": one["beam_width"], "chunks_ms": chunk_ms}
    return {}


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
        cls=BundleOption,
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
        click.option("--hot-words", type=FILE, metavar="FILE",
                     help="File of hot words, one WORDS:BOOST per line; BOOST is 8 if it is left out."),
    ),
    "grammar": (
        click.option("--grammar", type=FILE, metavar="FILE",
                     help="Recognise only the phrases in this file, one per line, and <unknown>."),
    ),
    "written": (
        click.option("--written/--plain", default=None,
                     help="Write finals with marks and capitals, or as plain words; default: written in text and "
                          "subtitles of transcribe and on the terminal of live, else plain."),
    ),
    "numerals": (
        click.option("--numerals", is_flag=True,
                     help="Write numbers as digits too (English; extra `numerals`)."),
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
    from edgespeech.runtime.decoder.grammar import read_placed_phrases
    from edgespeech.runtime.decoder.hot_words import parse_hot_word, read_placed_hot_words

    context = click.get_current_context()
    named = [name for name in context.params if context.get_parameter_source(name) is not ParameterSource.DEFAULT]
    bundle, one_by_one, file, grammar = (given.pop(name) for name in ("bundle", "hot_word", "hot_words", "grammar"))
    written, numerals = given.pop("written"), given.pop("numerals")
    listed = read_placed_hot_words(file) if file else []
    phrases = read_placed_phrases(grammar) if grammar else []
    hot_words = {words: boost for _, words, boost in listed} | dict(map(parse_hot_word, one_by_one))
    places = {words: place for place, words, _ in listed} | {phrase: place for place, phrase in phrases}
    settings = {name: given.pop(name) for name in _FROM_FIELDS}
    options = RecognizerOptions(
        use_lm=not given.pop("no_lm"),
        hot_words=hot_words or None,
        grammar=[phrase for _, phrase in phrases] if grammar else None,
        written=numerals if written is None else written,
        numerals=numerals,
        **settings,
    )
    return RecognizerRequest(bundle, options, frozenset(named), places)


def load_request(
    request: RecognizerRequest, for_recordings: bool = False, for_people: bool = False
) -> tuple[Bundle, RecognizerOptions]:
    """Load the bundle that the command line selects, without its models, and the options of a recognizer for it.

    With ``for_people``, finals are written if the bundle has a tagger, unless the command line says how they are, or
    asks for phrases of a grammar or for several hypotheses.

    Raises:
        EdgespeechError: The bundle or a phrase is invalid.
    """
    from edgespeech.runtime.bundle import load_bundle
    from edgespeech.runtime.decoder.hot_words import spell
    from edgespeech.runtime.recognizer import recording_chunk_ms

    bundle = load_bundle(request.bundle)
    for phrase, place in request.places.items():
        try:
            spell(phrase, bundle.manifest.labels)
        except UsageError as error:
            raise UsageError(f"{place}: {error}") from None
    options = request.options
    if for_recordings and options.chunk_ms is None:
        options = replace(options, chunk_ms=recording_chunk_ms(bundle))
    can_write = bundle.punctuation_path is not None and options.grammar is None and options.nbest == 1
    if for_people and can_write and "written" not in request.given:
        options = replace(options, written=True)
    return bundle, options


def load_recognizer(request: RecognizerRequest, for_recordings: bool = False, for_people: bool = False) -> Recognizer:
    """Load the recognizer that the command line selects.

    With ``for_recordings``, chunks are longer unless their length was given. ``for_people`` is that of `load_request`.

    Raises:
        EdgespeechError: The bundle, the language model or a setting is invalid.
    """
    from edgespeech.runtime.node_placement import describe_fallback
    from edgespeech.runtime.recognizer import Recognizer

    bundle, options = load_request(request, for_recordings, for_people)
    recognizer = Recognizer(bundle, options)
    fallback = describe_fallback(recognizer.model.nodes, recognizer.model.nodes_on_cpu)
    if fallback:
        log.warning("provider %s: %s", request.options.provider, fallback)
    return recognizer
