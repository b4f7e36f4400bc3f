"""The report of a quantization: figures, JSON, tables and a picture."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.errors import MissingDependencyError, UsageError, VerificationError
from edgespeech.quantization.quantizer import Quantizer, quantize
from edgespeech.quantization.report.picture import draw_report
from edgespeech.quantization.report.report import QuantizationReport, measure_report, save_report
from edgespeech.quantization.report.table import report_page
from edgespeech.quantization.sensitivity import LayerCost
from edgespeech.runtime.bundle import ACOUSTIC, Bundle
from edgespeech.runtime.files import require_writable
from edgespeech.runtime.measure.chunk_time import measure_chunk_times
from edgespeech.runtime.measure.memory import measure_memory
from edgespeech.runtime.measure.tables import markdown_text
from edgespeech.runtime.measure.word_errors import WordErrors
from tests.markdown_tables import cells

Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def small(full: Bundle, speech: list[Samples], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """An int8 bundle with one weight kept in float32."""
    quantizer = Quantizer(full, speech, "minmax")
    model = quantizer.rewrite(quantizer.plan("int8", ["recurrent1.W"]))
    return quantizer.write(tmp_path_factory.mktemp("small") / "small", "int8", model, {})


@pytest.fixture(scope="module")
def report(
    full: Bundle, small: Bundle, speech: list[Samples], known_errors: Callable[..., WordErrors]
) -> QuantizationReport:
    """A report with known word errors."""

    def evaluate(bundle: Bundle) -> WordErrors:
        return known_errors(0.2 if bundle is full else 0.2025, 0.04, 0.08)

    cost = LayerCost("recurrent0.U", "int8", 1e-3, 30.0, 0.0025)
    return measure_report(full, small, speech[:2], evaluate=evaluate, kept=["recurrent1.W"], costs=[cost])


def test_figures_match_the_two_bundles(report: QuantizationReport, full: Bundle, small: Bundle) -> None:
    assert report.before.acoustic_bytes == full.manifest.files[ACOUSTIC].bytes
    assert report.after.acoustic_bytes == small.manifest.files[ACOUSTIC].bytes
    assert (report.before.precision, report.after.precision) == ("fp32", "int8")
    entries = {entry.name: entry for entry in report.tensors}
    assert entries["recurrent0.W"].precision == "int8" and entries["recurrent0.W"].output_sqnr_db is not None
    assert (entries["recurrent1.W"].precision, entries["recurrent1.W"].reason) == ("fp32", "kept in higher precision")
    total = sum(entry.bytes_before for entry in report.tensors)
    integers = sum(entry.bytes_before for entry in report.tensors if entry.precision == "int8")
    assert report.shares["int8"] == pytest.approx(integers / total)
    for side in (report.before, report.after):
        assert 0.0 < side.chunk_time.shortest_ms <= side.chunk_time.median_ms
        assert 0.0 < side.memory.graph_mb < side.memory.total_mb
    assert 0.0 < report.log_probs.kl < 0.1


def test_the_summary_has_both_error_rates_in_percent(report: QuantizationReport) -> None:
    summary = report.summary()
    rates = {key: value for key, value in summary.items() if "percent" in key}
    assert rates == pytest.approx({
        "wer_percent_before": 20.0, "deletions_percent_before": 4.0, "cer_percent_before": 8.0,
        "wer_percent": 20.25, "deletions_percent": 4.0, "cer_percent": 8.0,
    })  # fmt: skip
    assert 0.0 < summary["size_ratio"] < 1.0


def test_tables_have_all_figures(report: QuantizationReport) -> None:
    text = markdown_text(report_page(report))
    rows = [cells(line) for line in text.splitlines() if line.startswith("|")]
    assert next(row for row in rows if row[0] == "recurrent0.U")[1:3] == ["40 x 160", "int8"]
    assert ["WER, %", "20.00", "20.25", "+0.25"] in rows
    assert "kept in higher precision" in text and "Layers quantized alone" in text
    assert f"int8 {report.shares['int8']:.1%}" in text


def test_json_and_picture_are_written(report: QuantizationReport, tmp_path: Path) -> None:
    save_report(report, tmp_path / "r.json")
    draw_report(report, tmp_path / "r.png")
    saved = json.loads((tmp_path / "r.json").read_text())
    assert saved["after"]["error_rates"] == pytest.approx({"wer": 20.25, "deletions": 4.0, "cer": 8.0})
    assert list(saved["after"]) == [
        "name", "form", "precision", "acoustic_bytes", "chunk_time", "memory", "error_rates"
    ]  # fmt: skip
    assert saved["sensitivity"][0]["wer_increase"] == pytest.approx(0.25)
    assert [tensor["name"] for tensor in saved["tensors"]] == [tensor.name for tensor in report.tensors]
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(os.listdir(tmp_path)) == ["r.json", "r.png"]


def test_a_missing_matplotlib_is_an_error(
    report: QuantizationReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgespeech\[report\]'"):
        draw_report(report, tmp_path / "r.png")


@pytest.mark.parametrize("place", [".", "nowhere/report.json"])
def test_a_report_that_cannot_be_written_is_refused(report: QuantizationReport, tmp_path: Path, place: str) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        require_writable(tmp_path / place)
    with pytest.raises(UsageError, match="cannot write"):
        save_report(report, tmp_path / place)


def test_a_float16_bundle_has_a_report(tiny_bundle: Bundle, speech: list[Samples], tmp_path: Path) -> None:
    half = quantize(tiny_bundle, tmp_path / "half", "fp16", speech)
    text = markdown_text(report_page(measure_report(tiny_bundle, half, speech[:1])))
    assert "fp16 on a CPU is smaller, not faster" in text and "no --dev manifest" in text


def test_chunks_of_another_length_cannot_be_compared(full: Bundle, small: Bundle, speech: list[Samples]) -> None:
    size = small.manifest.audio.chunk_samples
    with pytest.raises(UsageError, match="chunks of one length"):
        measure_chunk_times({"a": full, "b": small}, speech[0], 2 * size, rounds=1)


def test_a_failed_memory_measurement_names_the_reason(full: Bundle, tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="could not be measured: .*does not exist"):
        measure_memory(Bundle(tmp_path / "nothing", full.manifest))
