"""Verifies that the graph and the language model of a bundle work as described."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import VerificationError
from edgespeech.runtime.acoustic_model import import_onnxruntime
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.punctuation.tagger import PunctuationTagger
from edgespeech.runtime.recognizer import Recognizer

Floats = NDArray[np.float32]
# float32 sums in another order differ by about 1e-5 in log-probabilities.
CHUNKING_TOLERANCE = 1e-3


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
    if bundle.punctuation_path is not None:
        PunctuationTagger(bundle.punctuation_path, import_onnxruntime())
        yield "the tagger of marks and capitals loads; its inputs and outputs are as this version wants them"
    if recognizer.decoder.lm is not None:
        yield f"the language model loads and fits the labels: {recognizer.decoder.lm.order}-gram"


def _require_equal(alone: Floats, other: Floats, how: str) -> None:
    difference = float(np.abs(alone - other).max())
    if not difference <= CHUNKING_TOLERANCE:
        raise VerificationError(f"a stream {how} differs by {difference:.1e} in log-probs; export the bundle again")
