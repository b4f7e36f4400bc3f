"""Holds a model that is fine-tuned to what it was: its outputs on other speech stay near those of the model before.

The penalty is the Kullback-Leibler divergence per frame from the outputs before to those now (Yu et al. 2013,
"KL-divergence regularized deep neural network adaptation"), both softened, because a beam search with a language model
also needs the labels that are less probable (Hinton et al. 2015, arXiv 1503.02531). It needs no texts.
"""

from __future__ import annotations

import copy
import random

import torch
from torch import Tensor
from torch.nn import functional

from edgespeech.reference.data.batches import BatchMaker, BucketSampler, ClipDataset
from edgespeech.reference.model.deep_speech2 import DeepSpeech2, frame_mask

TEMPERATURE = 2.0


class Anchor:
    """The model before, and the speech on which it is followed.

    Args:
        model: The model before; it is copied.
        speech: Recordings of many speakers.
        batch_seconds: Audio of a batch, padding included.
        seed: Seed of the order of the batches.
    """

    def __init__(self, model: DeepSpeech2, speech: ClipDataset, batch_seconds: float, seed: int = 0) -> None:
        self._before = copy.deepcopy(model).requires_grad_(False).eval()
        self._speech, self._seed, self._make = speech, seed, BatchMaker()
        self._batches = BucketSampler([clip.seconds for clip in speech.clips], batch_seconds, seed).batches(1)
        self._outputs: dict[int, Tensor] = {}

    def divergence(self, model: DeepSpeech2, step: int, device: torch.device) -> Tensor:
        """Compute the softened divergence in nats per frame on the batch of a step, which depends on the step alone.

        The model must normalise by the statistics of the model before; nothing is masked or dropped.
        """
        turn, place = divmod(step, len(self._batches))
        which = random.Random(f"{self._seed}-{turn}").sample(range(len(self._batches)), len(self._batches))[place]
        batch = self._make([self._speech[0, index] for index in self._batches[which]])
        samples = batch.samples.to(device)
        if which not in self._outputs:
            with torch.no_grad():
                self._outputs[which] = soften(self._before(samples, batch.lengths)[0])
        before = self._outputs[which]
        log_probs, frames = model(samples, batch.lengths)
        valid = frame_mask(frames, log_probs.shape[1], device)
        divergence: Tensor = (before.exp() * (before - soften(log_probs))).sum(-1)
        mean: Tensor = (divergence * valid).sum() / valid.sum()
        return TEMPERATURE**2 * mean


def soften(log_probs: Tensor) -> Tensor:
    """Divide log-probabilities by the temperature; the gradient shrinks by its square."""
    return functional.log_softmax(log_probs / TEMPERATURE, dim=-1)
