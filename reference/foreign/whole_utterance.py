"""What a model computes of whole recordings: features, stages and log-probabilities, with any statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from edgespeech.reference.model.deep_speech2 import DeepSpeech2

Floats = NDArray[np.float32]


class Statistics(NamedTuple):
    """Mean and deviation of all features of a recording, over bins and frames together."""

    mean: float
    deviation: float

    def buffers(self, width: int) -> dict[str, Tensor]:
        """Return the statistics as the model keeps them, one number for each of ``width`` bins."""
        return {
            "features.mean": torch.full((width,), self.mean),
            "features.inverse_deviation": torch.full((width,), 1.0 / self.deviation),
        }


@torch.no_grad()
def features_of(model: DeepSpeech2, samples: Floats) -> Tensor:
    """Compute the features of a recording before normalisation, float32 [width, frames], edges as trained."""
    assert model.edges is not None
    total = model.padded_samples(len(samples))
    bounds = model.edges.whole(torch.tensor([len(samples)]), total)
    padded = functional.pad(torch.from_numpy(samples)[None], (0, total - len(samples)))
    width = model.config.features.width
    identity = {"mean": torch.zeros(width), "inverse_deviation": torch.ones(width)}
    mask = bounds.masks["features"]
    computed: Tensor = functional_call(model.features, identity, (padded, bounds.span, mask))
    return computed[0, :, mask[0]]


def statistics_of(features: Tensor) -> Statistics:
    """Return mean and deviation (n - 1) of all values, as deepspeech.pytorch normalises an utterance."""
    values = features.double()
    return Statistics(float(values.mean()), max(float(values.std()), 1e-5))


@torch.no_grad()
def log_probs_of(model: DeepSpeech2, samples: Floats, statistics: Statistics | None = None) -> Floats:
    """Compute log-probabilities of a whole recording, [frames, labels]; with the model's own statistics by default."""
    buffers = {} if statistics is None else statistics.buffers(model.config.features.width)
    arguments = (torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
    log_probs, frames = functional_call(model, buffers, arguments)
    found: Floats = log_probs[0, : int(frames[0])].numpy()
    return found


def stages_of(model: DeepSpeech2, samples: Floats, statistics: Statistics | None = None) -> dict[str, Floats]:
    """Compute what every stage of a model gives for the frames of a whole recording.

    Returns:
        By the names of `DeepSpeech2.stages`: normalised features [bins, frames], convolutions [channels, (frequencies,)
        frames], all others [frames, width].
    """
    assert model.edges is not None
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda _, __, output: kept.update({name: output[0]})

    handles = [stage.register_forward_hook(keep(name)) for name, stage in model.stages().items()]
    try:
        log_probs_of(model, samples, statistics)
    finally:
        for handle in handles:
            handle.remove()
    masks = model.edges.whole(torch.tensor([len(samples)]), model.padded_samples(len(samples))).masks
    found: dict[str, Floats] = {}
    for name, output in kept.items():
        time = output.dim() - 1 if name.startswith(("features", "convolution")) else 0
        frames = output.shape[time]  # recurrent layers skip those before the beginning
        found[name] = output.index_select(time, masks[name][0, -frames:].nonzero()[:, 0]).numpy()
    return found
