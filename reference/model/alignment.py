"""How a layer that sees a window of its input is streamed: what its outputs see, and how far they lag behind.

Output t of a whole recording sees the inputs from ``t * stride - left`` on, ``kernel`` of them. A stream has one output
for every ``stride`` inputs, so output t comes at position ``t + delay``, as soon as the inputs it sees have come.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Alignment:
    """Kernel, stride and padding of a layer whose input lags ``delay_in`` inputs behind."""

    kernel: int
    stride: int
    left: int
    right: int
    delay_in: int = 0

    @property
    def delay(self) -> int:
        """Outputs by which the streamed output lags behind."""
        return -(-(self.delay_in + self.kernel - self.stride - self.left) // self.stride)

    @property
    def shift(self) -> int:
        """Newest inputs that no output sees yet, because the lag is a whole number of outputs."""
        return self.delay * self.stride - (self.delay_in + self.kernel - self.stride - self.left)

    @property
    def context(self) -> int:
        """Inputs of earlier steps that the next output sees, or that are too new for the last one."""
        return self.kernel - self.stride + self.shift
