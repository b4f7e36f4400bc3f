"""Constants on the logits: labels that a CTC model trained on little speech expects too often become less likely."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.reference.model.deep_speech2 import DeepSpeech2

MAX_SCORE = 10.0


def shift_labels(model: DeepSpeech2, scores: NDArray[np.float32]) -> DeepSpeech2:
    """Return a copy of a model with ``scores``, natural logarithm [labels], added to the logits of its labels."""
    shifted = copy.deepcopy(model)
    with torch.no_grad():
        bias = shifted.output.linear.bias
        bias.add_(torch.from_numpy(scores).to(bias))
    return shifted


def require_blank_score(score: float) -> None:
    """Raise UsageError if a blank score is out of range."""
    if not math.fabs(score) <= MAX_SCORE:
        raise UsageError(f"blank score is {score:g}; wanted a number from {-MAX_SCORE:g} to {MAX_SCORE:g}, such as -1")


def require_prior_power(power: float, has_language_model: bool) -> None:
    """Raise UsageError if a power is out of range, or given without a language model, which has the frequencies."""
    if not 0.0 <= power <= 1.0:
        raise UsageError(f"prior power is {power:g}; wanted a number from 0 to 1, such as 0.3")
    if power and not has_language_model:
        raise UsageError(f"prior power {power:g} without a language model, which gives the frequencies; add --lm")
