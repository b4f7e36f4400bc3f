"""Exports one checkpoint in several precisions, as bundles to compare."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from edgespeech.demo.bench.trial import speech_seconds
from edgespeech.demo.bundles.export import BundleRequest, ExportPrecision, export_bundle
from edgespeech.errors import UsageError
from edgespeech.export.checkpoint_export import TrainedModel, load_trained
from edgespeech.export.inputs import comparison_speech
from edgespeech.export.request import ExportRequest, Form
from edgespeech.export.streaming_graph import chunk_samples
from edgespeech.quantization.bundle_quantization import MAX_CALIBRATION_SECONDS
from edgespeech.reference.language_model.label_scores import recorded_settings
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.runtime.bundle import Bundle, require_bundle_folder
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.measure.progress import TimedSteps

log = logging.getLogger(__name__)

# Form of each precision unless another one is asked for; the export unrolls what has no operator with such weights.
FORMS: dict[ExportPrecision, Form] = {"fp32": "fused", "fp16": "fused", "int8": "fused", "int4": "cells"}
# How often an export processes each second of its speech, in passes of torch, chunk by chunk: measured for the default
# model on x86. The comparison of the graph with the model, and what quantizing adds.
COMPARISON = 1.8
WITHOUT_SPEECH = 15.0  # seconds of speech whose comparison takes as long as making and loading the graph
CALIBRATION: dict[ExportPrecision, float] = {"fp32": 0.0, "fp16": 0.0, "int8": 0.33, "int4": 0.6}
TIMED_SECONDS = 1.5


def parse_variant(text: str) -> tuple[ExportPrecision, Form]:
    """Parse a precision with or without a form, such as ``int8`` or ``int8:cells``; raise UsageError if unknown."""
    name, _, form = text.partition(":")
    if name not in FORMS or form not in {"", "fused", "cells"}:
        known = ", ".join(FORMS)
        raise UsageError(f"precision {text!r} is unknown; wanted one of {known}, optionally with :fused or :cells")
    return name, cast(Form, form) if form else FORMS[name]


@dataclass(frozen=True)
class VariantsRequest:
    """Bundles to make of one checkpoint.

    Attributes:
        precisions: Texts for `parse_variant`.
        folder: Folder for the bundles.
        like: Bundle whose chunk length, language model and search settings the new ones take.
        speech: Manifest to calibrate int8 and int4 on, and to compare on; None for the sample clips.
        overwrite: Whether bundles that exist are replaced.
    """

    checkpoint: Path
    precisions: Sequence[str]
    folder: Path
    like: Bundle
    speech: Path | None = None
    overwrite: bool = False

    def folder_of(self, variant: str) -> Path:
        """Return the folder of the bundle of one precision."""
        return self.folder / variant.replace(":", "-")


def check_variants(request: VariantsRequest, chunks_ms: Sequence[float]) -> list[float]:
    """Check all that the exports need, and estimate how many seconds each of them will take.

    Raises:
        EdgespeechError: The checkpoint, a precision, the speech, a chunk length or a folder is invalid.
    """
    wanted = [parse_variant(text) for text in request.precisions]
    if not wanted:
        raise UsageError(f"--precisions has no value; wanted some of {', '.join(FORMS)}")
    for text in request.precisions:
        require_bundle_folder(request.folder_of(text), request.overwrite)
    trained = load_trained(request.checkpoint)
    own = _chunk_ms(trained, request.like)
    for chunk_ms in chunks_ms:
        if chunk_samples(trained.model, chunk_ms) != chunk_samples(trained.model, own):
            fixed = [text for text, (_, form) in zip(request.precisions, wanted, strict=True) if form == "cells"]
            if fixed:
                raise UsageError(f"{fixed[0]} has a fixed chunk (form cells); leave --chunk-ms {chunk_ms:g} out")
    sample_rate = trained.model.config.features.sample_rate
    compared = sum(map(len, comparison_speech(request.speech, sample_rate))) / sample_rate + WITHOUT_SPEECH
    utterances = read_manifest(request.speech or SAMPLE_CLIPS, check_files=True)
    calibrated = min(MAX_CALIBRATION_SECONDS, speech_seconds(utterances))
    seconds = _seconds_of_torch(trained.model)
    return [seconds * (COMPARISON * compared + CALIBRATION[precision] * calibrated) for precision, _ in wanted]


def _seconds_of_torch(model: DeepSpeech2) -> float:
    """Measure how long the model takes for a second of audio in torch, chunk by chunk."""
    size = chunk_samples(model, None)
    chunk, chunks, spent = torch.zeros(1, size), 0, 0.0
    with torch.no_grad():
        _, state = model.step(chunk, model.initial_state(1))  # warms up
        began = time.perf_counter()
        while spent < TIMED_SECONDS:
            _, state = model.step(chunk, state)
            chunks, spent = chunks + 1, time.perf_counter() - began
    return spent / (chunks * size / model.config.features.sample_rate)


def build_variants(request: VariantsRequest, seconds: Sequence[float]) -> list[Path]:
    """Export the checkpoint once for each precision, and return the bundles' folders in this order.

    ``seconds`` are those that `check_variants` has estimated.

    Raises:
        EdgespeechError: An argument is invalid, or an export was refused.
    """
    chunk_ms = _chunk_ms(load_trained(request.checkpoint), request.like, log_reason=True)
    like, made = request.like.manifest, []
    with TimedSteps(sum(seconds)) as steps:
        for text, estimated in zip(request.precisions, seconds, strict=True):
            precision, form = parse_variant(text)
            steps.begin(f"exporting {request.checkpoint} as {precision} {form}", estimated)
            export = ExportRequest(
                form=form,
                chunk_ms=chunk_ms,
                speech=request.speech,
                **recorded_settings(like.provenance),
                lm=request.like.language_model_path,
                decoder=like.decoder,
            )
            # The batch-norm statistics stay those of the checkpoint.
            wanted = BundleRequest(export, precision, calibrate=False)
            made.append(export_bundle(request.checkpoint, request.folder_of(text), wanted).folder)
    return made


def _chunk_ms(trained: TrainedModel, like: Bundle, log_reason: bool = False) -> float | None:
    """Return the bundle's chunk if it is a multiple of the checkpoint's frame; None for the default of the export."""
    config = trained.model.config
    frame_ms = config.frame_samples / config.features.sample_rate * 1000.0
    chunk_ms = like.manifest.audio.chunk_seconds * 1000.0
    if abs(round(chunk_ms / frame_ms) * frame_ms - chunk_ms) < 1e-6:
        return chunk_ms
    if log_reason:
        log.info("chunks of %g ms, as in %s, are not whole frames of %g ms: using the export's default",
                 chunk_ms, like.folder, frame_ms)  # fmt: skip
    return None
