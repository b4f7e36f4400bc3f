"""Bad input: exit code 2, one line on standard error, nothing on standard output, nothing half-written."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
import torch

from edgespeech.demo.cli import cli
from edgespeech.reference.model.checkpoint import save_checkpoint
from edgespeech.runtime.bundle import Bundle

Command = Callable[..., Any]


class Hostile:
    """A pickle that makes a file where it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the call that unpickling would make."""
        return (os.mkdir, (str(self.marker),))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the current folder, with files whose names are wrong."""
    sound = np.zeros(1600, np.float32)
    soundfile.write(tmp_path / "good.wav", sound, 16000)
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "cut.wav").write_bytes((tmp_path / "good.wav").read_bytes()[:30])
    (tmp_path / "text.wav").write_text("no sound at all\n" * 50)
    (tmp_path / "text.txt").write_text("no sound at all\n" * 50)
    soundfile.write(tmp_path / "nan.wav", sound + np.float32(np.nan), 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "slow.wav", sound, 100)
    (tmp_path / "bad.arpa").write_text("\\data\\\nngram 1=3\n\n\\1-grams:\n-1 a\n")
    (tmp_path / "bad.json").write_text('{"audio_filepath": ')
    (tmp_path / "blank.json").write_text("\n\n")
    (tmp_path / "lost.json").write_text(json.dumps({"audio_filepath": "lost.wav", "text": "a"}) + "\n")
    (tmp_path / "mute.json").write_text(json.dumps({"audio_filepath": "good.wav"}) + "\n")
    (tmp_path / "silent.json").write_text(json.dumps({"audio_filepath": "good.wav", "text": "a"}) + "\n")
    (tmp_path / "hostile.pt").write_bytes(pickle.dumps(Hostile(tmp_path / "taken")))
    torch.save({"format": "edgespeech-checkpoint", "weights": Hostile(tmp_path / "taken")}, tmp_path / "hostile2.pt")
    torch.save({"format": "another"}, tmp_path / "foreign.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as archive:
        archive.writestr("../../../evil.txt", "no checkpoint")
    (tmp_path / "broken.toml").write_text("[model\n")
    (tmp_path / "unknown.toml").write_text("[model]\ncolour = 3\n")
    (tmp_path / "type.toml").write_text('[model]\nhidden = "wide"\n')
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "bundle.json").write_text('{"version": 99}')
    (tmp_path / "taken.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check_refusal(code: int, out: str, err: str, words: str) -> None:
    assert code == 2, err
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert err.startswith("edgespeech: ") and words in err


GENERAL = [
    ("sing", "No such command 'sing'"),
    ("--loud", "No such option"),
    ("transcribe", "Missing argument"),
    ("transcribe good.wav --loud", "No such option"),
    ("transcribe good.wav --format doc", "'doc' is not one of"),
    ("transcribe good.wav --bundle nowhere", "bundle nowhere does not exist"),
    ("transcribe good.wav --bundle text.txt", "is a file"),
    ("transcribe good.wav --bundle bundle", "has version 99"),
    ("transcribe good.wav --bundle .", "has no bundle.json"),
    ("info nowhere", "bundle nowhere does not exist"),
    ("info bundle --json", "has version 99"),
    ("verify bundle", "has version 99"),
    ("evaluate", "Missing argument"),
    ("export", "Missing argument"),
    ("export hostile.pt", "Missing option"),
    ("train", "Missing argument"),
    ("lm sing", "No such command 'sing'"),
    ("lm info lost.bin", "no language model at lost.bin"),
    ("lm info bad.arpa", "bad.arpa is damaged"),
    ("lm info .", "is not a file"),
]


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("sing", "edgespeech"),
        ("--loud", "edgespeech"),
        ("transcribe", "edgespeech transcribe"),
        ("transcribe a.wav --loud", "edgespeech transcribe"),
        ("transcribe a.wav --beam-width", "edgespeech transcribe"),
        ("transcribe a.wav --beam-width many", "edgespeech transcribe"),
        ("lm sing", "edgespeech lm"),
        ("lm build", "edgespeech lm build"),
        ("lm build a.txt -o", "edgespeech lm build"),
        ("bench --threads", "edgespeech bench"),
        ("bench compare a.json", "edgespeech bench compare"),
        ("data check --jobs 0 a.jsonl", "edgespeech data check"),
    ],
)
def test_usage_errors_point_to_the_help_of_the_command(edgespeech: Command, line: str, command: str) -> None:
    outcome = edgespeech(*line.split())
    assert outcome.code == 2 and len(outcome.err.splitlines()) == 1
    assert outcome.err.endswith(f"; see {command} --help\n") and ".;" not in outcome.err


@pytest.mark.parametrize("group", ["lm", "data"])
def test_a_group_alone_prints_its_help(edgespeech: Command, group: str) -> None:
    outcome = edgespeech(group)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == edgespeech(group, "--help").out and len(outcome.out.splitlines()) > 10


@pytest.mark.parametrize(("line", "words"), GENERAL)
def test_bad_arguments_are_refused(edgespeech: Command, folder: Path, line: str, words: str) -> None:
    outcome = edgespeech(*line.split())
    check_refusal(outcome.code, outcome.out, outcome.err, words)


WITH_BUNDLE = [
    ("transcribe lost.wav", "'lost.wav' does not exist"),
    ("transcribe .", "is a directory"),
    ("transcribe empty.wav", "is empty (0 bytes)"),
    ("transcribe cut.wav", "cut off in its header"),
    ("transcribe text.wav", "has an unknown format"),
    ("transcribe nan.wav", "NaN or infinity at 0.000 s"),
    ("transcribe slow.wav", "sample rate 100"),
    ("transcribe good.wav/deeper.wav", "cannot be opened"),
    (f"transcribe {'x' * 5000}", "File name too long"),
    ("transcribe good.wav good.wav --format srt", "subtitles are for one recording at a time"),
    ("transcribe good.wav --lm bad.arpa", "bad.arpa is damaged"),
    ("transcribe good.wav --lm text.txt", "text.txt is damaged"),
    ("transcribe good.wav --lm empty.wav", "empty.wav is damaged"),
    ("transcribe good.wav --lm lost.bin", "no language model at lost.bin"),
    ("transcribe good.wav --lm .", "is not a file"),
    ("transcribe good.wav --lm {arpa} --no-lm", "clash"),
    ("transcribe good.wav --lm {arpa} --alpha 101", "alpha is 101.0"),
    ("transcribe good.wav --lm {arpa} --alpha -1", "alpha is -1.0"),
    ("transcribe good.wav --lm {arpa} --alpha nan", "alpha is nan"),
    ("transcribe good.wav --alpha much", "'much' is not a valid float"),
    ("transcribe good.wav --beta inf", "beta is inf"),
    ("transcribe good.wav --beam-width 0", "beam_width is 0"),
    ("transcribe good.wav --nbest 0", "nbest is 0"),
    ("transcribe good.wav --nbest few", "'few' is not a valid integer"),
    ("transcribe good.wav --endpoint -1", "endpoint"),
    ("transcribe good.wav --endpoint inf", "endpoint"),
    ("transcribe good.wav --chunk-ms 50", "multiple of 40 ms"),
    ("transcribe good.wav --chunk-ms nan", "multiple of 40 ms"),
    ("transcribe good.wav --chunk-ms 40000000", "at most 60 s"),
    ("transcribe good.wav --threads 0", "threads is 0"),
    ("transcribe good.wav --threads 99999999999999999999", "threads is 99999999999999999999"),
    ("transcribe good.wav --provider abacus", "provider 'abacus' is unknown"),
    ("evaluate lost.jsonl", "lost.jsonl does not exist"),
    ("evaluate .", "is a directory"),
    ("evaluate bad.json", "bad.json:1: invalid JSON"),
    ("evaluate blank.json", "blank.json is empty"),
    ("evaluate good.wav", "good.wav:1: invalid JSON"),
    ("evaluate lost.json", "'lost.wav' does not exist"),
    ("evaluate mute.json", "no utterance with a text"),
    ("evaluate silent.json --save lost/read.jsonl", "cannot write"),
    ("evaluate silent.json --save text.txt/read.jsonl", "cannot write"),
]


@pytest.mark.parametrize(("line", "words"), WITH_BUNDLE)
def test_bad_recordings_settings_and_manifests_are_refused(
    edgespeech: Command, folder: Path, tiny_bundle: Bundle, line: str, words: str
) -> None:
    arpa = str(Path(__file__).parents[1] / "golden" / "tiny.arpa")
    before = sorted(os.listdir(folder))
    arguments = [word.replace("{arpa}", arpa) for word in line.split()]
    outcome = edgespeech(*arguments, "--bundle", tiny_bundle.folder)
    check_refusal(outcome.code, outcome.out, outcome.err, words)
    assert sorted(os.listdir(folder)) == before


EXPORTS = [
    ("lost.pt -o out", "no checkpoint at lost.pt"),
    (". -o out", "no checkpoint at ."),
    ("text.txt -o out", "text.txt"),
    ("empty.wav -o out", "empty.wav is damaged or not a checkpoint: it is empty"),
    ("zip.pt -o out", "zip.pt is damaged or not a checkpoint: it is a zip archive"),
    ("hostile.pt -o out", "hostile.pt"),
    ("hostile2.pt -o out", "could run foreign code: refused"),
    ("foreign.pt -o out", "format 'another'"),
    ("list.pt -o out", "contains a list"),
    ("model.pt -o .", "exists and is not a bundle"),
    ("model.pt -o text.txt", "exists and is not a bundle"),
    ("model.pt -o text.txt/out", "cannot write"),
    ("model.pt -o bundle", "exists and is not a bundle"),
    ("model.pt -o out --chunk-ms 50", "multiple of one frame, 40 ms"),
    ("model.pt -o out --chunk-ms nan", "multiple of one frame, 40 ms"),
    ("model.pt -o out --chunk-ms 1e9", "60 s"),
    ("model.pt -o out --alpha 101", "$.alpha"),
    ("model.pt -o out --alpha nan", "$.alpha"),
    ("model.pt -o out --beta inf", "$.beta"),
    ("model.pt -o out --beam-width 0", "$.beam_width"),
    ("model.pt -o out --precision int1", "'int1' is not one of"),
    ("model.pt -o out --form round", "'round' is not one of"),
    ("model.pt -o out --lm bad.arpa", "bad.arpa is damaged"),
    ("model.pt -o out --speech lost.jsonl", "lost.jsonl does not exist"),
    ("model.pt -o out --speech lost.json", "'lost.wav' does not exist"),
]


@pytest.mark.parametrize(("line", "words"), EXPORTS)
def test_bad_input_of_an_export_is_refused(
    edgespeech: Command, folder: Path, tiny_model_factory: Callable[..., Any], line: str, words: str
) -> None:
    save_checkpoint(tiny_model_factory(), folder / "model.pt", {})
    before = sorted(os.listdir(folder))
    outcome = edgespeech("export", *line.split())
    # If the refusal comes late, the lines before it report what was done.
    check_refusal(outcome.code, outcome.out, outcome.err.splitlines()[-1], words)
    assert sorted(os.listdir(folder)) == before
    assert not (folder / "taken").exists()


def test_a_comparison_on_silence_fails_the_verification(
    edgespeech: Command, folder: Path, tiny_model_factory: Callable[..., Any]
) -> None:
    save_checkpoint(tiny_model_factory(), folder / "model.pt", {})
    outcome = edgespeech("export", "model.pt", "-o", "out", "--speech", "silent.json", "--no-calibrate")
    assert (outcome.code, outcome.out) == (1, "")
    assert "empty or silent" in outcome.err.splitlines()[-1]
    assert not (folder / "out").exists()


TRAININGS = [
    ("lost.toml", "lost.toml"),
    (".", "directory"),
    ("broken.toml", "broken.toml"),
    ("unknown.toml", "colour"),
    ("type.toml", "hidden"),
    ("good.wav", "good.wav"),
]


@pytest.mark.parametrize(("file", "words"), TRAININGS)
def test_bad_recipes_are_refused(edgespeech: Command, folder: Path, file: str, words: str) -> None:
    before = sorted(os.listdir(folder))
    outcome = edgespeech("train", file)
    check_refusal(outcome.code, outcome.out, outcome.err, words)
    assert sorted(os.listdir(folder)) == before


@pytest.mark.parametrize(
    ("line", "missing", "hint"),
    [
        ("export hostile.pt -o out", "torch", "pip install 'edgespeech[export]'"),
        ("export hostile.pt -o out", "onnx", "pip install 'edgespeech[export]'"),
        ("train broken.toml", "torch", "pip install 'edgespeech[train]'"),
        ("train broken.toml", "scipy", "pip install 'edgespeech[train]'"),
        ("transcribe good.wav --bundle {bundle}", "onnxruntime", "pip install 'edgespeech[cpu]'"),
    ],
)
def test_a_missing_library_is_reported_with_the_pip_command(
    edgespeech: Command,
    folder: Path,
    tiny_bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    missing: str,
    hint: str,
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    outcome = edgespeech(*(word.replace("{bundle}", str(tiny_bundle.folder)) for word in line.split()))
    check_refusal(outcome.code, outcome.out, outcome.err, hint)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("transcribe text.wav --bundle {bundle}", "has an unknown format"),
        ("transcribe good.wav --bundle bundle", "has version 99"),
        ("export hostile2.pt -o out", "could run foreign code: refused"),
        ("train unknown.toml", "colour"),
        ("sing", "No such command"),
    ],
)
def test_bad_input_in_a_separate_process(folder: Path, tiny_bundle: Bundle, line: str, words: str) -> None:
    arguments = [word.replace("{bundle}", str(tiny_bundle.folder)) for word in line.split()]
    command = [sys.executable, "-m", "edgespeech.demo.cli", *arguments]
    run = subprocess.run(command, capture_output=True, check=False, timeout=120, text=True)
    check_refusal(run.returncode, run.stdout, run.stderr, words)
    assert not (folder / "taken").exists()


def test_invalid_audio_on_standard_input_is_refused(tiny_bundle: Bundle, folder: Path) -> None:
    base = f"'{sys.executable}' -m edgespeech.demo.cli transcribe - --bundle '{tiny_bundle.folder}'"
    for redirection, words in (
        ("<&-", "standard input is closed"),
        ("< text.txt", "standard input is text"),
        ("--rate 1 < text.txt", "sample rate 1"),
    ):
        run = subprocess.run(
            ["bash", "-c", f"{base} {redirection}"], capture_output=True, check=False, timeout=120, text=True
        )
        check_refusal(run.returncode, run.stdout, run.stderr, words)


def test_an_interruption_is_silent(edgespeech: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(context: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "invoke", interrupt)
    outcome = edgespeech("info", "bundle")
    assert (outcome.code, outcome.out, outcome.err.strip()) == (130, "", "")
