"""Holds a model that is fine-tuned to what it was: its outputs on other speech stay near those of the model before.

The penalty is the Kullback-Leibler divergence per frame from the outputs before to those now (Yu et al. 2013,
"KL-divergence regularized deep neural network adaptation"). It needs no texts, and says more of a recording than the
labels: also which errors the model makes.
"""

from __future__ import annotations

import copy
import random

import torch
from torch import Tensor

from edgespeech.reference.data.batches import BatchMaker, BucketSampler, ClipDataset
from edgespeech.reference.model.deep_speech2 import DeepSpeech2, frame_mask


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
        """Compute the divergence in nats per frame on the batch of a step, which depends on the step alone.

        The model must normalise by the statistics of the model before; nothing is masked or dropped.
        """
        turn, place = divmod(step, len(self._batches))
        which = random.Random(f"{self._seed}-{turn}").sample(range(len(self._batches)), len(self._batches))[place]
        batch = self._make([self._speech[0, index] for index in self._batches[which]])
        samples = batch.samples.to(device)
        if which not in self._outputs:
            with torch.no_grad():
                self._outputs[which] = self._before(samples, batch.lengths)[0]
        before = self._outputs[which]
        log_probs, frames = model(samples, batch.lengths)
        valid = frame_mask(frames, log_probs.shape[1], device)
        divergence: Tensor = (before.exp() * (before - log_probs)).sum(-1)
        mean: Tensor = (divergence * valid).sum() / valid.sum()
        return mean
