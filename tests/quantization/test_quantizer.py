"""Quantizing writes a smaller bundle, or fails with one clear line and writes nothing."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from edgespeech.errors import UsageError, VerificationError
from edgespeech.quantization.divergence import divergence
from edgespeech.quantization.quantizer import Quantizer, quantize
from edgespeech.quantization.range_calibration import split_speech
from edgespeech.quantization.requests import Precision
from edgespeech.runtime.bundle import ACOUSTIC, Bundle, load_bundle

Samples = NDArray[np.float32]


@pytest.mark.parametrize("precision", ["fp16", "int8", "int4"])
def test_a_bundle_becomes_smaller(
    full: Bundle, speech: list[Samples], tmp_path: Path, precision: Precision, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "edgespeech"):
        written = quantize(full, tmp_path / "small", precision, speech)
    assert written == load_bundle(tmp_path / "small")
    assert written.manifest.graph.precision == precision
    assert written.manifest.graph.states == full.manifest.graph.states
    assert written.manifest.files[ACOUSTIC].bytes < full.manifest.files[ACOUSTIC].bytes
    assert any(message.startswith(precision) for message in caplog.messages)
    if precision != "fp16":
        figures = written.manifest.measured
        assert 0.0 < figures["kl_from_fp32"] < 0.5 and figures["calibration"] in caplog.messages[0]


def test_auto_selects_the_method_with_the_smallest_divergence(
    full: Bundle, speech: list[Samples], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "edgespeech"):
        found = Quantizer(full, speech, "auto").calibration
    assert set(found.divergences) == {"minmax", "percentile", "entropy", "error"}
    assert found.divergences[found.method] == min(found.divergences.values())
    (message,) = caplog.messages
    assert message.startswith(f"calibration: {found.method} ") and "held-out" in message


def test_a_given_method_is_used(full: Bundle, speech: list[Samples]) -> None:
    found = Quantizer(full, speech, "percentile").calibration
    assert found.method == "percentile" and found.divergences == {}


def test_held_out_speech_is_not_fitted_to(speech: list[Samples]) -> None:
    fitted, held_out = split_speech(speech)
    assert len(fitted) == 4 and len(held_out) == 2
    assert sorted(map(len, [*fitted, *held_out])) == sorted(map(len, speech))
    alone, same = split_speech(speech[:1])
    assert alone[0] is same[0] is speech[0]


def test_kept_weights_stay_float32(full: Bundle, speech: list[Samples], tmp_path: Path) -> None:
    written = quantize(full, tmp_path / "k", "int8", speech, calibration="minmax", keep=["recurrent0.U"])
    names = {weight.name for weight in onnx.load(str(written.acoustic_path)).graph.initializer}
    assert "recurrent0.U" in names and "recurrent0.U.int8" not in names and "recurrent1.U.int8" in names


def test_a_weight_kept_from_int4_is_int8(full: Bundle, speech: list[Samples]) -> None:
    plan = Quantizer(full, speech, "minmax").plan("int4", ["recurrent1.W", "convolution0.weight"])
    assert (plan["recurrent1.W"], plan["recurrent0.W"]) == ("int8", "int4")
    assert (plan["convolution0.weight"], plan["convolution1.weight"]) == ("fp32", "int8")


def test_channel_statistics_reduce_the_divergence(full: Bundle, speech: list[Samples]) -> None:
    quantizer = Quantizer(full, speech, "minmax")
    with_channels = quantizer.divergence(quantizer.rewrite(quantizer.plan("int4"))).kl
    quantizer.calibration.channels.clear()
    without = quantizer.rewrite(quantizer.plan("int4"))
    biases = {w.name: numpy_helper.to_array(w) for w in without.graph.initializer if w.name.endswith(".b")}
    for name, bias in biases.items():
        np.testing.assert_array_equal(bias, quantizer.graph.weights[name])
    assert with_channels < 0.5 * quantizer.divergence(without).kl


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"precision": "int3"}, "precision 'int3' is unknown; wanted one of fp16, int8, int4"),
        ({"calibration": "guess"}, "calibration 'guess' is unknown; wanted one of auto, minmax"),
        ({"keep": ["output.weight"]}, "weight 'output.weight' is not in the graph; wanted some of convolution0.weight"),
        ({"precision": "fp16", "keep": ["recurrent0.U"]}, "fp16 keeps no weights"),
        ({"speech": []}, "empty or silent"),
        ({"speech": [np.zeros(0, np.float32)]}, "empty or silent"),
        ({"speech": [np.zeros(16000, np.float32)]}, "empty or silent"),
    ],
)
def test_invalid_arguments_are_refused_in_one_line(
    full: Bundle, speech: list[Samples], tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    given: dict[str, Any] = {"precision": "int8", "speech": speech, **arguments}
    with pytest.raises(UsageError) as raised:
        quantize(full, tmp_path / "small", **given)
    assert message in str(raised.value) and "\n" not in str(raised.value)
    assert os.listdir(tmp_path) == []


def test_a_bundle_is_quantized_only_once(full: Bundle, speech: list[Samples], tmp_path: Path) -> None:
    once = quantize(full, tmp_path / "once", "int8", speech, calibration="minmax")
    for precision in ("int8", "int4", "fp16"):
        with pytest.raises(UsageError, match="is int8 already"):
            quantize(once, tmp_path / "twice", precision, speech)
    assert os.listdir(tmp_path) == ["once"]


@pytest.mark.parametrize(
    ("cell", "precision", "message"),
    [
        ("gru", "int8", "form 'fused', whose GRU stays float32; export it with --form cells"),
        ("rnn", "int8", "form 'fused', whose RNN stays float32; export it with --form cells"),
        ("lstm", "int4", "form 'fused', whose LSTM has no int4; export it with --form cells"),
    ],
)
def test_a_fused_bundle_is_refused_with_the_form_to_export(
    bundle_of: Callable[..., Bundle],
    tiny_model_factory: Callable[..., Any],
    speech: list[Samples],
    tmp_path: Path,
    cell: str,
    precision: Precision,
    message: str,
) -> None:
    fused = bundle_of(tiny_model_factory(cell=cell), form="fused")
    with pytest.raises(UsageError, match=message):
        quantize(fused, tmp_path / "small", precision, speech)
    assert os.listdir(tmp_path) == []


def test_a_bundle_that_differs_too_much_is_not_written(
    full: Bundle, speech: list[Samples], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgespeech.quantization.quantizer.MAX_DIVERGENCE", 1e-9)
    with pytest.raises(VerificationError, match="no bundle was written"):
        quantize(full, tmp_path / "small", "int8", speech, calibration="minmax")
    assert os.listdir(tmp_path) == []


def test_values_that_are_not_finite_are_refused(full: Bundle, tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="not finite"):
        quantize(full, tmp_path / "small", "int8", [np.full(9000, np.nan, np.float32)])


def test_zero_weights_can_be_quantized(
    bundle_of: Callable[..., Bundle], tiny_model_factory: Callable[..., Any], speech: list[Samples], tmp_path: Path
) -> None:
    import torch

    model = tiny_model_factory(cell="gru")
    with torch.no_grad():
        model.stages()["recurrent1"].rnn.weight_hh_l0.zero_()
    for precision in ("int8", "int4"):
        quantize(bundle_of(model), tmp_path / precision, precision, speech, calibration="minmax")


def test_divergence_equals_the_one_computed_by_hand() -> None:
    p, q = np.log(np.array([[0.5, 0.5], [0.1, 0.9]], np.float32)), np.log(np.array([[0.25, 0.75]] * 2, np.float32))
    found = divergence(p, q)
    by_hand = 0.5 * (0.5 * np.log(2) + 0.5 * np.log(2 / 3) + 0.1 * np.log(0.4) + 0.9 * np.log(1.2))
    assert found.kl == pytest.approx(by_hand, rel=1e-5)
    assert found.agreement == 0.5
    assert divergence(p, p).sqnr_db == 200.0
    assert divergence(p, np.full_like(p, np.nan)).kl == float("inf")
