"""Every bad input of `quantize` and `calibrate` is refused before anything is calibrated or written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.quantization import bundle_quantization, checkpoint_calibration
from edgespeech.reference import save_checkpoint
from edgespeech.runtime.bundle import Bundle
from tests.bad_inputs import enter_with_bad_inputs, forbid

Command = Callable[..., Any]


@pytest.fixture
def folder(
    tmp_path: Path, tiny_bundle: Bundle, tiny_model_factory: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Make the current folder, with good and bad inputs; a call of the expensive parts fails the test."""
    (tmp_path / "bundle").symlink_to(tiny_bundle.folder)
    save_checkpoint(tiny_model_factory(), tmp_path / "model.pt")
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(1).standard_normal(16000), 16000)
    lines = {"speech": {"text": "a"}, "mute": {}, "lost": {"audio_filepath": "lost.wav", "text": "a"}}
    for name, line in lines.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"audio_filepath": "a.wav", **line}))
    enter_with_bad_inputs(tmp_path, monkeypatch)
    forbid(monkeypatch, bundle_quantization, "Quantizer", "to_float16")
    forbid(monkeypatch, checkpoint_calibration, "_usable")
    return tmp_path


BAD = [
    ("quantize bundle -o full --precision int8", "exists and is not a bundle"),
    ("quantize bundle -o text.txt/out --precision fp16", "cannot write"),
    ("quantize text.txt -o out --precision int8", "is a file: it is text"),
    ("quantize bundle -o out --precision int4", "export it with --form cells"),
    ("quantize bundle -o out --precision int8 --keep nonsense", "weight 'nonsense' is not in the graph"),
    ("quantize bundle -o out --precision int8 --dev mute.jsonl", "has no utterance with a text"),
    ("quantize bundle -o out --precision fp16 --dev lost.jsonl", "'lost.wav' does not exist"),
    ("quantize bundle -o out --precision int8 --speech lost.jsonl", "'lost.wav' does not exist"),
    ("quantize bundle -o out --precision int8 --speech nowhere.jsonl", "nowhere.jsonl does not exist"),
    ("quantize bundle -o out --precision int8 --baseline nowhere", "bundle nowhere does not exist"),
    ("quantize bundle -o out --precision int8 --max-wer-increase 1", "give --dev a manifest"),
    ("quantize bundle -o out --precision int8 --fp16-compute", "--fp16-compute is for --precision fp16"),
    ("quantize bundle -o out --precision fp16 --keep x", "are for int8 and int4"),
    ("quantize bundle -o out --precision int8 --report full", "it is a folder"),
    ("quantize bundle -o out --precision int8 --into lost.md#x", "cannot read lost.md"),
    ("calibrate model.pt -o full --speech speech.jsonl", "it is a folder"),
    ("calibrate model.pt -o text.txt/out.pt --speech speech.jsonl", "cannot write"),
    ("calibrate text.txt -o out.pt --speech speech.jsonl", "it is text"),
    ("calibrate model.pt -o out.pt --speech nowhere.jsonl", "nowhere.jsonl does not exist"),
    ("calibrate model.pt -o out.pt --speech speech.jsonl --dev nowhere.jsonl", "nowhere.jsonl does not exist"),
    ("calibrate model.pt -o out.pt --speech speech.jsonl --dev mute.jsonl", "no usable clip"),
]


@pytest.mark.parametrize(("line", "words"), BAD)
def test_a_bad_input_is_refused_before_the_work(edgespeech: Command, folder: Path, line: str, words: str) -> None:
    before = sorted(os.listdir(folder))
    outcome = edgespeech(*line.split())
    assert (outcome.code, outcome.out) == (2, "")
    *earlier, last = outcome.err.splitlines()
    assert last.startswith("edgespeech: ") and words in last
    assert all(one.startswith("calibration speech: ") for one in earlier)
    assert sorted(os.listdir(folder)) == before
