"""The batch-norm kernel equals torch's operators up to the rounding of bfloat16."""

import pytest
import torch
from torch import Tensor

from edgespeech.reference.kernels import masked_norm
from edgespeech.reference.kernels.native import compiled
from edgespeech.reference.model.layers import MaskedBatchNorm

needs_native = pytest.mark.skipif(
    compiled("masked_norm") is None, reason="needs a CPU with Intel AMX and a C++ compiler"
)


def normalised(layer: MaskedBatchNorm, x: Tensor, mask: Tensor, toward: Tensor) -> list[Tensor]:
    layer.running_mean.zero_()
    layer.running_variance.fill_(1.0)
    layer.zero_grad()
    x = x.clone().requires_grad_()
    y = layer(x, mask)
    torch.autograd.backward((y.float() * toward).sum())
    found = (y, x.grad, layer.weight.grad, layer.bias.grad, layer.running_mean, layer.running_variance)
    return [tensor.detach().float().clone() for tensor in found if tensor is not None]


@needs_native
@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize(("batch", "time", "channels"), [(1, 9, 3), (4, 30, 40), (3, 8, 16)])
def test_values_gradients_and_statistics_equal_those_of_torch(
    batch: int, time: int, channels: int, channels_last: bool
) -> None:
    torch.manual_seed(time)
    layer = MaskedBatchNorm(channels, channel_dim=2 if channels_last else 1)
    layer.weight.data.uniform_(0.5, 2.0)
    layer.bias.data.normal_()
    shape = (batch, time, channels) if channels_last else (batch, channels, time)
    # The gradient at masked frames counts too: a layer above may use them.
    x, toward = (2.0 * torch.randn(shape) + 1.0).bfloat16(), torch.randn(shape)
    lengths = torch.randint((time + 1) // 2, time + 1, (batch,))
    mask = torch.arange(time) < lengths[:, None]
    assert masked_norm.fits(x, mask)
    assert not masked_norm.fits(x.float(), mask)
    exact, found = normalised(layer, x.float(), mask, toward), normalised(layer, x, mask, toward)
    assert len(exact) == len(found) == 6
    for wanted, got in zip(exact, found, strict=True):
        torch.testing.assert_close(got, wanted, rtol=0.02, atol=0.02 * float(wanted.abs().max()) + 1e-4)
