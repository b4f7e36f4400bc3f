"""Statistics of the features that follow a stream, for models whose features were normalised per utterance."""

from __future__ import annotations

import torch
from torch import Tensor

State = dict[str, Tensor]
MIN_VARIANCE = 1e-4


class RunningStatistics:
    """Normalises frames by the mean and the deviation of all values so far, which it begins with 0 and 1.

    Frame n moves the mean by 1 / min(``prior_frames`` + n, ``memory_frames``) of its distance. This recurrence
    m[n] = (1 - a[n]) m[n - 1] + a[n] x[n] has the closed form P[n] (m[0] + sum of a[i] x[i] / P[i]), where P[n] is the
    product of all 1 - a[i], so the result does not depend on the chunks.
    """

    def __init__(self, prior_frames: int, memory_frames: int) -> None:
        self.prior_frames = prior_frames
        self.memory_frames = memory_frames

    def initial_state(self, batch: int) -> State:
        """Return ``mean``, ``power`` (of the values, less 1) and ``frames`` (so far), zeros [batch, 1]."""
        return {key: torch.zeros(batch, 1) for key in ("mean", "power", "frames")}

    def step(self, x: Tensor, state: State, mask: Tensor | None = None) -> tuple[Tensor, State]:
        """Normalise [batch, width, frames]; ``mask``, bool [batch, frames], selects the frames that count."""
        counted = torch.ones_like(x[:, 0]) if mask is None else mask.to(x.dtype)
        frames = state["frames"] + counted.cumsum(1)
        rate = counted / (frames + self.prior_frames).clamp(max=self.memory_frames)
        kept = torch.log1p(-rate).cumsum(1).exp()
        values = {"mean": x.mean(1), "power": x.square().mean(1) - 1.0}
        now = {key: kept * (state[key] + (rate * value / kept).cumsum(1)) for key, value in values.items()}
        variance = (1.0 + now["power"] - now["mean"].square()).clamp(min=MIN_VARIANCE)
        normal = (x - now["mean"][:, None]) * variance.rsqrt()[:, None]
        now["frames"] = frames.clamp(max=self.memory_frames)
        return normal, {key: value[:, -1:] for key, value in now.items()}
