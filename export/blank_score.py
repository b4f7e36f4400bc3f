"""A constant on the blank's logit, for models that omit too many words.

CTC models trained on little speech overestimate the blank. A negative constant on its logit before the softmax moves
probability from the blank to all other labels in proportion; graph and search stay as they are.
"""

from __future__ import annotations

import copy
import math

import torch

from edgespeech.errors import UsageError
from edgespeech.reference.model.deep_speech2 import DeepSpeech2

MAX_SCORE = 10.0


def shift_blank(model: DeepSpeech2, score: float) -> DeepSpeech2:
    """Copy a model and shift the bias of its blank.

    Args:
        model: The model; it stays as it is.
        score: Natural log added to the blank (label 0) in every frame before the softmax, -10 to 10.

    Raises:
        UsageError: The score is out of range.
    """
    if not math.fabs(score) <= MAX_SCORE:
        raise UsageError(f"blank score is {score:g}; wanted a number from {-MAX_SCORE:g} to {MAX_SCORE:g}, such as -1")
    shifted = copy.deepcopy(model)
    with torch.no_grad():
        shifted.output.linear.bias[0] += score
    return shifted
