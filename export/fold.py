"""Fold batch norm into the convolution before it, or into the projection after it.

In evaluation a batch norm is ``y = x * scale + shift``. After a convolution it scales the kernels; before a recurrent
layer it goes into W (not into U, which multiplies the state): ``W' = W * scale``, ``b' = b + W shift``.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.model.layers import MaskedBatchNorm


def fold_batch_norm(model: DeepSpeech2) -> DeepSpeech2:
    """Return an equivalent without batch norm of a model in evaluation mode; the folding is computed in float64."""
    folded = DeepSpeech2(msgspec.structs.replace(model.config, batch_norm=False), model.labels)
    weights = {name: value.clone() for name, value in model.state_dict().items() if ".batch_norm." not in name}
    for name, norm in model.named_modules():
        if not isinstance(norm, MaskedBatchNorm):
            continue
        layer = name.removesuffix(".batch_norm")
        scale, shift = (value.detach() for value in copy.deepcopy(norm).double().scale_and_shift())
        if layer.startswith("convolutions"):
            _fold_backwards(weights, f"{layer}.convolution.weight", f"{layer}.convolution.bias", scale, shift)
        elif layer.startswith("recurrents"):
            _fold_forwards(weights, f"{layer}.rnn.weight_ih_l0", f"{layer}.rnn.bias_ih_l0", scale, shift)
        else:
            _fold_forwards(weights, f"{layer}.linear.weight", f"{layer}.linear.bias", scale, shift)
    folded.load_state_dict(weights)
    return folded.eval()


def _fold_backwards(weights: dict[str, Tensor], weight: str, bias: str, scale: Tensor, shift: Tensor) -> None:
    kernel = weights[weight].double()
    weights[weight] = (kernel * scale.reshape(-1, *[1] * (kernel.dim() - 1))).float()
    weights[bias] = (weights[bias].double() * scale + shift).float()


def _fold_forwards(weights: dict[str, Tensor], weight: str, bias: str, scale: Tensor, shift: Tensor) -> None:
    matrix = weights[weight].double()
    weights[weight] = (matrix * scale).float()
    weights[bias] = (weights[bias].double() + matrix @ shift).float()


@torch.no_grad()
def fold_error(model: DeepSpeech2, folded: DeepSpeech2, speech: Sequence[NDArray[np.float32]]) -> float:
    """Return the largest difference of log-probabilities over recordings (float32 samples), NaN if any is NaN."""
    differences = [0.0]
    for samples in speech:
        batch, lengths = torch.from_numpy(samples).unsqueeze(0), torch.tensor([len(samples)])
        difference = model(batch, lengths)[0] - folded(batch, lengths)[0]
        differences.append(float(np.abs(difference.numpy()).max(initial=0.0)))
    return float(np.max(differences))
