"""Checks of all that an export is made from, before the minutes that it may take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgespeech.export.label_scores import require_blank_score, require_prior_power
from edgespeech.export.parity import require_sound
from edgespeech.export.request import ExportRequest
from edgespeech.export.streaming_graph import chunk_samples
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.model.labels import BLANK
from edgespeech.runtime.bundle import require_bundle_folder
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest, read_samples

MAX_COMPARED_UTTERANCES = 8


def check_inputs(model: DeepSpeech2, output: Path, request: ExportRequest) -> None:
    """Check the options, the output folder, and that the language model can be read and fits the labels.

    Raises:
        LanguageModelError: The language model is unusable.
        UsageError: The chunk, the blank score or the prior power is out of range, or the folder cannot be written.
    """
    require_bundle_folder(output)
    chunk_samples(model, request.chunk_ms)
    require_blank_score(request.blank_score)
    require_prior_power(request.prior_power, request.lm is not None)
    if request.lm is not None:
        BeamSearchDecoder(model.labels.symbols, BLANK, LanguageModel(request.lm), request.decoder.options())


def comparison_speech(manifest: Path | None, sample_rate: int) -> list[NDArray[np.float32]]:
    """Read the first recordings of a manifest, or of the sample clips for None, at the model's rate.

    Raises:
        AudioError: A recording cannot be read.
        ManifestError: The manifest is unusable, or one of its recordings is missing.
        VerificationError: The recordings are empty or silent.
    """
    utterances = read_manifest(manifest or SAMPLE_CLIPS, check_files=True)[:MAX_COMPARED_UTTERANCES]
    speech = [read_samples(utterance, sample_rate) for utterance in utterances]
    require_sound(speech)
    return speech
