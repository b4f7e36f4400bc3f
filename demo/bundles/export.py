"""`export`: brings together the pipeline, the speech to compare on, and the precision."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.export.blank_score import shift_blank
from edgespeech.export.pipeline import ExportSettings
from edgespeech.export.pipeline import export as run_export
from edgespeech.quantization.checkpoint import calibrate_checkpoint_model
from edgespeech.quantization.pipeline import calibration_speech
from edgespeech.quantization.quantize import quantize
from edgespeech.reference.model.checkpoint import load_checkpoint
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.runtime.bundle import MAX_CHUNK_SECONDS, Bundle, DecoderDefaults
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest, read_samples

MOST_UTTERANCES = 8


def export_bundle(
    checkpoint: Path, output: Path, speech: Path | None, settings: dict[str, Any], report: Callable[[str], None]
) -> Bundle:
    """Export a checkpoint in the precision asked for.

    Args:
        checkpoint: A file of `edgespeech train`.
        output: The bundle's folder.
        speech: Manifest of recordings to calibrate and compare on; None to compare on the clips that ship.
        settings: ``form, chunk_ms, precision, fp16_compute, no_calibrate, blank_score, lm, name``, and those of
            `DecoderDefaults` that are not to be the defaults.
        report: Takes lines for people.

    Raises:
        EdgespeechError: Something given is unusable, or the result was refused.
    """
    if settings["chunk_ms"] is not None and not settings["chunk_ms"] <= MAX_CHUNK_SECONDS * 1000.0:
        raise UsageError(f"chunk of {settings['chunk_ms']:g} ms: wanted at most {MAX_CHUNK_SECONDS:g} s")
    try:
        known = msgspec.structs.fields(DecoderDefaults)
        given = {one.encode_name: settings[one.name] for one in known if one.name in settings}
        decoder = msgspec.convert(given, DecoderDefaults)
    except msgspec.ValidationError as error:
        raise UsageError(f"a default of the beam search is out of range: {error}; correct it") from None
    utterances = read_manifest(speech or SAMPLE_CLIPS, check_files=True)[:MOST_UTTERANCES]

    def recordings(sample_rate: int) -> Sequence[NDArray[np.float32]]:
        return [read_samples(utterance, sample_rate) for utterance in utterances]

    precision = settings["precision"]
    integers = precision in {"int8", "int4"}
    if settings["fp16_compute"] and precision != "fp16":
        raise UsageError(f"--fp16-compute is for --precision fp16, not {precision}; choose one of them")
    form = settings["form"]
    if form != "cells" and integers and not (precision == "int8" and _is_lstm(checkpoint)):
        report(f"{precision}: the recurrence is unrolled (form cells), for there is no operator with such weights")
        form = "cells"
    export_settings = ExportSettings(
        form=form, chunk_ms=settings["chunk_ms"], lm=settings["lm"], name=settings["name"], decoder=decoder
    )

    def prepare(model: DeepSpeech2, provenance: dict[str, Any]) -> tuple[DeepSpeech2, dict[str, Any]]:
        if speech is not None and not settings["no_calibrate"]:
            calibration = calibrate_checkpoint_model(model, speech, report)
            model, provenance = calibration.model, {**provenance, **calibration.provenance(speech)}
        if settings["blank_score"]:
            model, provenance = (
                shift_blank(model, settings["blank_score"]),
                {**provenance, "blank_score": settings["blank_score"]},
            )
        return model, provenance

    if precision == "fp32":
        return run_export(checkpoint, output, recordings, export_settings, report, prepare)
    with tempfile.TemporaryDirectory() as folder:
        full = run_export(checkpoint, Path(folder) / "fp32", recordings, export_settings, report, prepare)
        sample_rate = full.manifest.audio.sample_rate
        heard = calibration_speech(speech, sample_rate, report) if integers else recordings(sample_rate)
        return quantize(full, output, precision, heard, fp16_compute=settings["fp16_compute"], report=report)


def _is_lstm(checkpoint: Path) -> bool:
    return load_checkpoint(checkpoint)[0].config.cell == "lstm"
