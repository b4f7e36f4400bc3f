"""`edgespeech.quantization` as a notebook uses it: a cheap import, two functions, results returned, nothing printed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

import edgespeech.quantization as door
from edgespeech.errors import UsageError
from edgespeech.reference.model.checkpoint import load_checkpoint, save_checkpoint
from edgespeech.runtime.bundle import Bundle, load_bundle
from edgespeech.runtime.recognizer import Recognizer

Samples = NDArray[np.float32]


@pytest.fixture
def manifest(noise: Callable[[int], Samples], tmp_path: Path) -> Path:
    """A manifest of two recordings with texts."""
    lines = []
    for number in range(2):
        soundfile.write(tmp_path / f"{number}.wav", noise(9000 + number), 16000)
        lines.append(json.dumps({"audio_filepath": f"{number}.wav", "text": "a cat"}))
    (tmp_path / "speech.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "speech.jsonl"


def test_all_names_can_be_imported() -> None:
    assert door.__all__ == [
        "Budget", "CalibrateRequest", "CalibratedCheckpoint", "QuantizeRequest", "QuantizedBundle",
        "calibrate_checkpoint", "quantize_bundle",
    ]  # fmt: skip
    assert all(getattr(door, name).__doc__ for name in door.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'quantise'; it has Budget"):
        door.quantise  # noqa: B018


def test_the_import_loads_neither_torch_nor_onnx() -> None:
    names = "{'torch', 'onnx', 'onnxruntime', 'matplotlib'}"
    program = (
        f"import sys, edgespeech.quantization as q; q.QuantizeRequest, q.Budget; print({names} & {{*sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_notebook_quantizes_a_bundle(
    cells_bundle: Bundle, manifest: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    request = door.QuantizeRequest("int8", speech=manifest, dev=manifest, sensitivity=True, calibration="minmax")
    small = door.quantize_bundle(str(cells_bundle.folder), str(tmp_path / "small"), request)
    assert isinstance(small, Bundle) and small.manifest == load_bundle(tmp_path / "small").manifest
    assert Recognizer(small).sample_rate == 16000
    assert small.report is not None and small.report.after.error_rates is not None
    assert small.manifest.measured["wer_percent"] == 100 * small.report.after.error_rates.wer
    words = small.report.after.error_rates.words
    assert small.manifest.measured["wer_speech"] == f"{manifest.parent.name}/{manifest.name}, {words} words"
    assert small.sensitivity == small.report.sensitivity != ()
    assert "Layers quantized alone" in small.tables() and "WER, %" in small.tables()
    assert capfd.readouterr() == ("", "")


def test_without_measurements_there_are_no_tables(cells_bundle: Bundle, manifest: Path, tmp_path: Path) -> None:
    small = door.quantize_bundle(cells_bundle.folder, tmp_path / "small", door.QuantizeRequest("fp16", manifest))
    assert (small.report, small.sensitivity, small.tables()) == (None, (), "")


def test_a_budget_needs_a_manifest_to_count_errors_on(cells_bundle: Bundle, tmp_path: Path) -> None:
    request = door.QuantizeRequest("int8", budget=door.Budget(max_wer_increase=0.005))
    with pytest.raises(UsageError, match="give --dev a manifest"):
        door.quantize_bundle(cells_bundle.folder, tmp_path / "small", request)


def test_a_notebook_calibrates_a_checkpoint(
    tiny_model_factory: Callable[..., Any], manifest: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    save_checkpoint(tiny_model_factory(), tmp_path / "model.pt", {"name": "tiny"})
    request = door.CalibrateRequest(speech=manifest)
    calibrated = door.calibrate_checkpoint(str(tmp_path / "model.pt"), str(tmp_path / "calibrated.pt"), request)
    assert calibrated.path == tmp_path / "calibrated.pt"
    assert [movement.layer for movement in calibrated.movements][-1] == "output"
    assert calibrated.clips == 2 and calibrated.seconds == pytest.approx(18001 / 16000)
    assert calibrated.word_errors is not None and calibrated.word_errors[1].words == 4
    assert load_checkpoint(calibrated.path)[1]["calibrated"]["clips"] == 2
    assert capfd.readouterr() == ("", "")
