"""Describe a bundle, and verify that its graph and language model work as described."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import EdgespeechError, VerificationError
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.endpoint import EndpointRules
from edgespeech.runtime.live.latency import latency_budget, resampling_row
from edgespeech.runtime.recognizer import Recognizer

Floats = NDArray[np.float32]
# float32 sums in another order differ by about 1e-5 in log-probabilities.
CHUNKING_TOLERANCE = 1e-3
TIMED_CHUNKS = 20
MAX_TIMED_SECONDS = 2.0
MIN_TIMED_CHUNKS = 3
# What the quantizer measured of the machine it ran on; the other measurements belong to the model.
OF_THE_MACHINE = ("chunk_ms", "chunk_time_ratio", "memory_mb", "memory_ratio")


def describe(bundle: Bundle) -> str:
    """Format what a bundle contains and the parts of its latency; computing time is measured if the graph runs here."""
    manifest, audio = bundle.manifest, bundle.manifest.audio
    megabytes = {name: entry.bytes / 1e6 for name, entry in manifest.files.items()}
    chunk, lookahead = audio.chunk_seconds * 1000.0, audio.lookahead_seconds * 1000.0
    rows = [
        ("bundle", f"{manifest.name}  ({bundle.folder})"),
        ("graph", f"{manifest.graph.form}, {manifest.graph.precision}, {len(manifest.graph.states)} states"),
        ("labels", f"{len(manifest.labels)}"),
        ("files", ", ".join(f"{name} {size:.1f} MB" for name, size in megabytes.items())),
        ("audio", f"{audio.sample_rate} Hz, {audio.frame_seconds * 1000.0:g} ms per output frame"),
        ("latency", f"chunk {chunk:g} ms ({'free' if audio.chunk_free else 'fixed'}) + look-ahead {lookahead:g} ms"),
        (
            "decoder",
            f"beam {manifest.decoder.beam_width}, alpha {manifest.decoder.alpha:g}, beta {manifest.decoder.beta:g}, "
            f"unknown words {manifest.decoder.unknown_score:g}",
        ),
        *((key, _short(value)) for key, value in manifest.measured.items() if key not in OF_THE_MACHINE),
        *((key, str(value)) for key, value in manifest.provenance.items()),
    ]
    compute = seconds_per_chunk(bundle)
    parts = latency_budget(audio, audio.chunk_samples, compute, EndpointRules().endpoint_seconds)
    window, *others = parts.rows()
    lines = [f"{key:<12} {value}" for key, value in rows]
    lines += [
        *_measured_elsewhere(manifest.measured),
        "latency of a word, from the end of its sound (measure your own: edgespeech live --latency-report):",
        window,
        resampling_row(audio),
        *others,
    ]
    return "\n".join(lines)


def _measured_elsewhere(measured: Mapping[str, Any]) -> list[str]:
    """List what holds for the machine that made the bundle and not for this one."""
    rows = [f"  {key:<16} {_short(measured[key])}" for key in OF_THE_MACHINE if key in measured]
    return ["measured on the machine that made the bundle (on this one: edgespeech bench):", *rows] if rows else []


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def seconds_per_chunk(bundle: Bundle) -> float | None:
    """Measure the median time of the acoustic model for a chunk of noise; None if the graph cannot run here."""
    try:
        model = AcousticModel(bundle)
    except EdgespeechError:
        return None
    random, state = np.random.default_rng(0), model.initial_state()
    times: list[float] = []
    while len(times) < TIMED_CHUNKS and (sum(times) < MAX_TIMED_SECONDS or len(times) < MIN_TIMED_CHUNKS):
        chunk = random.standard_normal((1, model.audio.chunk_samples), np.float32) * np.float32(0.1)
        began = time.perf_counter()
        _, state = model.step(chunk, state)
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def verify_bundle(bundle: Bundle) -> Iterator[str]:
    """Check a bundle whose hashes were compared when it was loaded.

    Yields:
        One line for each check that passed.

    Raises:
        BundleError: The graph does not load or does not match its description.
        LanguageModelError: The language model does not load or does not fit the labels.
        VerificationError: The graph's log-probabilities are wrong.
    """
    yield f"{len(bundle.manifest.files)} files have the right size and SHA-256"
    recognizer = Recognizer(bundle)
    model = recognizer.model
    yield f"the graph loads; its inputs, outputs and {len(bundle.manifest.graph.states)} states are as described"
    sound = np.random.default_rng(0).standard_normal(model.audio.chunk_samples * 6).astype(np.float32) * 0.1
    alone = model.stream(sound[None])[0]
    if not np.all(np.isfinite(alone)) or np.abs(np.exp(alone).sum(-1) - 1.0).max() > 1e-3:
        raise VerificationError(
            "the graph's outputs are not log-probabilities over the labels; export the bundle again"
        )
    yield f"{len(alone)} frames of noise give finite log-probabilities that sum to 1"
    beside = model.stream(np.stack([np.clip(sound * 9.0, -1.0, 1.0), sound]))[1]
    _require_equal(alone, beside, "beside another stream in a batch")
    yield f"a stream is independent of its neighbour in a batch: largest difference {np.abs(alone - beside).max():.1e}"
    if model.audio.chunk_free:
        whole = model.stream(sound[None], len(sound))[0]
        _require_equal(alone, whole, "in one piece")
        yield f"chunked equals whole: largest difference {np.abs(alone - whole).max():.1e}"
    if recognizer.decoder.lm is not None:
        yield f"the language model loads and fits the labels: {recognizer.decoder.lm.order}-gram"


def _require_equal(alone: Floats, other: Floats, how: str) -> None:
    difference = float(np.abs(alone - other).max())
    if not difference <= CHUNKING_TOLERANCE:
        raise VerificationError(f"a stream {how} differs by {difference:.1e} in log-probs; export the bundle again")
