"""Every bad input of `export` is refused before anything is calibrated or written."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.bundles import export
from edgespeech.reference.model.checkpoint import save_checkpoint
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.model.labels import Labels
from tests.bad_inputs import enter_with_bad_inputs, forbid

Command = Callable[..., Any]
GOLDEN = Path(__file__).parents[2] / "golden"


def write_speech(folder: Path, name: str, contents: list[Any]) -> None:
    """Write recordings, or bytes that are none, and their manifest; None is a file that is missing."""
    lines = []
    for number, content in enumerate(contents):
        audio = folder / f"{name}{number}.wav"
        if isinstance(content, bytes):
            audio.write_bytes(content)
        elif content is not None:
            soundfile.write(audio, content, 16000)
        lines.append(json.dumps({"audio_filepath": audio.name, "text": "a"}) + "\n")
    (folder / f"{name}.jsonl").write_text("".join(lines))


@pytest.fixture
def folder(tmp_path: Path, tiny_model_factory: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the current folder, with good and bad inputs; a call of the expensive parts fails the test."""
    model = tiny_model_factory(cell="gru")
    save_checkpoint(model, tmp_path / "gru.pt", {})
    save_checkpoint(tiny_model_factory(cell="lstm"), tmp_path / "lstm.pt", {})
    for name, labels in (
        ("capitals", ("", " ", "'", *map(chr, range(65, 91)))),
        ("joined", ("", *map(chr, range(1, 29)))),
    ):
        other = DeepSpeech2(model.config, Labels(labels[: len(model.labels)]))
        save_checkpoint(other, tmp_path / f"{name}.pt", {})
    sound = 0.1 * np.random.default_rng(1).standard_normal(16000)
    write_speech(tmp_path, "speech", [sound, sound])
    write_speech(tmp_path, "lost", [sound, None])
    write_speech(tmp_path, "late", [sound] * 8 + [b"not audio"])
    write_speech(tmp_path, "broken", [sound, b"not audio"])
    write_speech(tmp_path, "silent", [np.zeros(16000)])
    enter_with_bad_inputs(tmp_path, monkeypatch)
    forbid(monkeypatch, export, "calibrate_model", "write_model", "quantize")
    return tmp_path


BAD = [
    ("gru.pt -o full", "exists and is not a bundle"),
    ("gru.pt -o text.txt", "exists and is not a bundle"),
    ("gru.pt -o text.txt/out", "cannot write"),
    ("lost.pt -o out", "no checkpoint at lost.pt"),
    ("text.txt -o out", "text.txt"),
    ("gru.pt -o out --lm lost.bin", "no language model at lost.bin"),
    ("gru.pt -o out --lm text.txt", "text.txt is damaged or not a language model"),
    ("gru.pt -o out --lm full", "full is not a file"),
    ("capitals.pt -o out --lm {arpa}", "the labels cannot spell any of the"),
    ("joined.pt -o out --lm {arpa}", "no label contains a space"),
    ("gru.pt -o out --speech lost.jsonl", "'lost1.wav' does not exist (1 of 2 are missing)"),
    ("gru.pt -o out --speech broken.jsonl", "broken1.wav"),
    ("gru.pt -o out --speech late.jsonl --precision int8", "late8.wav"),
    ("gru.pt -o out --speech silent.jsonl", "empty or silent"),
    ("gru.pt -o out --speech nowhere.jsonl", "nowhere.jsonl does not exist"),
    ("gru.pt -o out --speech text.txt", "text.txt:1: invalid JSON"),
    ("gru.pt -o out --chunk-ms 50", "multiple of one frame, 40 ms"),
    ("gru.pt -o out --chunk-ms 99999960", "at most 60 s"),
    ("gru.pt -o out --blank-score 11", "blank score is 11"),
    ("gru.pt -o out --blank-score nan", "blank score is nan"),
    ("gru.pt -o out --alpha -1", "$.alpha"),
    ("gru.pt -o out --min-confidence 2", "least_confidence"),
    ("gru.pt -o out --precision int8 --fp16-compute", "--fp16-compute is for --precision fp16, not int8"),
    ("gru.pt -o out --form fused --precision int8", "--form fused and --precision int8 clash"),
    ("gru.pt -o out --form fused --precision int4", "--form fused and --precision int4 clash"),
    ("lstm.pt -o out --form fused --precision int4", "--form fused and --precision int4 clash"),
]


@pytest.mark.parametrize("precision", ["", "--precision fp16"])
@pytest.mark.parametrize(("line", "words"), BAD)
def test_a_bad_input_is_refused_before_the_work(
    edgespeech: Command, folder: Path, line: str, words: str, precision: str
) -> None:
    before = sorted(os.listdir(folder))
    arguments = [word.replace("{arpa}", str(GOLDEN / "tiny.arpa")) for word in line.split()]
    if "--speech" not in arguments:
        arguments += ["--speech", "speech.jsonl"]
    if "--precision" not in arguments:
        arguments += precision.split()
    outcome = edgespeech("export", *arguments)
    assert outcome.code == (1 if "silent" in line else 2) and outcome.out == ""
    *earlier, last = outcome.err.splitlines()
    assert last.startswith("edgespeech: ") and words in last
    assert all(one.startswith(("calibration speech: ", "int8: the recurrence is unrolled")) for one in earlier)
    assert sorted(os.listdir(folder)) == before


def test_a_missing_onnxruntime_is_reported_before_the_work(
    edgespeech: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    outcome = edgespeech("export", "gru.pt", "-o", "out", "--speech", "speech.jsonl")
    assert outcome.code == 2 and "pip install 'edgespeech[cpu]'" in outcome.err


@pytest.mark.parametrize(("options", "first"), [([], "write_model"), (["--speech", "speech.jsonl"], "calibrate_model")])
def test_good_inputs_reach_the_work(
    edgespeech: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], first: str
) -> None:
    def reach(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(export, first, reach)
    outcome = edgespeech("export", "gru.pt", "-o", "new/out", "--lm", GOLDEN / "tiny.arpa", *options)
    assert outcome.code == 130, outcome.err
