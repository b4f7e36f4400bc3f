"""Collect histograms of activations, and choose static ranges from them by one of four methods.

``minmax`` covers all observed values, ``percentile`` leaves out one value in ten thousand at each end, ``entropy``
minimises the loss of information (Kullback-Leibler divergence of the histogram), ``error`` the squared error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from edgespeech.errors import UsageError, VerificationError
from edgespeech.quantization.graph.float_graph import RangeGroup
from edgespeech.runtime.bundle import Bundle

Floats = NDArray[np.float32]
Counts = NDArray[np.float64]
Method = Literal["minmax", "percentile", "entropy", "error"]
METHODS: tuple[Method, ...] = ("minmax", "percentile", "entropy", "error")
LEVELS = 255
BINS = 8192
MIN_REACH = 2.0**-20
CLIPPED_FRACTION = 1e-4
# Candidate ranges of `entropy` and `error`, as fractions of all observed values.
CANDIDATES = np.linspace(0.3, 1.0, 36)


@dataclass(frozen=True)
class Range:
    """An interval that 8-bit unsigned integers represent; it always contains zero, which is then exact."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= 0.0 <= self.high:
            raise ValueError(f"range [{self.low}, {self.high}] does not contain zero")

    @property
    def scale(self) -> np.float32:
        """Width of one quantization step."""
        return np.float32(max(self.high - self.low, 1e-6) / LEVELS)

    @property
    def zero_point(self) -> np.uint8:
        """Integer that represents the value zero."""
        return np.uint8(np.clip(round(-self.low / float(self.scale)), 0, LEVELS))


# Symmetric around zero: -1 and 1 become 1 and 255, and level 0 is not used.
BOUNDED_BY_ONE = Range(-128.0 / 127.0, 127.0 / 127.0)


class Histogram:
    """Counts an activation's values over (-reach, reach) in a fixed number of bins.

    A larger value doubles the reach and merges neighbouring bins. Zero lies between two bins.
    """

    def __init__(self) -> None:
        self.low = 0.0
        self.high = 0.0
        self.reach = MIN_REACH
        self.counts: Counts = np.zeros(BINS)

    def add(self, values: Floats) -> None:
        """Add values to the counts.

        Raises:
            VerificationError: A value is not finite.
        """
        low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
        if not math.isfinite(high - low):
            raise VerificationError("values inside the network are not finite on this speech; fix model or speech")
        self.low, self.high = min(self.low, low), max(self.high, high)
        while self.reach <= max(-low, high):
            self.counts = np.pad(self.counts.reshape(-1, 2).sum(axis=1), BINS // 4)
            self.reach *= 2.0
        bins = np.floor(values.ravel() * np.float32(BINS / 2 / self.reach)).astype(np.intp) + BINS // 2
        self.counts += np.bincount(bins, minlength=BINS)

    def range(self, method: Method) -> Range:
        """Choose the range of the values by a method."""
        if method == "minmax":
            return Range(self.low, self.high)
        if method == "percentile":
            return self._percentile()
        cost = self._entropy if method == "entropy" else self._squared_error
        return min((Range(self.low * float(part), self.high * float(part)) for part in CANDIDATES), key=cost)

    def _percentile(self) -> Range:
        edges = np.linspace(-self.reach, self.reach, BINS + 1)
        cumulative = self.counts.cumsum() / max(1.0, self.counts.sum())
        first, last = np.searchsorted(cumulative, [CLIPPED_FRACTION, 1.0 - CLIPPED_FRACTION])
        low, high = float(edges[first]), float(edges[min(last + 1, BINS)])
        return Range(min(0.0, max(low, self.low)), max(0.0, min(high, self.high)))

    def _centres(self) -> Counts:
        edges = np.linspace(-self.reach, self.reach, BINS + 1)
        return np.asarray((edges[1:] + edges[:-1]) / 2)

    def _levels(self, candidate: Range) -> NDArray[np.intp]:
        scale, zero = float(candidate.scale), int(candidate.zero_point)
        return np.clip(np.round(self._centres() / scale) + zero, 0, LEVELS).astype(np.intp)

    def _squared_error(self, candidate: Range) -> float:
        rounded = (self._levels(candidate) - int(candidate.zero_point)) * float(candidate.scale)
        return float((self.counts * np.square(self._centres() - rounded)).sum())

    def _entropy(self, candidate: Range) -> float:
        """Return the divergence of the clipped histogram from its quantized version, spread over the occupied bins."""
        centres, level = self._centres(), self._levels(candidate)
        inside = (centres >= candidate.low) & (centres <= candidate.high)
        if not inside.any():
            return 0.0
        folded = np.where(inside, self.counts, 0.0)
        first, last = inside.argmax(), BINS - 1 - inside[::-1].argmax()
        folded[first] += self.counts[:first].sum()
        folded[last] += self.counts[last + 1 :].sum()
        occupied = (folded > 0).astype(float)
        per_level = np.bincount(level, self.counts * inside, LEVELS + 1)
        room = np.bincount(level, occupied, LEVELS + 1)
        spread = occupied * (per_level / np.maximum(room, 1.0))[level]
        p, q = folded / max(folded.sum(), 1.0), np.maximum(spread / max(spread.sum(), 1e-12), 1e-12)
        return float((p[p > 0] * np.log(p[p > 0] / q[p > 0])).sum())


@dataclass(frozen=True)
class Channels:
    """Statistics of an activation: mean, smallest and largest value [channels], covariance [channels, channels]."""

    mean: Floats
    low: Floats
    high: Floats
    covariance: Counts

    @property
    def moments(self) -> Counts:
        """Mean products of the channels, float64 [channels, channels]."""
        return self.covariance + np.outer(self.mean, self.mean)

    @property
    def deviation(self) -> Floats:
        """Standard deviation of the channels, float32 [channels]."""
        return np.sqrt(np.maximum(self.covariance.diagonal(), 0.0)).astype(np.float32)


class ChannelCounter:
    """Accumulates `Channels` over values whose last dimension is the channel."""

    def __init__(self) -> None:
        self._sum: Counts = np.zeros(1)
        self._products: Counts = np.zeros((1, 1))
        self._count = 0
        self._low: Floats = np.full(1, np.inf, np.float32)
        self._high: Floats = np.full(1, -np.inf, np.float32)

    def add(self, values: Floats) -> None:
        """Add values [..., channels] to the statistics."""
        rows = values.reshape(-1, values.shape[-1]).astype(np.float64)
        self._sum = self._sum + rows.sum(axis=0)
        self._products = self._products + rows.T @ rows
        self._count += len(rows)
        if len(rows):
            self._low = np.minimum(self._low, rows.min(axis=0).astype(np.float32))
            self._high = np.maximum(self._high, rows.max(axis=0).astype(np.float32))

    @property
    def value(self) -> Channels:
        """Statistics of the values added so far."""
        mean, products = self._sum / max(1, self._count), self._products / max(1, self._count)
        return Channels(mean.astype(np.float32), self._low, self._high, products - np.outer(mean, mean))


def observe(
    bundle: Bundle,
    graph: onnx.ModelProto,
    groups: Iterable[RangeGroup],
    per_channel: Sequence[str],
    speech: Sequence[Floats],
    advance: Callable[[], object] = lambda: None,
) -> tuple[list[Histogram], dict[str, Channels]]:
    """Stream recordings through the float32 graph and collect statistics of its activations.

    ``advance`` is called after each recording.

    Returns:
        One histogram for each group, and the channels of each activation in ``per_channel``.

    Raises:
        UsageError: The speech is empty or silent.
        VerificationError: A value is not finite.
    """
    require_sound(speech)
    counted = [(group.observed, Histogram()) for group in groups]
    channels = {tensor: ChannelCounter() for tensor in per_channel}
    tensors = list(dict.fromkeys([*channels, *(tensor for observed, _ in counted for tensor in observed)]))
    for values in stream_tensors(bundle, graph, tensors, speech, advance):
        for observed, histogram in counted:
            for tensor in observed:
                histogram.add(values[tensor])
        for tensor, counter in channels.items():
            counter.add(values[tensor])
    return [histogram for _, histogram in counted], {tensor: counter.value for tensor, counter in channels.items()}


def require_sound(speech: Sequence[Floats]) -> None:
    """Raise UsageError if all samples of the speech are zero."""
    if not any(np.any(samples) for samples in speech):
        raise UsageError("the calibration speech is empty or silent; give --speech a manifest of recordings")


def stream_tensors(
    bundle: Bundle,
    graph: onnx.ModelProto,
    tensors: Sequence[str],
    speech: Iterable[Floats],
    advance: Callable[[], object] = lambda: None,
) -> Iterator[dict[str, Floats]]:
    """Run a graph over recordings with carried states, and yield the values of tensors after each chunk."""
    onnxruntime: Any = import_module("onnxruntime")
    exposed = onnx.ModelProto()
    exposed.CopyFrom(graph)
    known = {value.name for value in exposed.graph.output}
    exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in known)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(exposed.SerializeToString(), options, providers=["CPUExecutionProvider"])
    facts = bundle.manifest.graph
    outputs = [*tensors, *(state.output for state in facts.states)]
    size = bundle.manifest.audio.chunk_samples
    for samples in speech:
        state = {entry.name: np.full((1, *entry.shape), entry.initial, np.float32) for entry in facts.states}
        padded = np.pad(samples, (0, -len(samples) % size))[None]
        for start in range(0, padded.shape[1], size):
            values = session.run(outputs, {facts.input: padded[:, start : start + size], **state})
            state = dict(zip((entry.name for entry in facts.states), values[len(tensors) :], strict=True))
            yield {name: np.asarray(value, np.float32) for name, value in zip(tensors, values, strict=False)}
        advance()
