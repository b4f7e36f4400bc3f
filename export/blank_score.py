"""A constant on the blank's logit: a model that leaves out too many words is made to speak up.

CTC models that have seen little speech give the blank too much. A negative number added to its logit before the softmax
takes from the blank and gives to all letters in proportion; graph and search stay as they are.
"""

from __future__ import annotations

import copy
import math

import torch

from edgespeech.errors import UsageError
from edgespeech.reference.model.deep_speech2 import DeepSpeech2

LIMIT = 10.0


def shift_blank(model: DeepSpeech2, score: float) -> DeepSpeech2:
    """Copy a model with another bias of the blank.

    Args:
        model: Not changed.
        score: Natural log added to the blank (label 0) in every frame before the softmax, -10 to 10.

    Raises:
        UsageError: The score is out of range.
    """
    if not math.fabs(score) <= LIMIT:
        raise UsageError(f"blank score is {score:g}; wanted a number from {-LIMIT:g} to {LIMIT:g}, such as -1")
    shifted = copy.deepcopy(model)
    with torch.no_grad():
        shifted.output.linear.bias[0] += score
    return shifted
