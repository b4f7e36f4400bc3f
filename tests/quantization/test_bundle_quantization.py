"""`quantize` from the command line: bundles, reports, budgets, and what is refused."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.runtime.bundle import Bundle, load_bundle

Samples = NDArray[np.float32]
Command = Callable[..., Any]


@pytest.fixture(scope="module")
def manifest(noise: Callable[[int], Samples], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of three recordings with texts."""
    folder = tmp_path_factory.mktemp("speech")
    lines = []
    for number in range(3):
        soundfile.write(folder / f"{number}.wav", noise(9000 + number), 16000)
        lines.append(json.dumps({"audio_filepath": f"{number}.wav", "text": "the cat sat"}))
    path = folder / "speech.jsonl"
    path.write_text("\n".join(lines))
    return Path(path)


@pytest.mark.parametrize("precision", ["fp16", "int8", "int4"])
def test_a_bundle_is_quantized(
    edgespeech: Command, cells_bundle: Bundle, manifest: Path, tmp_path: Path, precision: str
) -> None:
    output, report = tmp_path / "small", tmp_path / "report.json"
    arguments = ["--precision", precision, "--speech", manifest, "--dev", manifest, "--report", report]
    outcome = edgespeech("quantize", cells_bundle.folder, "-o", output, *arguments)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[-1] == str(output)
    assert "Trained tensors, read back from the graph" in outcome.out and "WER, %" in outcome.out
    written = load_bundle(output)
    assert written.manifest.graph.precision == precision
    assert written.manifest.measured["wer_percent"] >= 0.0
    assert json.loads(report.read_text())["after"]["precision"] == precision
    assert sorted(os.listdir(tmp_path)) == ["report.json", "report.png", "small"]
    assert edgespeech("verify", output).code == 0


@pytest.mark.parametrize(("choice", "steps"), [("auto", 2 + 4), ("minmax", 2)])
def test_a_terminal_shows_what_calibrates_and_measures(
    edgespeech: Command,
    cells_bundle: Bundle,
    manifest: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    choice: str,
    steps: int,
) -> None:
    """One of three recordings is held out, and ``auto`` tries four methods."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    arguments = ["--precision", "int8", "--calibration", choice, "--speech", manifest, "--dev", manifest]
    outcome = edgespeech("quantize", cells_bundle.folder, "-o", tmp_path / "small", *arguments)
    assert outcome.code == 0, outcome.err
    shown = click.unstyle(outcome.err)
    assert re.search(rf"{steps}/{steps} \S+ calibrating", shown)
    for step in ("layers", "compute time", "memory and word errors"):
        assert f"measuring: {step}" in shown
    assert "4/4" in shown


def test_the_sample_clips_calibrate_by_default(edgespeech: Command, cells_bundle: Bundle, tmp_path: Path) -> None:
    outcome = edgespeech("quantize", cells_bundle.folder, "-o", tmp_path / "s", "--precision", "int8")
    assert outcome.code == 0, outcome.err
    assert "calibration speech: the sample clips" in outcome.err
    assert outcome.out == f"{tmp_path / 's'}\n"


def test_quiet_prints_only_the_result_and_verbose_also_what_was_tried(
    edgespeech: Command, cells_bundle: Bundle, manifest: Path, tmp_path: Path
) -> None:
    arguments = ["--precision", "int8", "--speech", manifest, "--dev", manifest, "--calibration", "minmax"]
    quiet = edgespeech("quantize", cells_bundle.folder, "-o", tmp_path / "q", *arguments, "--quiet")
    assert (quiet.code, quiet.err) == (0, "") and quiet.out.splitlines()[-1] == str(tmp_path / "q")
    verbose = edgespeech("quantize", cells_bundle.folder, "-o", tmp_path / "v", *arguments, "--verbose")
    plain = edgespeech("quantize", cells_bundle.folder, "-o", tmp_path / "p", *arguments)
    assert verbose.err.count("int8: acoustic.onnx") == 2 and plain.err.count("int8: acoustic.onnx") == 1


def test_the_sensitivity_of_layers_is_printed(
    edgespeech: Command, cells_bundle: Bundle, manifest: Path, tmp_path: Path
) -> None:
    arguments = ["--precision", "int8", "--speech", manifest, "--sensitivity", "--calibration", "minmax"]
    outcome = edgespeech("quantize", cells_bundle.folder, "-o", tmp_path / "s", *arguments)
    assert outcome.code == 0, outcome.err
    assert "Layers quantized alone" in outcome.out and "recurrent0.U" in outcome.out


def test_an_lstm_operator_becomes_int8_or_computes_in_float16(
    edgespeech: Command, tiny_bundle: Bundle, manifest: Path, tmp_path: Path
) -> None:
    arguments = ["--speech", manifest, "--dev", manifest, "--dev-limit", 2]
    for name, options in (("a", ["--precision", "int8"]), ("b", ["--precision", "fp16", "--fp16-compute"])):
        outcome = edgespeech("quantize", tiny_bundle.folder, "-o", tmp_path / name, *options, *arguments)
        assert outcome.code == 0, outcome.err
        assert "word errors of one graph on 6 words take" in outcome.err and "CER, %" in outcome.out
        assert load_bundle(tmp_path / name).manifest.audio.chunk_free
        assert edgespeech("verify", tmp_path / name).code == 0
    assert load_bundle(tmp_path / "b").manifest.measured["computes_in"] == "fp16, features and log-softmax fp32"


def test_tables_are_written_into_a_document(
    edgespeech: Command, cells_bundle: Bundle, manifest: Path, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.md"
    notes.write_text("before\n<!-- int8: begin -->\nold\n<!-- int8: end -->\nafter\n")
    arguments = ["--precision", "int8", "--speech", manifest, "--calibration", "minmax", "--sensitivity"]
    outcome = edgespeech("quantize", cells_bundle.folder, "-o", tmp_path / "s", *arguments, "--into", f"{notes}#int8")
    assert outcome.code == 0, outcome.err
    text = notes.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "Layers quantized alone\n\n| weight " in text and "```" not in text
    refused = edgespeech("quantize", cells_bundle.folder, "-o", tmp_path / "t", *arguments, "--into", f"{notes}#int9")
    assert refused.code == 2 and "int9" in refused.err and not (tmp_path / "t").exists()


def test_a_budget_is_kept_or_refused(edgespeech: Command, cells_bundle: Bundle, manifest: Path, tmp_path: Path) -> None:
    arguments = ["--precision", "int8", "--speech", manifest, "--dev", manifest, "--calibration", "minmax"]
    kept = edgespeech("quantize", cells_bundle.folder, "-o", tmp_path / "a", *arguments, "--max-wer-increase", 100)
    assert kept.code == 0, kept.err
    assert "0 layer(s) kept" in kept.err and "within WER +100" in kept.err
    refused = edgespeech("quantize", cells_bundle.folder, "-o", tmp_path / "b", *arguments, "--max-wer-increase", -1000)
    assert refused.code == 1
    assert refused.err.splitlines()[-1].startswith("edgespeech: int8 does not keep the budget (WER -1000)")
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--precision", "int3"], "int3"),
        (["--precision", "int8", "--max-wer-increase", "0.5"], "give --dev"),
        (["--precision", "fp16", "--sensitivity"], "leave them out with fp16"),
        (["--precision", "int4", "--fp16-compute"], "--fp16-compute is for --precision fp16, not int4"),
        (["--precision", "int8", "--dev-limit", "0"], "0 is not in the range"),
        (["--precision", "int8", "--report", "nowhere/report.json"], "cannot write nowhere/report.json"),
        (["--precision", "int8", "--speech", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--precision", "int8", "--keep", "nothing"], "weight 'nothing' is not in the graph"),
    ],
)
def test_invalid_options_are_refused_in_one_line(
    edgespeech: Command, cells_bundle: Bundle, tmp_path: Path, arguments: list[str], message: str
) -> None:
    outcome = edgespeech("quantize", cells_bundle.folder, "-o", tmp_path / "s", *arguments)
    assert outcome.code == 2
    assert message in outcome.err.splitlines()[-1] and outcome.out == ""
    assert os.listdir(tmp_path) == []


def test_a_fused_or_quantized_bundle_is_refused(
    edgespeech: Command, tiny_bundle: Bundle, cells_bundle: Bundle, manifest: Path, tmp_path: Path
) -> None:
    arguments = ["--precision", "int8", "--speech", manifest, "--calibration", "minmax"]
    fused = edgespeech("quantize", tiny_bundle.folder, "-o", tmp_path / "s", "--precision", "int4")
    assert (fused.code, len(fused.err.splitlines())) == (2, 1) and "export it with --form cells" in fused.err
    assert edgespeech("quantize", cells_bundle.folder, "-o", tmp_path / "s", *arguments).code == 0
    for precision in ("fp16", "int8", "int4"):
        twice = edgespeech("quantize", tmp_path / "s", "-o", tmp_path / "t", "--precision", precision)
        assert (twice.code, len(twice.err.splitlines())) == (2, 1) and "is int8 already" in twice.err
    assert os.listdir(tmp_path) == ["s"]
