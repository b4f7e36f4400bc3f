"""Export a checkpoint in any precision: calibrate its batch norm, export it in float32, quantize the bundle."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from edgespeech.errors import UsageError
from edgespeech.export.checkpoint_export import TrainedModel, comparison_utterances, export_model, load_trained
from edgespeech.export.request import ExportRequest, Form
from edgespeech.quantization.bundle_quantization import read_calibration_speech
from edgespeech.quantization.checkpoint_calibration import calibrate_model
from edgespeech.quantization.quantizer import quantize
from edgespeech.runtime.bundle import Bundle, DecoderDefaults
from edgespeech.runtime.manifest import read_samples

log = logging.getLogger(__name__)

ExportPrecision = Literal["fp32", "fp16", "int8", "int4"]


@dataclass(frozen=True)
class BundleRequest:
    """Options of an export in any precision."""

    export: ExportRequest = ExportRequest()  # its speech also calibrates batch norm and integers
    precision: ExportPrecision = "fp32"
    fp16_compute: bool = False  # needs precision "fp16"
    calibrate: bool = True  # measure the batch-norm statistics on the speech, if there is any

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> BundleRequest:
        """Make a request from the options of the command.

        Raises:
            UsageError: A default of the beam search is out of range.
        """
        given = {field.name: options[field.name] for field in fields(ExportRequest) if field.name in options}
        export = ExportRequest(decoder=_decoder_defaults(options), **given)
        return cls(export, options["precision"], options["fp16_compute"], not options["no_calibrate"])


def _decoder_defaults(options: Mapping[str, Any]) -> DecoderDefaults:
    try:
        given = {field.encode_name: options[field.name] for field in msgspec.structs.fields(DecoderDefaults)}
        return msgspec.convert(given, DecoderDefaults)
    except msgspec.ValidationError as error:
        raise UsageError(f"a default of the beam search is out of range: {error}; correct it") from None


def export_bundle(checkpoint: Path, output: Path, request: BundleRequest) -> Bundle:
    """Export a checkpoint in the requested precision.

    Raises:
        EdgespeechError: The checkpoint, a manifest or an option is invalid, or the result was refused.
    """
    precision, speech = request.precision, request.export.speech
    if request.fp16_compute and precision != "fp16":
        raise UsageError(f"--fp16-compute is for --precision fp16, not {precision}; choose one of them")
    utterances = comparison_utterances(speech)
    trained = load_trained(checkpoint)
    export_request = replace(request.export, form=_form(request, trained))
    if speech is not None and request.calibrate:
        trained = _calibrated(trained, speech)
    sample_rate = trained.model.config.features.sample_rate
    recordings = [read_samples(utterance, sample_rate) for utterance in utterances]
    if precision == "fp32":
        return export_model(trained, output, recordings, export_request)
    with tempfile.TemporaryDirectory() as folder:
        full = export_model(trained, Path(folder) / "fp32", recordings, export_request)
        if precision != "fp16":
            recordings = read_calibration_speech(speech, sample_rate)
        return quantize(full, output, precision, recordings, fp16_compute=request.fp16_compute)


def _form(request: BundleRequest, trained: TrainedModel) -> Form:
    form, precision = request.export.form, request.precision
    has_operator = precision in {"fp32", "fp16"} or (precision == "int8" and trained.model.config.cell == "lstm")
    if form == "cells" or has_operator:
        return form
    log.info("%s: the recurrence is unrolled (form cells), because no operator has such weights", precision)
    return "cells"


def _calibrated(trained: TrainedModel, speech: Path) -> TrainedModel:
    calibrated = calibrate_model(trained.model, speech)
    provenance = {**trained.provenance, **calibrated.provenance(speech)}
    return TrainedModel(trained.checkpoint, calibrated.model, provenance)
