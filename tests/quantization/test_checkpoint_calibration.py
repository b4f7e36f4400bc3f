"""`calibrate` from the command line, and which clips of a manifest it uses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray

from edgespeech.quantization.batch_norm import calibrate_batch_norm, movement_table
from edgespeech.reference.model.checkpoint import load_checkpoint, save_checkpoint
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.model.layers import MaskedBatchNorm

Samples = NDArray[np.float32]
Run = Callable[..., Any]


@pytest.fixture
def recordings(noise: Callable[[int], Samples]) -> list[Samples]:
    """Five recordings of different length and loudness, one of them too short to be used."""
    return [noise(length) * gain for length, gain in ((9000, 1), (6400, 2), (15001, 0.1), (4321, 1), (12345, 0.5))]


def write_manifest(path: Path, recordings: list[Samples], **fields: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, samples in enumerate(recordings):
        name = f"{path.stem}-{number}.wav"
        soundfile.write(path.parent / name, samples, 16000, subtype="FLOAT")
        lines.append(json.dumps({"audio_filepath": name, "text": "a b", **fields}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def speech(tmp_path: Path, recordings: list[Samples]) -> Path:
    """A manifest of the recordings."""
    return write_manifest(tmp_path / "speech" / "speech.jsonl", recordings)


@pytest.fixture
def spoiled(tmp_path: Path, tiny_model_factory: Callable[..., DeepSpeech2]) -> Path:
    """A checkpoint with wrong statistics."""
    model = tiny_model_factory()
    for module in model.modules():
        if isinstance(module, MaskedBatchNorm):
            module.running_mean.add_(3.0).mul_(-2.0)
            module.running_variance.mul_(50.0).add_(1.0)
    path = tmp_path / "spoiled.pt"
    save_checkpoint(model, path, {"name": "tiny", "licence": "none"})
    return path


def test_the_command_measures_the_statistics_on_speech(
    edgespeech: Run, tmp_path: Path, spoiled: Path, speech: Path, recordings: list[Samples]
) -> None:
    outcome = edgespeech("calibrate", spoiled, "--speech", speech, "-o", tmp_path / "new" / "calibrated.pt")
    assert (outcome.code, outcome.out) == (0, f"{tmp_path / 'new' / 'calibrated.pt'}\n")
    assert "dropped 1 of 5 clips: not between 0.3 and 60 s" in outcome.err
    assert "calibrating 4 batch norms on 4 clips, 2.7 s" in outcome.err
    assert "only 2.7 s of speech" in outcome.err
    assert "greedy, on 4 clips, 2.7 s: WER" in outcome.err
    before, _ = load_checkpoint(spoiled)
    written, provenance = load_checkpoint(tmp_path / "new" / "calibrated.pt")
    used = sorted((one for one in recordings if len(one) >= 4800), key=len)
    seconds = round(sum(map(len, used)) / 16000, 2)
    calibrated = {"manifest": "speech.jsonl", "clips": 4, "seconds": seconds}
    assert provenance == {"name": "tiny", "licence": "none", "calibrated": calibrated}
    expected, movements = calibrate_batch_norm(before, used)
    assert movement_table(movements).text() in outcome.err
    for name, value in expected.state_dict().items():
        assert torch.equal(written.state_dict()[name], value)


def test_only_the_part_named_by_a_manifest_line_is_read(
    edgespeech: Run, tmp_path: Path, spoiled: Path, recordings: list[Samples]
) -> None:
    speech = write_manifest(tmp_path / "parts.jsonl", [recordings[2]], offset=0.25, duration=0.5, text="")
    outcome = edgespeech("calibrate", spoiled, "--speech", speech, "-o", tmp_path / "calibrated.pt")
    assert outcome.code == 0
    assert "word errors not measured: no usable clip" in outcome.err
    expected, _ = calibrate_batch_norm(load_checkpoint(spoiled)[0], [recordings[2][4000:12000]])
    for name, value in expected.state_dict().items():
        assert torch.equal(load_checkpoint(tmp_path / "calibrated.pt")[0].state_dict()[name], value)


def test_half_calibrates_the_rounded_weights(edgespeech: Run, spoiled: Path, speech: Path) -> None:
    before = spoiled.stat().st_size
    assert edgespeech("calibrate", spoiled, "--speech", speech, "-o", spoiled, "--half", "--overwrite").code == 0
    assert spoiled.stat().st_size < before
    first = load_checkpoint(spoiled)[0].state_dict()
    assert edgespeech("calibrate", spoiled, "--speech", speech, "-o", spoiled, "--half", "--overwrite").code == 0
    for name, value in load_checkpoint(spoiled)[0].state_dict().items():
        assert torch.equal(first[name], value)


def test_a_model_without_batch_norm_is_copied(
    edgespeech: Run, tmp_path: Path, speech: Path, tiny_model_factory: Callable[..., DeepSpeech2]
) -> None:
    model = tiny_model_factory(batch_norm=False)
    save_checkpoint(model, tmp_path / "plain.pt", {"name": "plain"})
    outcome = edgespeech("calibrate", tmp_path / "plain.pt", "--speech", speech, "-o", tmp_path / "same.pt")
    assert outcome.code == 0
    assert "no batch norm: nothing to calibrate" in outcome.err
    written, provenance = load_checkpoint(tmp_path / "same.pt")
    assert provenance == {"name": "plain"}
    for name, value in model.state_dict().items():
        assert torch.equal(written.state_dict()[name], value)


def test_word_errors_are_counted_on_the_dev_manifest(
    edgespeech: Run, tmp_path: Path, spoiled: Path, speech: Path
) -> None:
    dev = write_manifest(tmp_path / "dev.jsonl", [np.zeros(16000, np.float32)])
    command = ("calibrate", spoiled, "--speech", speech, "-o", tmp_path / "calibrated.pt", "--dev")
    assert "greedy, on 1 clips, 1.0 s: WER" in edgespeech(*command, dev).err
    textless = write_manifest(tmp_path / "textless.jsonl", [np.zeros(16000, np.float32)], text="")
    outcome = edgespeech(*command, textless, "--overwrite")
    assert (outcome.code, len(outcome.err.splitlines())) == (2, 1)
    assert "no usable clip" in outcome.err and "1 no text" in outcome.err


def silent(folder: Path) -> Path:
    return write_manifest(folder / "silent.jsonl", [np.zeros(16000, np.float32), np.full(8000, 1e-4, np.float32)])


def missing_files(folder: Path) -> Path:
    path = folder / "gone.jsonl"
    path.write_text('{"audio_filepath": "gone.wav", "text": "a"}\n{"audio_filepath": "manifest.jsonl"}\n', "utf-8")
    (folder / "manifest.jsonl").write_text("no sound", "utf-8")
    return path


def empty(folder: Path) -> Path:
    (folder / "empty.jsonl").write_text("\n", "utf-8")
    return folder / "empty.jsonl"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (silent, "silent.jsonl: 2 silent"),
        (missing_files, "gone.jsonl: 1 missing file, 1 unreadable file"),
        (empty, "empty.jsonl is empty"),
        (lambda folder: folder / "nowhere.jsonl", "nowhere.jsonl does not exist"),
    ],
)
def test_unusable_speech_is_refused(
    edgespeech: Run, tmp_path: Path, spoiled: Path, make: Callable[[Path], Path], message: str
) -> None:
    outcome = edgespeech("calibrate", spoiled, "--speech", make(tmp_path), "-o", tmp_path / "calibrated.pt")
    assert (outcome.code, outcome.out, len(outcome.err.splitlines())) == (2, "", 1)
    assert message in outcome.err
    assert not (tmp_path / "calibrated.pt").exists()


@pytest.mark.parametrize(("output", "message"), [("", "is a folder"), ("spoiled.pt/below.pt", "cannot write")])
def test_an_unusable_output_is_refused_before_the_work(
    edgespeech: Run, tmp_path: Path, spoiled: Path, speech: Path, output: str, message: str
) -> None:
    outcome = edgespeech("calibrate", spoiled, "--speech", speech, "-o", tmp_path / output)
    assert (outcome.code, outcome.out, len(outcome.err.splitlines())) == (2, "", 1)
    assert message in outcome.err
