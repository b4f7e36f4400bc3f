"""A constant on the blank's logit: CTC models trained on little speech overestimate the blank and omit words."""

from __future__ import annotations

import copy
import math

import torch

from edgespeech.errors import UsageError
from edgespeech.reference.model.deep_speech2 import DeepSpeech2

MAX_SCORE = 10.0


def shift_blank(model: DeepSpeech2, score: float) -> DeepSpeech2:
    """Return a copy of a model with ``score``, a natural log from -10 to 10, added to the logit of its blank (label 0).

    The softmax then moves probability between the blank and all other labels in proportion.

    Raises:
        UsageError: The score is out of range.
    """
    require_blank_score(score)
    shifted = copy.deepcopy(model)
    with torch.no_grad():
        shifted.output.linear.bias[0] += score
    return shifted


def require_blank_score(score: float) -> None:
    """Raise UsageError if a blank score is out of range."""
    if not math.fabs(score) <= MAX_SCORE:
        raise UsageError(f"blank score is {score:g}; wanted a number from {-MAX_SCORE:g} to {MAX_SCORE:g}, such as -1")
