"""Options of the command line that are made from the fields of the recognizer's options record."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from edgespeech.demo.commands.options import _default_bundle_settings, recognizer_options
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.options import RecognizerOptions, RecognizerRequest

Parse = Callable[..., RecognizerRequest]
OFFERED = [one for one in dataclasses.fields(RecognizerOptions) if "help" in one.metadata]


@click.command()
@recognizer_options()
def probe(request: RecognizerRequest) -> RecognizerRequest:
    return request


def parse(*arguments: object) -> RecognizerRequest:
    request: RecognizerRequest = probe.main([*map(str, arguments)], standalone_mode=False)
    return request


def test_without_options_the_record_has_its_defaults() -> None:
    request = parse()
    assert request == RecognizerRequest(None, RecognizerOptions(), frozenset())


@pytest.mark.parametrize("field", OFFERED, ids=lambda field: field.name)
def test_a_field_with_help_is_an_option_with_the_same_default(field: dataclasses.Field[Any]) -> None:
    (option,) = (one for one in probe.params if one.name == field.name)
    assert isinstance(option, click.Option)
    assert (option.help, option.default) == (field.metadata["help"], field.default)
    assert option.opts[0] in (field.metadata["names"] or (f"--{field.name.replace('_', '-')}",))


def help_of(command: click.Command) -> str:
    return " ".join(command.get_help(click.Context(command, terminal_width=100)).split())


def test_the_help_names_the_settings_of_the_default_bundle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = load_bundle().manifest
    wanted = [
        f"keeps; default: the bundle's ({own.decoder.beam_width}).",
        f"language model; default: the bundle's ({own.decoder.alpha:g}).",
        f"each word; default: the bundle's ({own.decoder.beta:g}).",
        f"out-of-vocabulary word; default: the bundle's ({own.decoder.unknown_score:g}).",
        f"allows a choice; default: the bundle's ({own.audio.chunk_seconds * 1000:g}).",
    ]
    assert [line for line in wanted if line not in help_of(probe)] == []
    monkeypatch.setattr("edgespeech.runtime.__path__", [str(tmp_path)])  # an installation without its bundle
    _default_bundle_settings.cache_clear()
    try:
        assert "keeps; default: the bundle's. --alpha" in help_of(probe)
    finally:
        _default_bundle_settings.cache_clear()


def test_help_loads_neither_numpy_nor_the_bundle_reader() -> None:
    program = (
        "import sys\nfrom edgespeech.demo.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit:\n"
        "    print(*sorted({'numpy', 'onnxruntime', 'msgspec', 'rich', 'torch'} & set(sys.modules)), file=sys.stderr)\n"
    )
    for command in (["transcribe"], ["lm", "build"], ["bench"], ["live"]):
        run = subprocess.run([sys.executable, "-c", program, *command, "--help"], capture_output=True, check=False)
        assert (run.returncode, run.stderr.strip()) == (0, b""), command


def test_every_option_sets_a_parameter_of_its_own() -> None:
    names = [one.name for one in probe.params]
    assert len(set(names)) == len(names) and {one.name for one in OFFERED} < set(names)


def test_an_unused_option_is_accepted_but_not_in_the_help() -> None:
    command = click.command()(recognizer_options("nbest")(lambda request: request))
    assert command.main(["--nbest", "3"], standalone_mode=False).options.nbest == 3
    help_of = [one.get_help(click.Context(one)) for one in (probe, command)]
    assert ["--nbest" in text for text in help_of] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ("--beam-width 7 --alpha 0.25 --beta -1 --unknown-score -3", {"beam_width": 7, "alpha": 0.25, "beta": -1.0}),
        ("--no-lm", {"use_lm": False}),
        ("--lm words.bin", {"lm": Path("words.bin")}),
        ("--hot-word york:3 --hot-word boston", {"hot_words": {"york": 3.0, "boston": 8.0}}),
        ("--nbest 3 --chunk-ms 80 --threads 2 --provider cuda", {"nbest": 3, "chunk_ms": 80.0, "threads": 2}),
        ("--endpoint 0.5 --endpoint-empty 2 --max-segment 9", {"endpoint_seconds": 0.5, "longest_seconds": 9.0}),
        ("--endpoint 0 --endpoint-empty 0 --longest 0", {"endpoint_seconds": None, "empty_seconds": None}),
        ("--min-evidence 3", {"min_evidence": 3.0}),
    ],
)
def test_options_set_the_fields(arguments: str, settings: dict[str, Any]) -> None:
    options = parse(*arguments.split()).options
    assert {name: getattr(options, name) for name in settings} == settings


@pytest.mark.parametrize(("name", "alias"), [("--min-evidence", "--noise-gate"), ("--max-segment", "--longest")])
def test_an_old_name_is_the_same_option(name: str, alias: str) -> None:
    assert parse(alias, 4) == parse(name, 4) != parse()


def test_files_of_hot_words_and_phrases_are_read(tmp_path: Path) -> None:
    path = tmp_path / "phrases.txt"
    path.write_text("new york\nboston\n")
    boosts = parse("--hot-words", path, "--hot-word", "boston:2").options.hot_words
    assert boosts == {"new york": 8.0, "boston": 2.0}
    options = parse("--grammar", path, "--filler-score", -1).options
    assert (options.grammar, options.filler_score) == (("new york", "boston"), -1.0)


def test_the_request_names_the_options_that_were_given(tmp_path: Path) -> None:
    request = parse("--bundle", tmp_path, "--threads", 1, "--noise-gate", 0)
    assert request.bundle == tmp_path
    assert request.given == {"bundle", "threads", "min_evidence"}
