"""The streaming layers of Deep Speech 2; each has ``forward`` and ``step(x, state) -> (y, state)``.

All layers are causal. A state is a dict of named tensors that the caller keeps; nothing is changed in place.
Convolutions take [batch, channels, (frequency,) time], recurrent layers and the row convolution [batch, time, width].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgespeech.reference.kernels import lstm_tiles, masked_norm
from edgespeech.reference.model.alignment import Alignment
from edgespeech.reference.model.config import Cell, ConvolutionConfig

State = dict[str, Tensor]
CLIP = 20.0
CUDNN_BATCH = 8  # persistent kernels need batches that are multiples of 8 and widths that are multiples of 128


def clipped_relu(x: Tensor) -> Tensor:
    """Compute min(max(x, 0), 20), section 3.2 of Deep Speech 2."""
    return x.clamp(0.0, CLIP)


def dropout(x: Tensor, probability: float, training: bool) -> Tensor:
    """Apply inverted dropout; on a CPU the probability is rounded to a multiple of 1/256.

    One random byte per value is enough; torch draws a full integer per value, which took a twelfth of the training
    time.
    """
    limit = round(256 * probability)
    if x.is_cuda or not training or not 0 < limit < 256:
        return functional.dropout(x, probability, training)
    random_bytes = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None).view(torch.uint8)
    keep = (random_bytes[: x.numel()].view(x.shape) >= limit).to(x.dtype).mul_(256.0 / (256.0 - limit))
    return x * keep


class MaskedBatchNorm(nn.Module):
    """Sequence-wise batch normalisation (section 3.2) over valid frames; outside training by running statistics.

    ``channel_dim`` is the dimension of the channels; time is the last one, or 1 for [batch, time, channels].
    """

    running_mean: Tensor
    running_variance: Tensor

    def __init__(self, channels: int, channel_dim: int, momentum: float = 0.05, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.channel_dim = channel_dim
        self.momentum = momentum
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_variance", torch.ones(channels))

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Return the affine map outside training, y = x * scale + shift, each [channels]."""
        scale = self.weight / torch.sqrt(self.running_variance + self.epsilon)
        return scale, self.bias - self.running_mean * scale

    def statistics(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean [channels], population variance [channels] and number of valid values per channel, float32.

        ``mask`` is bool [batch, time], true where a frame is valid; None for all frames.
        """
        x = x.float()
        dims = [dim for dim in range(x.dim()) if dim != self.channel_dim]
        if mask is None:
            count = torch.tensor(float(x.numel() // x.shape[self.channel_dim]), device=x.device)
            variance, mean = torch.var_mean(x, dim=dims, correction=0)
            return mean, variance, count
        shape = [x.shape[0]] + [1] * (x.dim() - 1)
        shape[1 if self.channel_dim == x.dim() - 1 else -1] = mask.shape[1]
        weight = mask.reshape(shape).to(x.dtype)
        spread = x.numel() // (x.shape[self.channel_dim] * mask.numel())
        count = (weight.sum() * spread).clamp(min=1.0)
        mean = (x * weight).sum(dims) / count
        centred = (x - self._spread(mean, x)) * weight
        return mean, centred.square().sum(dims) / count, count

    def _spread(self, per_channel: Tensor, like: Tensor) -> Tensor:
        shape = [1] * like.dim()
        shape[self.channel_dim] = -1
        return per_channel.reshape(shape)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalise by the statistics of this batch in training, by the running statistics otherwise."""
        if self.training and mask is not None and masked_norm.fits(x, mask):
            last = self.channel_dim == x.dim() - 1
            y, mean, variance = masked_norm.normalise(x, mask, self.weight, self.bias, self.epsilon, last)
            self._update_running(mean, variance, mask.sum())
            return y
        if self.training:
            mean, variance, count = self.statistics(x, mask)
            self._update_running(mean, variance, count)
            scale = self.weight / torch.sqrt(variance + self.epsilon)
            shift = self.bias - mean * scale
        else:
            scale, shift = self.scale_and_shift()
        return x * self._spread(scale, x).to(x.dtype) + self._spread(shift, x).to(x.dtype)

    @torch.no_grad()
    def _update_running(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        unbiased = variance * (count / (count - 1).clamp(min=1))
        self.running_mean.lerp_(mean, self.momentum)
        self.running_variance.lerp_(unbiased, self.momentum)


class CausalConvolution(nn.Module):
    """Convolution, batch norm, clipped or plain ReLU (section 3.4); over time (1-D) or over frequency and time (2-D).

    ``frequencies`` is the height of a 2-D input, None for 1-D, and ``delay_in`` the frames by which the input lags
    behind. Output frame t depends on the input frames before ``(t + 1) * stride``. The state ``context`` holds the
    frames that the next output still needs: ``alignment.context`` when the input length was a multiple of the stride.
    """

    def __init__(
        self,
        config: ConvolutionConfig,
        in_channels: int,
        frequencies: int | None,
        batch_norm: bool,
        delay_in: int = 0,
    ) -> None:
        super().__init__()
        self.config = config
        self.in_channels = in_channels
        self.frequencies = frequencies
        left, right = config.padding or (config.kernel - config.stride, 0)
        self.alignment = Alignment(config.kernel, config.stride, left, right, delay_in)
        self.convolution: nn.Conv1d | nn.Conv2d
        if frequencies is None:
            self.convolution = nn.Conv1d(in_channels, config.channels, config.kernel, config.stride)
        else:
            self.convolution = nn.Conv2d(
                in_channels,
                config.channels,
                (config.frequency_kernel, config.kernel),
                (config.frequency_stride, config.stride),
                padding=(config.frequency_pad, 0),
            )
        self.batch_norm = MaskedBatchNorm(config.channels, channel_dim=1) if batch_norm else None

    @property
    def out_frequencies(self) -> int | None:
        """Height of the output in 2-D; None in 1-D."""
        return None if self.frequencies is None else self.config.out_frequencies(self.frequencies)

    def initial_state(self, batch: int) -> State:
        """Return ``context``, zeros [batch, in_channels, (frequencies,) alignment.context]."""
        height = () if self.frequencies is None else (self.frequencies,)
        size = (batch, self.in_channels, *height, self.alignment.context)
        return {"context": self.convolution.weight.new_zeros(size)}

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Process whole recordings; ``mask`` bool [batch, output frames] keeps padding out of the statistics."""
        return self._convolve(torch.cat([self.initial_state(len(x))["context"].to(x.dtype), x], dim=-1), mask)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Process any number of new frames and return the complete output frames."""
        buffer = torch.cat([state["context"], x], dim=-1)
        y = self._convolve(buffer, None)
        return y, {"context": buffer[..., y.shape[-1] * self.config.stride :]}

    def _convolve(self, buffer: Tensor, mask: Tensor | None) -> Tensor:
        buffer = buffer[..., : buffer.shape[-1] - self.alignment.shift]
        if buffer.shape[-1] < self.config.kernel:
            height = () if self.out_frequencies is None else (self.out_frequencies,)
            return buffer.new_zeros(len(buffer), self.config.channels, *height, 0)
        y = self.convolution(buffer)
        y = y if self.batch_norm is None else self.batch_norm(y, mask)
        return clipped_relu(y) if self.config.activation == "clipped_relu" else y.relu()


class ClippedRnn(nn.Module):
    """The paper's plain recurrence h_t = clip(W x_t + U h_{t-1} + b), with torch's parameter names."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.weight_ih_l0 = nn.Parameter(torch.empty(hidden, width).uniform_(-(width**-0.5), width**-0.5))
        # Orthogonal and just below 1, so that the recurrence neither dies out nor explodes.
        self.weight_hh_l0 = nn.Parameter(nn.init.orthogonal_(torch.empty(hidden, hidden), gain=0.8))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(hidden))
        self.bias_hh_l0 = nn.Parameter(torch.zeros(hidden))

    def forward(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Map [batch, time, width] and [batch, hidden] to [batch, time, hidden] and the last [batch, hidden]."""
        projected = functional.linear(x, self.weight_ih_l0, self.bias_ih_l0 + self.bias_hh_l0)
        outputs = []
        for term in projected.unbind(1):
            hidden = clipped_relu(term + functional.linear(hidden, self.weight_hh_l0))
            outputs.append(hidden)
        return torch.stack(outputs, dim=1), hidden


class Recurrent(nn.Module):
    """Batch norm of the input, a unidirectional GRU, LSTM, tanh or clipped-ReLU recurrence, layer norm of the output.

    Normalising the input replaces the paper's BN(W h): both act on the input term only, and this one allows fused
    kernels. The states are ``hidden`` [batch, hidden] and, for the LSTM, ``cell``; none of them is normalised.
    """

    def __init__(self, cell: Cell, width: int, hidden: int, batch_norm: bool, layer_norm: bool = False) -> None:
        super().__init__()
        self.cell = cell
        self.hidden = hidden
        self.batch_norm = MaskedBatchNorm(width, channel_dim=2) if batch_norm else None
        self.rnn: nn.RNN | nn.GRU | nn.LSTM | ClippedRnn
        if cell == "rnn":
            self.rnn = ClippedRnn(width, hidden)
        else:
            module = {"gru": nn.GRU, "lstm": nn.LSTM, "tanh": nn.RNN}[cell]
            self.rnn = module(width, hidden, batch_first=True)
        self.layer_norm = nn.LayerNorm(hidden) if layer_norm else None

    def initial_state(self, batch: int) -> State:
        """Return zero states, each [batch, hidden]."""
        zeros = next(self.rnn.parameters()).new_zeros(batch, self.hidden)
        return {"hidden": zeros, "cell": zeros} if self.cell == "lstm" else {"hidden": zeros}

    def forward(self, x: Tensor, mask: Tensor | None = None, dropped: float = 0.0) -> Tensor:
        """Process whole recordings: [batch, time, width] to [batch, time, hidden]."""
        if self.batch_norm is not None:
            x = self.batch_norm(x, mask)
        x = dropout(x, dropped, self.training)
        if self.training and isinstance(self.rnn, nn.LSTM) and lstm_tiles.fits(self.rnn, x):
            return self._normalised(lstm_tiles.run(self.rnn, x))
        batch = len(x)
        if x.is_cuda:
            # In float16 cuDNN then runs an LSTM as one kernel instead of two for each frame.
            x = functional.pad(x, (0, 0, 0, 0, 0, -batch % CUDNN_BATCH))
        return self._normalised(self._recur(x, self.initial_state(len(x)))[0][:batch])

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Process any number of new frames."""
        y, state = self._recur(x if self.batch_norm is None else self.batch_norm(x), state)
        return self._normalised(y), state

    def _normalised(self, y: Tensor) -> Tensor:
        return y if self.layer_norm is None else self.layer_norm(y)

    def _recur(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if not x.shape[1]:
            return x.new_zeros(len(x), 0, self.hidden), state
        if isinstance(self.rnn, nn.LSTM):
            y, (hidden, cell) = self.rnn(x, (state["hidden"].unsqueeze(0), state["cell"].unsqueeze(0)))
            return y, {"hidden": hidden.squeeze(0), "cell": cell.squeeze(0)}
        if isinstance(self.rnn, ClippedRnn):
            y, hidden = self.rnn(x, state["hidden"])
            return y, {"hidden": hidden}
        y, hidden = self.rnn(x, state["hidden"].unsqueeze(0))
        return y, {"hidden": hidden.squeeze(0)}


class RowConvolution(nn.Module):
    """Look-ahead over tau future frames (section 3.7): r_t = sum over j = 0..tau of W_j * h_{t+j}, per unit.

    It is causal because it delays: output t is r_{t - tau}. The state ``context`` [batch, tau, width] holds the last
    tau input frames. The initial weights pass the frame itself and a little of the future.
    """

    def __init__(self, width: int, lookahead_frames: int, delay_in: int = 0) -> None:
        super().__init__()
        self.lookahead_frames = lookahead_frames
        self.alignment = Alignment(lookahead_frames + 1, 1, 0, lookahead_frames, delay_in)
        weight = torch.randn(lookahead_frames + 1, width) * 0.02
        weight[0] += 1.0
        self.weight = nn.Parameter(weight)

    def initial_state(self, batch: int) -> State:
        """Return ``context``, zeros [batch, tau, width]."""
        return {"context": self.weight.new_zeros(batch, self.lookahead_frames, self.weight.shape[1])}

    def forward(self, x: Tensor) -> Tensor:
        """Process whole recordings [batch, time, width]; the output is delayed by tau frames."""
        return self.step(x, self.initial_state(len(x)))[0]

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Process any number of new frames."""
        frames = x.shape[1]
        buffer = torch.cat([state["context"].to(x.dtype), x], dim=1)
        weight = self.weight.to(x.dtype)
        y = buffer[:, :frames] * weight[0]
        # On CUDA, autocast knows addcmul in float16 only.
        with torch.autocast(x.device.type, enabled=False):
            for tap in range(1, self.lookahead_frames + 1):
                y = torch.addcmul(y, buffer[:, tap : tap + frames], weight[tap])
        return clipped_relu(y), {"context": buffer[:, frames:]}


class Connected(nn.Linear):
    """Linear layer and ReLU, frame by frame: [batch, time, width] to [batch, time, out_features]."""

    def forward(self, x: Tensor) -> Tensor:
        """Map every frame by itself, [batch, time, in_features]."""
        return super().forward(x).relu()

    def initial_state(self, batch: int) -> State:
        """Return an empty dict: this layer keeps no state."""
        return {}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Process any number of new frames."""
        return self(x), state
