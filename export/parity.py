"""Compare the graph with the model on real speech, chunk by chunk and as a whole, before a bundle is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from edgespeech.errors import VerificationError
from edgespeech.export.fold import fold_error
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.runtime.acoustic_model import AcousticModel

Floats = NDArray[np.float32]
MIN_CHUNKS = 10


@dataclass(frozen=True)
class Parity:
    """Largest absolute differences of natural-log probabilities over a number of chunks.

    Attributes:
        fold: Model with batch norm folded against the model as trained.
        chunked: onnxruntime against torch, chunk by chunk, each with its own carried states.
        states: New states of onnxruntime against those of torch, chunk by chunk.
        whole: onnxruntime in chunks against torch on whole recordings, before folding.
    """

    chunks: int
    seconds: float
    fold: float
    chunked: float
    states: float
    whole: float

    @property
    def worst(self) -> float:
        """The largest difference of log-probabilities, NaN if any is NaN."""
        return float(np.max([self.fold, self.chunked, self.whole]))

    def lines(self, tolerance: float) -> list[str]:
        """Format the figures as a few lines of text."""
        return [
            f"compared on {self.seconds:.1f} s of speech in {self.chunks} chunks; largest |difference| of log-probs:",
            f"  batch norm folded against not folded         {self.fold:.2e}",
            f"  onnxruntime against torch, chunk by chunk    {self.chunked:.2e}   (states {self.states:.2e})",
            f"  onnxruntime in chunks against torch, whole   {self.whole:.2e}",
            f"  allowed                                      {tolerance:.0e}",
        ]


@torch.no_grad()
def measure_parity(model: DeepSpeech2, folded: DeepSpeech2, graph: AcousticModel, speech: Sequence[Floats]) -> Parity:
    """Run a model, its folded version and its graph on speech, and compare their outputs.

    The recordings, float32 samples at the model's rate, are repeated until there are ten chunks.

    Raises:
        VerificationError: The speech is empty or silent, or an output of the graph is not finite.
    """
    recordings = _enough(speech, graph.audio.chunk_samples)
    chunked: list[float] = []
    states: list[float] = [0.0]
    whole: list[float] = []
    for samples in recordings:
        pieces: list[Floats] = []
        for log_probs, difference, state_differences in _step_both(folded, graph, samples):
            pieces.append(log_probs)
            chunked.append(difference)
            states += state_differences
        expected_whole = model(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))[0][0].numpy()
        stream = np.concatenate(pieces)[model.delay_frames :][: len(expected_whole)]
        whole.append(_largest(stream - expected_whole))
    seconds = sum(map(len, recordings)) / graph.audio.sample_rate
    fold = fold_error(model, folded, recordings)
    # numpy's maximum keeps NaN, Python's does not.
    return Parity(len(chunked), seconds, fold, *(float(np.max(values)) for values in (chunked, states, whole)))


def require_sound(speech: Sequence[Floats]) -> None:
    """Raise VerificationError if all samples of the speech to compare on are zero."""
    if not any(np.any(samples) for samples in speech):
        raise VerificationError("the speech to compare on is empty or silent; give --speech a manifest of recordings")


def _enough(speech: Sequence[Floats], chunk: int) -> list[Floats]:
    require_sound(speech)
    recordings = [samples for samples in speech if len(samples)]
    while sum(-(-len(samples) // chunk) for samples in recordings) < MIN_CHUNKS:
        recordings += recordings
    return recordings


def _step_both(
    folded: DeepSpeech2, graph: AcousticModel, samples: Floats
) -> Iterator[tuple[Floats, float, list[float]]]:
    """Yield the graph's log-probabilities [frames, labels] of each chunk and its differences from the model."""
    chunk = graph.audio.chunk_samples
    length = -(-folded.padded_samples(len(samples)) // chunk) * chunk
    padded = np.pad(samples, (0, length - len(samples)))[None]
    ours, theirs = graph.initial_state(), folded.initial_state(1)
    for start in range(0, length, chunk):
        if 0 <= (left := len(samples) - start) < chunk:
            ours, theirs = graph.ending(ours, left), folded.ending(theirs, left)
        piece = padded[:, start : start + chunk]
        log_probs, ours = graph.step(piece, ours)
        expected, theirs = folded.step(torch.from_numpy(piece), theirs)
        if not np.all(np.isfinite(log_probs)):
            raise VerificationError("the graph's output is NaN or infinite; the checkpoint cannot be exported")
        state_differences = [_largest(value - theirs[name].numpy()) for name, value in ours.items()]
        yield log_probs[0], _largest(log_probs - expected.numpy()), state_differences


def _largest(difference: Floats) -> float:
    return float(np.abs(difference).max(initial=0.0))  # NaN if any is NaN


def require_parity(parity: Parity, tolerance: float) -> None:
    """Raise VerificationError if a difference of log-probabilities is above the tolerance."""
    if not parity.worst <= tolerance:
        raise VerificationError(
            f"the graph differs from the model by {parity.worst:.2e} in log-probs, allowed is {tolerance:.0e}: "
            "no bundle was written"
        )
