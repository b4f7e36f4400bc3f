"""The graph against the model on real speech, before anything is handed over.

Both run as streams with their own carried states, chunk by chunk; then the whole-recording forward of the unfolded
model is compared with the stream that the graph made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from edgespeech.errors import VerificationError
from edgespeech.export.fold import fold_error
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.runtime.acoustic_model import AcousticModel

Floats = NDArray[np.float32]
MINIMUM_CHUNKS = 10


@dataclass(frozen=True)
class Parity:
    """Largest absolute differences of natural-log probabilities, and what they were measured on."""

    chunks: int
    seconds: float
    fold: float
    chunked: float
    states: float
    whole: float

    @property
    def worst(self) -> float:
        """The largest difference of log-probabilities; NaN if there is one."""
        return float(np.max([self.fold, self.chunked, self.whole]))

    def lines(self, tolerance: float) -> list[str]:
        """A report for people."""
        return [
            f"compared on {self.seconds:.1f} s of speech in {self.chunks} chunks; largest |difference| of log-probs:",
            f"  batch norm folded against not folded         {self.fold:.2e}",
            f"  onnxruntime against torch, chunk by chunk    {self.chunked:.2e}   (states {self.states:.2e})",
            f"  onnxruntime in chunks against torch, whole   {self.whole:.2e}",
            f"  allowed                                      {tolerance:.0e}",
        ]


@torch.no_grad()
def measure_parity(model: DeepSpeech2, folded: DeepSpeech2, graph: AcousticModel, speech: Sequence[Floats]) -> Parity:
    """Run all three over the speech.

    Args:
        model: As trained.
        folded: The same without batch norm.
        graph: Made from ``folded``.
        speech: Recordings, float32 samples at the model's rate; repeated until there are ten chunks.

    Raises:
        VerificationError: There is no speech, or the graph puts out something that is not finite.
    """
    chunk = graph.audio.chunk_samples
    if not any(np.any(samples) for samples in speech):
        raise VerificationError("the speech to compare on is empty or silent; give --speech a manifest of recordings")
    recordings = [samples for samples in speech if len(samples)]
    while sum(-(-len(samples) // chunk) for samples in recordings) < MINIMUM_CHUNKS:
        recordings += recordings
    chunked: list[float] = []
    states: list[float] = [0.0]
    whole: list[float] = []
    for samples in recordings:
        length = -(-model.padded_samples(len(samples)) // chunk) * chunk
        padded = np.pad(samples, (0, length - len(samples)))[None]
        ours, theirs, pieces = graph.initial_state(), folded.initial_state(1), []
        for start in range(0, length, chunk):
            piece = padded[:, start : start + chunk]
            log_probs, ours = graph.step(piece, ours)
            expected, theirs = folded.step(torch.from_numpy(piece), theirs)
            if not np.all(np.isfinite(log_probs)):
                raise VerificationError("the graph puts out NaN or infinity; the checkpoint cannot be exported")
            chunked.append(largest(log_probs - expected.numpy()))
            states += [largest(value - theirs[name].numpy()) for name, value in ours.items()]
            pieces.append(log_probs[0])
        expected_whole = model(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))[0][0].numpy()
        stream = np.concatenate(pieces)[model.delay_frames :][: len(expected_whole)]
        whole.append(largest(stream - expected_whole))
    seconds = sum(map(len, recordings)) / graph.audio.sample_rate
    fold = fold_error(model, folded, recordings)
    # numpy's maximum keeps NaN, Python's does not.
    return Parity(len(chunked), seconds, fold, *(float(np.max(values)) for values in (chunked, states, whole)))


def largest(difference: Floats) -> float:
    """The largest absolute value; NaN if there is one."""
    return float(np.abs(difference).max())


def require_parity(parity: Parity, tolerance: float) -> None:
    """Refuse a graph that differs.

    Raises:
        VerificationError: A difference of log-probabilities is above the tolerance.
    """
    if not parity.worst <= tolerance:
        raise VerificationError(
            f"the graph differs from the model by {parity.worst:.2e} in log-probs, allowed is {tolerance:.0e}: "
            "no bundle was written"
        )
