"""What an export is asked to write; importable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgespeech.runtime.bundle import DecoderDefaults

Form = Literal["fused", "cells"]
FP32_TOLERANCE = 1e-3


@dataclass(frozen=True)
class ExportRequest:
    """Options of an export in float32.

    Attributes:
        form: ``fused`` keeps the recurrent operator, ``cells`` unrolls the recurrence over the chunk.
        chunk_ms: Milliseconds of audio per step, a multiple of an output frame; None for the whole frames in 320 ms.
        speech: Manifest of the recordings that graph and model are compared on; None for the sample clips.
        blank_score: Natural log added to the blank's logit, -10 to 10; -1 makes the model omit fewer words.
        prior_power: Power, 0 to 1, of each label's frequency in the words of ``lm`` that its probability is divided by.
        lm: KenLM model to copy into the bundle.
        decoder: Defaults of the beam search.
        name: Name of the bundle; the checkpoint's if empty.
        tolerance: Largest accepted difference of log-probabilities (natural log).
    """

    form: Form = "fused"
    chunk_ms: float | None = None
    speech: Path | None = None
    blank_score: float = 0.0
    prior_power: float = 0.0
    lm: Path | None = None
    decoder: DecoderDefaults = DecoderDefaults()
    name: str = ""
    tolerance: float = FP32_TOLERANCE
