"""Checkpoint in, verified bundle out: load, fold, build the graph, compare, write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.export.fold import fold_batch_norm
from edgespeech.export.parity import measure_parity, require_parity
from edgespeech.export.streaming_graph import Form, build_graph, chunk_samples
from edgespeech.reference.model.checkpoint import load_checkpoint
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import (
    ACOUSTIC,
    LANGUAGE_MODEL,
    VERSION,
    AudioFacts,
    Bundle,
    DecoderDefaults,
    FileEntry,
    GraphFacts,
    Manifest,
    StateEntry,
    write_bundle,
)
from edgespeech.runtime.decoder.language_model import LanguageModel

Floats = NDArray[np.float32]
Provenance = dict[str, Any]
FP32_TOLERANCE = 1e-3


@dataclass(frozen=True)
class ExportSettings:
    """What to write.

    Attributes:
        form: ``fused`` keeps the recurrent operator, ``cells`` unrolls it.
        chunk_ms: Audio per step, a multiple of an output frame; None for the whole frames in 320 ms.
        lm: KenLM model to put in.
        decoder: Defaults of the beam search.
        name: Of the bundle; that of the checkpoint if empty.
        tolerance: Largest |difference| of log-probs that is let through.
    """

    form: Form = "fused"
    chunk_ms: float | None = None
    lm: Path | None = None
    decoder: DecoderDefaults = DecoderDefaults()
    name: str = ""
    tolerance: float = FP32_TOLERANCE


def export(
    checkpoint: Path,
    output: Path,
    speech: Callable[[int], Sequence[Floats]],
    settings: ExportSettings,
    report: Callable[[str], None] = print,
    prepare: Callable[[DeepSpeech2, Provenance], tuple[DeepSpeech2, Provenance]] = lambda *given: given,
) -> Bundle:
    """Write a bundle that was compared with its checkpoint.

    Args:
        checkpoint: A file of `edgespeech train`.
        output: The bundle's folder.
        speech: Gives recordings at a sample rate, to compare on.
        settings: What to write.
        report: Takes lines for people.
        prepare: What becomes of the model before it is folded, and of what is said about it.

    Raises:
        CheckpointError: The checkpoint is unusable.
        LanguageModelError: The language model is unusable.
        UsageError: The chunk or the output folder does not do.
        VerificationError: The graph differs from the model; nothing is written.
    """
    model, provenance = prepare(*load_checkpoint(checkpoint))
    chunk = chunk_samples(model, settings.chunk_ms)
    if settings.lm is not None:
        LanguageModel(settings.lm)
        if not any(" " in label for label in model.labels.symbols):
            raise UsageError("these labels have no space, so a word language model cannot be used; leave --lm out")
    folded = fold_batch_norm(model)
    graph, states = build_graph(folded, settings.form, chunk)
    report(
        f"{checkpoint}: {model.config.layers} x {model.config.hidden} {model.config.cell.upper()}, "
        f"{sum(p.numel() for p in folded.parameters()) / 1e6:.2f} M parameters, {len(model.labels)} labels"
    )
    audio = AudioFacts(
        sample_rate=model.config.features.sample_rate,
        frame_samples=model.config.frame_samples,
        chunk_samples=chunk,
        chunk_free=settings.form == "fused",
        delay_frames=model.delay_frames,
    )
    entries = tuple(StateEntry(name=state.name, output=state.output, shape=state.shape) for state in states)

    def describe(files: dict[str, FileEntry]) -> Manifest:
        return Manifest(
            format="edgespeech-bundle",
            version=VERSION,
            name=settings.name or str(provenance.get("name", checkpoint.stem)),
            labels=model.labels.symbols,
            audio=audio,
            graph=GraphFacts(form=settings.form, precision="fp32", states=entries),
            files=files,
            decoder=settings.decoder,
            provenance={"exported": datetime.now(timezone.utc).isoformat(timespec="seconds"), **provenance},
        )

    def check(bundle: Bundle) -> None:
        parity = measure_parity(model, folded, AcousticModel(bundle), speech(audio.sample_rate))
        for line in parity.lines(settings.tolerance):
            report(line)
        require_parity(parity, settings.tolerance)

    files: dict[str, Path | bytes] = {ACOUSTIC: graph.SerializeToString()}
    if settings.lm is not None:
        files[LANGUAGE_MODEL] = settings.lm
    return write_bundle(output, files, describe, check)
