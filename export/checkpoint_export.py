"""Checkpoint in, verified bundle out: load, fold, build the graph, compare, write."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgespeech.export.builder import StateTensor
from edgespeech.export.edges_graph import LEFT
from edgespeech.export.fold import fold_batch_norm
from edgespeech.export.inputs import check_inputs, comparison_speech
from edgespeech.export.label_scores import shift_labels
from edgespeech.export.parity import Parity, measure_parity, require_parity
from edgespeech.export.request import ExportRequest
from edgespeech.export.streaming_graph import build_graph, chunk_samples
from edgespeech.reference.language_model.label_scores import label_scores
from edgespeech.reference.model.checkpoint import load_checkpoint
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import (
    ACOUSTIC,
    FORMAT,
    LANGUAGE_MODEL,
    VERSION,
    AudioFacts,
    Bundle,
    FileEntry,
    GraphFacts,
    Manifest,
    StateEntry,
    write_bundle,
)

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]
_DEFAULTS = ExportRequest()


@dataclass(frozen=True)
class TrainedModel:
    """A model in evaluation mode, the file that it comes from, and what is known about its training."""

    checkpoint: Path
    model: DeepSpeech2
    provenance: dict[str, Any]


@dataclass(frozen=True)
class ExportedBundle(Bundle):
    """A bundle that was just written, and how far its graph is from the checkpoint."""

    parity: Parity


def export_checkpoint(checkpoint: str | Path, output: str | Path, request: ExportRequest = _DEFAULTS) -> ExportedBundle:
    """Write a float32 bundle that was compared with its checkpoint, chunk by chunk and as a whole.

    An older bundle in ``output`` is replaced. Batch-norm statistics stay as they are;
    `edgespeech.quantization.calibrate_checkpoint` measures them on speech.

    Raises:
        CheckpointError: The checkpoint is unusable.
        LanguageModelError: The language model is unusable.
        ManifestError: The manifest of the speech is unusable.
        UsageError: The chunk, the blank score or the prior power is out of range, or the folder cannot be written.
        VerificationError: The graph differs from the model; nothing is written.
    """
    trained = load_trained(Path(checkpoint))
    speech = comparison_speech(request.speech, trained.model.config.features.sample_rate)
    return export_model(trained, Path(output), speech, request)


def load_trained(checkpoint: Path) -> TrainedModel:
    """Load a checkpoint together with its provenance, or raise CheckpointError."""
    return TrainedModel(checkpoint, *load_checkpoint(checkpoint))


def export_model(
    trained: TrainedModel, output: Path, speech: Sequence[Floats], request: ExportRequest
) -> ExportedBundle:
    """Write a loaded model as a bundle, compared on float32 recordings at its rate; raises as `export_checkpoint`."""
    check_inputs(trained.model, output, request)
    return write_model(trained, output, speech, request)


def write_model(
    trained: TrainedModel, output: Path, speech: Sequence[Floats], request: ExportRequest
) -> ExportedBundle:
    """Write a bundle as `export_model` does, of inputs that were checked."""
    trained = _with_label_scores(trained, request)
    model = trained.model
    chunk = chunk_samples(model, request.chunk_ms)
    folded = fold_batch_norm(model)
    graph, states = build_graph(folded, request.form, chunk)
    parameters = sum(parameter.numel() for parameter in folded.parameters())
    log.info(
        "%s: %d x %d %s, %.2f M parameters, %d labels",
        trained.checkpoint, model.config.layers, model.config.hidden, model.config.cell.upper(), parameters / 1e6,
        len(model.labels),
    )  # fmt: skip
    compared: list[Parity] = []

    def describe(files: dict[str, FileEntry]) -> Manifest:
        return _describe(trained, chunk, states, request, files)

    def check(bundle: Bundle) -> None:
        parity = measure_parity(model, folded, AcousticModel(bundle), speech)
        for line in parity.lines(request.tolerance):
            log.info("%s", line)
        require_parity(parity, request.tolerance)
        compared.append(parity)

    files: dict[str, Path | bytes] = {ACOUSTIC: graph.SerializeToString()}
    if request.lm is not None:
        files[LANGUAGE_MODEL] = request.lm
    written = write_bundle(output, files, describe, check)
    return ExportedBundle(written.folder, written.manifest, compared[0])


def _with_label_scores(trained: TrainedModel, request: ExportRequest) -> TrainedModel:
    given = {"blank_score": request.blank_score, "prior_power": request.prior_power}
    given = {name: value for name, value in given.items() if value}
    if not given:
        return trained
    scores = label_scores(trained.model.labels, **given, lm=request.lm)
    return TrainedModel(trained.checkpoint, shift_labels(trained.model, scores), {**trained.provenance, **given})


def _describe(
    trained: TrainedModel,
    chunk: int,
    states: Sequence[StateTensor],
    request: ExportRequest,
    files: dict[str, FileEntry],
) -> Manifest:
    model, provenance = trained.model, trained.provenance
    entries = tuple(
        StateEntry(name=state.name, output=state.output, shape=state.shape, initial=state.initial) for state in states
    )
    return Manifest(
        format=FORMAT,
        version=VERSION,
        name=request.name or str(provenance.get("name", trained.checkpoint.stem)),
        labels=model.labels.symbols,
        audio=AudioFacts(
            sample_rate=model.config.features.sample_rate,
            frame_samples=model.config.frame_samples,
            chunk_samples=chunk,
            chunk_free=request.form == "fused",
            delay_frames=model.delay_frames,
            end_state=LEFT if model.edges is not None else "",
        ),
        graph=GraphFacts(form=request.form, precision="fp32", states=entries),
        files=files,
        decoder=request.decoder,
        provenance={"exported": datetime.now(timezone.utc).isoformat(timespec="seconds"), **provenance},
    )
