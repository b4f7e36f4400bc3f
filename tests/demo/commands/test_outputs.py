"""What exists is not overwritten: one rule for every command that writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from edgespeech.demo.cli import cli
from edgespeech.reference.model.checkpoint import load_checkpoint, save_checkpoint
from edgespeech.runtime.bundle import ACOUSTIC, LANGUAGE_MODEL, Bundle, load_bundle, write_bundle
from tests.demo.test_cli import commands_below

Command = Callable[..., Any]
OUTPUTS = {"--output", "--output-dir", "--save", "--record", "--report", "--picture", "--keep"}
# The folder of a training continues with --resume, that of recordings always.
OWN_RULE = {"data scaling", "record"}


def output_options(command: click.Command) -> set[str]:
    files = {name for one in command.params if isinstance(one.type, click.Path) for name in one.opts}
    return OUTPUTS & files


WRITERS = {
    name: options
    for name, command in commands_below(cli).items()
    if (options := output_options(command)) and name not in OWN_RULE
}


def test_every_writer_has_the_option() -> None:
    assert {"average", "bench", "export", "lm build", "data check", "evaluate"} <= set(WRITERS)
    for name in WRITERS:
        assert "--overwrite" in {one for parameter in commands_below(cli)[name].params for one in parameter.opts}, name


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_bundle: Bundle) -> Path:
    """Make the current folder, with outputs of earlier commands."""
    for name in ("old.jsonl", "old.bin", "old.pt", "old.tsv", "old.png", "old.json", "old.srt", "old.wav", "bench.svg"):
        (tmp_path / name).write_text("kept")
    files: dict[str, Path | bytes] = {ACOUSTIC: tiny_bundle.acoustic_path, LANGUAGE_MODEL: b"a language model"}

    def describe(entries: Any) -> Any:
        from msgspec.structs import replace

        return replace(tiny_bundle.manifest, files=entries)

    write_bundle(tmp_path / "old", files, describe)
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "site.json").write_text('{"format": "edgespeech-site"}')
    monkeypatch.chdir(tmp_path)
    return tmp_path


FILES = [
    ("average a.pt -o old.pt", "old.pt exists"),
    ("calibrate a.pt --speech a.jsonl -o old.pt", "old.pt exists"),
    ("export a.pt -o old", "old is a bundle"),
    ("adapt --speech a.jsonl -o old", "old is a bundle"),
    ("adapt --text a.txt -o old", "old is a bundle"),
    ("import a.pt -o old.pt", "old.pt exists"),
    ("quantize a -o old --precision int8", "old is a bundle"),
    ("quantize a -o new --precision int8 --report old.json", "old.json exists"),
    ("quantize a -o new --precision int8 --report ./old", "old.png exists"),
    ("lm build a.txt -o old.bin", "old.bin exists"),
    ("lm words a.txt -o old.bin", "old.bin exists"),
    ("lm tune a.jsonl -o old", "old is a bundle"),
    ("lm tune a.jsonl --picture old.png", "old.png exists"),
    ("data check a.jsonl -o old.jsonl", "old.jsonl exists"),
    ("data librispeech a -o old.jsonl", "old.jsonl exists"),
    ("data common-voice a -o old.jsonl", "old.jsonl exists"),
    ("data csv a.csv -o old.jsonl", "old.jsonl exists"),
    ("data ljspeech a -o old.jsonl", "old.jsonl exists"),
    ("data align a.wav --text a.txt -o old.jsonl", "old.jsonl exists"),
    ("data label a.wav -o old.jsonl", "old.jsonl exists"),
    ("punctuation train a.txt -o old.pt", "old.pt exists"),
    ("punctuation add a.pt -o old", "old is a bundle"),
    ("transcribe a.wav -o old.srt", "old.srt exists"),
    ("transcribe old.wav --output-dir . --format json", "old.json exists"),
    ("data pronounce a.jsonl -o old.tsv", "old.tsv exists"),
    ("evaluate a.jsonl --save old.jsonl", "old.jsonl exists"),
    ("bench --save .", "bench.svg exists"),
    ("live --replay a.wav --save old.jsonl", "old.jsonl exists"),
    ("live --replay a.wav --save old.srt", "old.srt exists"),
    ("live --replay a.wav --record old.wav", "old.wav exists"),
    ("web a -o page", "page is a site"),
]


@pytest.mark.parametrize(("line", "words"), FILES)
def test_what_exists_is_refused_before_anything_is_read(
    edgespeech: Command, folder: Path, line: str, words: str
) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    outcome = edgespeech(*line.split())
    assert (outcome.code, outcome.out) == (2, "")
    assert len(outcome.err.splitlines()) == 1 and words in outcome.err and "--overwrite" in outcome.err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_every_writer_is_among_them() -> None:
    assert {name for name in WRITERS if any(line.startswith(name + " ") for line, _ in FILES)} == set(WRITERS)


def test_a_checkpoint_is_replaced_if_that_is_wanted(
    edgespeech: Command, folder: Path, tiny_model_factory: Callable[..., Any]
) -> None:
    save_checkpoint(tiny_model_factory(), folder / "a.pt", {"name": "new"})
    assert edgespeech("average", "a.pt", "-o", "old.pt").code == 2
    assert edgespeech("average", "a.pt", "-o", "old.pt", "--overwrite").code == 0
    assert load_checkpoint(folder / "old.pt")[1]["name"] == "new"


def test_a_bundle_is_replaced_as_a_whole_if_that_is_wanted(
    edgespeech: Command, folder: Path, tiny_model_factory: Callable[..., Any]
) -> None:
    save_checkpoint(tiny_model_factory(), folder / "a.pt", {"name": "new"})
    arpa = Path(__file__).parents[2] / "golden" / "tiny.arpa"
    options = ("export", "a.pt", "-o", "old", "--lm", arpa)
    assert edgespeech(*options).code == 2
    assert (folder / "old" / LANGUAGE_MODEL).read_bytes() == b"a language model"
    outcome = edgespeech(*options, "--overwrite")
    assert outcome.code == 0, outcome.err
    assert load_bundle(folder / "old").manifest.name == "new"
    assert (folder / "old" / LANGUAGE_MODEL).read_bytes() == arpa.read_bytes()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("live --replay a.wav --save old.srt --append", "subtitle times begin at zero"),
        ("live --replay a.wav --save old.jsonl --append --overwrite", "exclude each other"),
        ("live --replay a.wav --save old.jsonl --append --record old.wav", "old.wav exists"),
        ("live --replay a.wav --save old.jsonl", "--append to add to it"),
    ],
)
def test_appending_that_cannot_be_done(edgespeech: Command, folder: Path, line: str, words: str) -> None:
    outcome = edgespeech(*line.split())
    assert (outcome.code, outcome.out) == (2, "") and words in outcome.err and len(outcome.err.splitlines()) == 1
    assert (folder / "old.srt").read_text() == (folder / "old.wav").read_text() == "kept"


def test_an_empty_file_may_be_written(
    edgespeech: Command, folder: Path, tiny_model_factory: Callable[..., Any]
) -> None:
    save_checkpoint(tiny_model_factory(), folder / "a.pt", {"name": "new"})
    (folder / "empty.pt").write_bytes(b"")  # as mktemp makes it
    assert edgespeech("average", "a.pt", "-o", "empty.pt").code == 0
