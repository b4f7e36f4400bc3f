"""The command line as it is used: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech import __version__
from edgespeech.demo.cli import cli
from edgespeech.reference.model.checkpoint import save_checkpoint
from edgespeech.runtime.bundle import Bundle, load_bundle
from edgespeech.runtime.recognizer import Recognizer

ARPA = Path(__file__).parents[1] / "golden" / "tiny.arpa"
MODULE = [sys.executable, "-m", "edgespeech.demo.cli"]
TRANSCRIPT_KEYS = ["file", "duration", "text", "words", "nbest", "seconds", "rtf"]
EVALUATION_KEYS = [
    *("wer", "cer", "substitutions", "deletions", "insertions", "words"),
    *("utterances", "audio_seconds", "seconds", "rtf"),
]
Command = Callable[..., Any]


def commands_below(group: click.Group, prefix: str = "") -> dict[str, click.Command]:
    """Return all commands by their full names."""
    found: dict[str, click.Command] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found[prefix + name] = command
        if isinstance(command, click.Group):
            found.update(commands_below(command, f"{prefix}{name} "))
    return found


COMMANDS = commands_below(cli)


@pytest.fixture(scope="module")
def samples(noise: Callable[[int], NDArray[np.float32]]) -> NDArray[np.int16]:
    """A second of noise."""
    return np.round(noise(16000) * 8000).astype(np.int16)


@pytest.fixture(scope="module")
def wav(samples: NDArray[np.int16], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The noise as a file."""
    path = tmp_path_factory.mktemp("sound") / "a b.wav"
    soundfile.write(path, samples, 16000)
    return Path(path)


@pytest.fixture(scope="module")
def text(tiny_bundle: Bundle, samples: NDArray[np.int16]) -> str:
    """The text that the tiny model recognises in it."""
    found = Recognizer(tiny_bundle).transcribe((samples, 16000)).text
    assert found
    return found


def console(*arguments: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [*MODULE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, timeout=120, **options)


def test_version_and_help(edgespeech: Command) -> None:
    assert edgespeech("--version").out == f"edgespeech, version {__version__}\n"
    for arguments in ([], ["--help"], ["-h"]):
        outcome = edgespeech(*arguments)
        assert (outcome.code, outcome.err) == (0, "")
        assert all(f"  {name}" in outcome.out for name in cli.list_commands(click.Context(cli)))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_of_every_command_names_every_option(edgespeech: Command, name: str) -> None:
    outcome = edgespeech(*name.split(), "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"Usage: edgespeech {name} ")
    for parameter in COMMANDS[name].params:
        word = parameter.name.upper() if parameter.param_type_name == "argument" else parameter.opts[0]
        hidden = getattr(parameter, "hidden", False)
        assert bool(re.search(rf"(?<!\w){re.escape(word)}\b", outcome.out)) is not hidden, word


def test_text_of_a_recording(edgespeech: Command, tiny_bundle: Bundle, wav: Path, text: str) -> None:
    outcome = edgespeech("transcribe", wav, "--bundle", tiny_bundle.folder)
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{text}\n", "")


def test_several_recordings_are_named(edgespeech: Command, tiny_bundle: Bundle, wav: Path, text: str) -> None:
    outcome = edgespeech("transcribe", wav, wav, "--bundle", tiny_bundle.folder)
    assert (outcome.code, outcome.out) == (0, f"{wav}\t{text}\n" * 2)


def test_one_bad_recording_does_not_stop_the_others(
    edgespeech: Command, tiny_bundle: Bundle, wav: Path, text: str, tmp_path: Path
) -> None:
    outcome = edgespeech("transcribe", wav, tmp_path / "no.wav", wav, "--bundle", tiny_bundle.folder)
    assert (outcome.code, outcome.out) == (2, f"{wav}\t{text}\n" * 2)
    assert len(outcome.err.splitlines()) == 1 and "no.wav" in outcome.err


def test_json_has_the_documented_keys(edgespeech: Command, tiny_bundle: Bundle, wav: Path, text: str) -> None:
    arguments = ("--bundle", tiny_bundle.folder, "--format", "json", "--nbest", 3)
    lines = edgespeech("transcribe", wav, wav, *arguments).out.splitlines()
    assert len(lines) == 2
    for line in lines:
        found = json.loads(line)
        assert list(found) == TRANSCRIPT_KEYS
        assert (found["file"], found["duration"], found["text"]) == (str(wav), 1.0, text)
        assert found["nbest"][0]["text"] == text and len(found["nbest"]) == 3
        assert found["words"] and all(list(word) == ["word", "start", "end", "confidence"] for word in found["words"])
        assert found["rtf"] > 0.0


def test_hypotheses_are_lines(edgespeech: Command, tiny_bundle: Bundle, wav: Path, text: str) -> None:
    alone = edgespeech("transcribe", wav, "--bundle", tiny_bundle.folder, "--nbest", 2).out.splitlines()
    assert len(alone) == 2 and alone[0] == text != alone[1]
    both = edgespeech("transcribe", wav, wav, "--bundle", tiny_bundle.folder, "--nbest", 2).out.splitlines()
    assert both == [f"{wav}\t{line}" for line in alone] * 2


def test_subtitles(edgespeech: Command, tiny_bundle: Bundle, wav: Path, text: str) -> None:
    srt = edgespeech("transcribe", wav, "--bundle", tiny_bundle.folder, "--format", "srt").out
    number, times, *lines = srt.rstrip("\n").split("\n")
    assert number == "1" and " ".join(lines) == text
    assert re.fullmatch(r"00:00:0\d,\d{3} --> 00:00:0[01],\d{3}", times)
    vtt = edgespeech("transcribe", wav, "--bundle", tiny_bundle.folder, "--format", "vtt").out
    assert vtt.rstrip("\n").split("\n") == ["WEBVTT", "", times.replace(",", "."), *lines]


def test_a_pipe_is_transcribed(tiny_bundle: Bundle, samples: NDArray[np.int16], text: str) -> None:
    run = console("transcribe", "-", "--bundle", tiny_bundle.folder, input=samples.tobytes())
    assert (run.returncode, run.stdout.decode(), run.stderr) == (0, f"{text}\n", b"")
    run = console("transcribe", "-", "--rate", 8000, "--format", "json", "--bundle", tiny_bundle.folder, input=b"")
    assert json.loads(run.stdout)["duration"] == 0.0
    run = console("transcribe", "-", "--raw", "s16le:16000:1", "--bundle", tiny_bundle.folder, input=samples.tobytes())
    assert (run.returncode, run.stdout.decode()) == (0, f"{text}\n")


def test_a_file_in_a_pipe_is_transcribed_and_replayed(tiny_bundle: Bundle, wav: Path, text: str) -> None:
    options = ("--bundle", tiny_bundle.folder)
    run = console("transcribe", "-", *options, input=wav.read_bytes())
    assert (run.returncode, run.stdout.decode(), run.stderr) == (0, f"{text}\n", b"")
    run = console("live", "--replay", "-", "--speed", 0, *options, input=wav.read_bytes())
    assert run.returncode == 0 and run.stdout.decode().split() == text.split()


def test_options_reach_the_search(edgespeech: Command, tiny_bundle: Bundle, wav: Path, text: str) -> None:
    here = ("--bundle", tiny_bundle.folder)
    options = ("--beam-width", 1, "--chunk-ms", 40, "--endpoint", 0, "--threads", 1, "--provider", "cpu")
    assert edgespeech("transcribe", wav, *here, *options).code == 0
    assert edgespeech("transcribe", wav, *here, "--no-lm").out == f"{text}\n"
    spoken = edgespeech("transcribe", wav, *here, "--lm", ARPA, "--alpha", 50, "--beta", 0)
    assert spoken.code == 0 and spoken.out != f"{text}\n"


def test_a_closed_reader_is_not_an_error(tiny_bundle: Bundle, wav: Path) -> None:
    line = (
        f"'{sys.executable}' -m edgespeech.demo.cli transcribe '{wav}' '{wav}' --bundle '{tiny_bundle.folder}' | true"
    )
    run = subprocess.run(["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, check=False, timeout=120)
    assert (run.returncode, run.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("redirection", "code", "words"),
    [(">&-", 0, ""), (">/dev/full", 2, "No space left on device"), ("<&- | cat", 0, "")],
)
def test_standard_output_that_cannot_be_written(redirection: str, code: int, words: str) -> None:
    line = f"'{sys.executable}' -m edgespeech.demo.cli --version {redirection}"
    run = subprocess.run(["bash", "-c", line], capture_output=True, check=False, timeout=120, text=True)
    assert run.returncode == code
    assert words in run.stderr and len(run.stderr.splitlines()) == bool(words)


def test_transcribing_needs_no_torch(tiny_bundle: Bundle, wav: Path, text: str) -> None:
    program = (
        "import sys\n"
        "from edgespeech.demo.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit:\n    print(*sorted({'torch', 'onnx', 'scipy'} & set(sys.modules)), file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", program, "transcribe", str(wav), "--bundle", str(tiny_bundle.folder)]
    run = subprocess.run(command, capture_output=True, check=False, timeout=120, text=True)
    assert (run.stdout, run.stderr.strip()) == (f"{text}\n", "")


def test_a_manifest_is_evaluated(
    edgespeech: Command, tiny_bundle: Bundle, wav: Path, text: str, tmp_path: Path
) -> None:
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(json.dumps({"audio_filepath": str(wav), "text": text}) + "\n")
    outcome = edgespeech("evaluate", manifest, "--json", "--bundle", tiny_bundle.folder)
    assert (outcome.code, outcome.err) == (0, "")
    found = json.loads(outcome.out)
    assert list(found)[: len(EVALUATION_KEYS)] == EVALUATION_KEYS
    assert (found["wer"], found["utterances"], found["audio_seconds"]) == (0.0, 1, 1.0)
    saved = tmp_path / "hypotheses.jsonl"
    outcome = edgespeech("evaluate", manifest, "--save", saved, "--bundle", tiny_bundle.folder)
    assert outcome.out.startswith("WER 0.00%")
    assert json.loads(saved.read_text())["heard"] == text


def test_a_bundle_is_described_and_verified(edgespeech: Command, tiny_bundle: Bundle) -> None:
    outcome = edgespeech("info", tiny_bundle.folder)
    assert outcome.code == 0 and "chunks of 80 ms" in outcome.out and "look-ahead 120 ms" in outcome.out
    assert json.loads(edgespeech("info", tiny_bundle.folder, "--json").out)["name"] == "tiny"
    outcome = edgespeech("verify", tiny_bundle.folder)
    assert outcome.code == 0 and "chunked equals whole" in outcome.out


@pytest.mark.parametrize(("form", "precision"), [("fused", "fp32"), ("cells", "fp16")])
def test_a_checkpoint_becomes_a_bundle_that_transcribes(
    edgespeech: Command, tiny_model_factory: Callable[..., Any], wav: Path, tmp_path: Path, form: str, precision: str
) -> None:
    save_checkpoint(tiny_model_factory(), tmp_path / "model.pt", {"name": "small", "licence": "mine"})
    manifest = tmp_path / "speech.jsonl"
    manifest.write_text(json.dumps({"audio_filepath": str(wav)}) + "\n")
    bundle = tmp_path / "bundle"
    options = ("--form", form, "--precision", precision, "--chunk-ms", 120, "--beam-width", 7, "--lm", ARPA)
    outcome = edgespeech("export", tmp_path / "model.pt", "-o", bundle, "--speech", manifest, *options)
    assert (outcome.code, outcome.out) == (0, f"{bundle}\n")
    assert "onnxruntime against torch, chunk by chunk" in outcome.err
    manifest_read = load_bundle(bundle).manifest
    assert (manifest_read.name, manifest_read.graph.form, manifest_read.graph.precision) == ("small", form, precision)
    assert (manifest_read.audio.chunk_seconds, manifest_read.decoder.beam_width) == (0.12, 7)
    assert "- licence: mine\n" in edgespeech("info", bundle).out
    assert edgespeech("verify", bundle).out.splitlines()[-1].endswith("2-gram")
    outcome = edgespeech("transcribe", wav, "--bundle", bundle, "--format", "json")
    assert outcome.code == 0 and json.loads(outcome.out)["duration"] == 1.0
