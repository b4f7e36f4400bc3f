"""Bundles of a checkpoint in several precisions, like another bundle."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgespeech.demo.bench import variants
from edgespeech.demo.bench.variants import VariantsRequest, build_variants, check_variants, parse_variant
from edgespeech.demo.bundles.export import BundleRequest
from edgespeech.errors import UsageError
from edgespeech.reference.model.checkpoint import save_checkpoint
from edgespeech.runtime.bundle import Bundle


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("fp32", ("fp32", "fused")), ("int4", ("int4", "cells")), ("int8:cells", ("int8", "cells"))],
)
def test_a_variant_is_a_precision_with_an_optional_form(text: str, wanted: tuple[str, str]) -> None:
    assert parse_variant(text) == wanted
    with pytest.raises(UsageError, match="wanted one of fp32, fp16, int8, int4, optionally with :fused or :cells"):
        parse_variant(f"{text}:round")


@pytest.mark.parametrize(("frames", "wanted"), [(2.0, 80.0), (7.5, None)])
def test_the_chunk_of_the_bundle_is_used_if_it_is_whole_frames(
    frames: float,
    wanted: float | None,
    tiny_bundle: Bundle,
    tiny_model_factory: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    save_checkpoint(tiny_model_factory(cell="gru"), tmp_path / "model.pt", {"name": "tiny"})
    manifest = tiny_bundle.manifest
    samples = round(frames * manifest.audio.frame_samples)
    audio = msgspec.structs.replace(manifest.audio, frame_samples=samples, chunk_samples=samples)
    like = Bundle(tiny_bundle.folder, msgspec.structs.replace(manifest, audio=audio))
    requests: list[BundleRequest] = []

    def export(checkpoint: Path, output: Path, request: BundleRequest) -> Bundle:
        requests.append(request)
        return Bundle(output, manifest)

    monkeypatch.setattr(variants, "export_bundle", export)
    monkeypatch.setattr(logging.getLogger("edgespeech"), "propagate", True)
    with caplog.at_level(logging.INFO, logger="edgespeech"):
        folders = build_variants(
            VariantsRequest(tmp_path / "model.pt", ["fp32", "int8:cells"], tmp_path, like), [1.0, 60.0]
        )
    assert folders == [tmp_path / "fp32", tmp_path / "int8-cells"]
    assert [(one.precision, one.export.form, one.export.chunk_ms) for one in requests] == [
        ("fp32", "fused", wanted),
        ("int8", "cells", wanted),
    ]
    assert all(one.export.decoder == manifest.decoder and not one.calibrate for one in requests)
    assert ("are not whole frames of 40 ms" in caplog.text) == (wanted is None)


def test_the_exports_are_estimated_from_the_speech_that_they_process(
    tiny_bundle: Bundle, tiny_model_factory: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tiny_model_factory(cell="gru"), tmp_path / "model.pt", {"name": "tiny"})
    monkeypatch.setattr(variants, "_seconds_of_torch", lambda model: 0.1)
    request = VariantsRequest(tmp_path / "model.pt", ["fp32", "fp16", "int8", "int4"], tmp_path, tiny_bundle)
    fp32, fp16, int8, int4 = check_variants(request, ())
    assert fp32 == fp16 == pytest.approx(0.1 * 1.8 * (29.6 + 15.0), rel=0.01), "the sample clips, compared"
    assert fp32 < int8 < int4 < 2.0 * fp32
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pt"]
