"""Exports one checkpoint in several precisions, as bundles to compare."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from edgespeech.demo.bundles.export import BundleRequest, ExportPrecision, export_bundle
from edgespeech.errors import UsageError
from edgespeech.export.checkpoint_export import load_trained
from edgespeech.export.request import ExportRequest, Form
from edgespeech.runtime.bundle import Bundle

log = logging.getLogger(__name__)

# Form of each precision unless another one is asked for; the export unrolls what has no operator with such weights.
FORMS: dict[ExportPrecision, Form] = {"fp32": "fused", "fp16": "fused", "int8": "fused", "int4": "cells"}


def parse_variant(text: str) -> tuple[ExportPrecision, Form]:
    """Parse a precision with or without a form, such as ``int8`` or ``int8:cells``; raise UsageError if unknown."""
    name, _, form = text.partition(":")
    if name not in FORMS or form not in {"", "fused", "cells"}:
        known = ", ".join(FORMS)
        raise UsageError(f"precision {text!r} is unknown; wanted one of {known}, optionally with :fused or :cells")
    return name, cast(Form, form) if form else FORMS[name]


def build_variants(
    checkpoint: Path, variants: Sequence[str], like: Bundle, folder: Path, speech: Path | None
) -> list[Path]:
    """Export a checkpoint once for each precision of `parse_variant`, and return the bundles' folders in this order.

    Chunk length, language model and search settings are those of the bundle ``like``. The speech is a manifest to
    calibrate int8 and int4 on; None for the sample clips.

    Raises:
        EdgespeechError: An argument is invalid, or an export was refused.
    """
    wanted = [parse_variant(text) for text in variants]
    chunk_ms = _chunk_ms(checkpoint, like)
    made = []
    for text, (precision, form) in zip(variants, wanted, strict=True):
        log.info("exporting %s as %s %s", checkpoint, precision, form)
        request = ExportRequest(
            form=form,
            chunk_ms=chunk_ms,
            speech=speech,
            blank_score=float(like.manifest.provenance.get("blank_score", 0.0)),
            lm=like.language_model_path,
            decoder=like.manifest.decoder,
        )
        # The batch-norm statistics stay those of the checkpoint.
        bundle = export_bundle(
            checkpoint, folder / text.replace(":", "-"), BundleRequest(request, precision, calibrate=False)
        )
        made.append(bundle.folder)
    return made


def _chunk_ms(checkpoint: Path, like: Bundle) -> float | None:
    """Return the bundle's chunk if it is a multiple of the checkpoint's frame; None for the default of the export."""
    config = load_trained(checkpoint).model.config
    frame_ms = config.frame_samples / config.features.sample_rate * 1000.0
    chunk_ms = like.manifest.audio.chunk_seconds * 1000.0
    if abs(round(chunk_ms / frame_ms) * frame_ms - chunk_ms) < 1e-6:
        return chunk_ms
    log.info("chunks of %g ms, as in %s, are not whole frames of %g ms: using the export's default",
             chunk_ms, like.folder, frame_ms)  # fmt: skip
    return None
