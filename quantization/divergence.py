"""Measure how far the log-probabilities of one graph are from those of another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from edgespeech.quantization.graph.activation_ranges import stream_tensors
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import Bundle

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Divergence:
    """Distance between log-probabilities and their reference."""

    kl: float  # Kullback-Leibler divergence from the reference in nats, mean over frames
    sqnr_db: float  # signal-to-quantization-noise ratio of the log-probabilities
    agreement: float  # fraction of frames with the same most probable label

    def __str__(self) -> str:
        return f"KL {self.kl:.2e} nats per frame, SQNR {self.sqnr_db:.1f} dB, same best label {self.agreement:.2%}"


def stream_log_probs(bundle: Bundle, graph: onnx.ModelProto, speech: Iterable[Floats]) -> Floats:
    """Compute log-probabilities [frames, labels] of recordings, each from the initial state, and concatenate them."""
    name = bundle.manifest.graph.output
    rows = [values[name][0] for values in stream_tensors(bundle, graph, [name], speech)]
    return np.concatenate([np.zeros((0, len(bundle.manifest.labels)), np.float32), *rows])


def runtime_log_probs(bundle: Bundle, speech: Iterable[Floats]) -> Floats:
    """Compute the log-probabilities [frames, labels] of recordings with the runtime, from a bundle on disk."""
    model = AcousticModel(bundle)
    rows = [model.stream(samples[None])[0] for samples in speech]
    return np.concatenate([np.zeros((0, len(bundle.manifest.labels)), np.float32), *rows])


def divergence(reference: Floats, other: Floats) -> Divergence:
    """Compare log-probabilities [frames, labels] with a reference; infinite if any of them is not finite."""
    if not len(reference) or not np.isfinite(other).all():
        return Divergence(float("inf"), float("-inf"), 0.0)
    p, q = reference.astype(np.float64), other.astype(np.float64)
    kl = float((np.exp(p) * (p - q)).sum(axis=1).mean())
    same = float((p.argmax(axis=1) == q.argmax(axis=1)).mean())
    return Divergence(max(kl, 0.0), decibels(np.square(p).sum(), np.square(p - q).sum()), same)


def decibels(signal: float, noise: float) -> float:
    """Convert the ratio of two powers to decibels, at most 200: beyond that, noise is rounding of float64."""
    return float(10.0 * np.log10(max(signal, 1e-30) / max(noise, 1e-20 * signal, 1e-50)))
