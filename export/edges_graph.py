"""Emit where a recording begins and ends in a step, for models that pad their layers with zeros there.

The graph computes what `edgespeech.reference.model.edges` does, with the same two states: the samples before the step,
as far as they matter, and those from its beginning to the end of the recording. Every stream of a batch has its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto

from edgespeech.export.builder import GraphBuilder
from edgespeech.reference.model.deep_speech2 import IMPOSSIBLE
from edgespeech.reference.model.edges import UNKNOWN, Edges
from edgespeech.reference.model.features import Features
from edgespeech.reference.model.labels import BLANK

BEFORE, LEFT = "edges_before", "edges_left"
HALF = 0.5  # between two whole numbers, so that no quotient needs to be exact


class EdgesGraph:
    """Emits the states and what follows from them; a ``chunk`` of None stands for any number of samples."""

    def __init__(self, builder: GraphBuilder, edges: Edges, chunk: int | None) -> None:
        self._builder, self._edges, self._chunk = builder, edges, chunk
        builder.state(BEFORE, (1,))
        builder.state(LEFT, (1,), UNKNOWN)
        length = self._float(self._times(1))
        seen = self._add("Min", [self._add("Add", [BEFORE, length]), self._number(edges.limit)])
        builder.set_new_state(BEFORE, seen)
        builder.set_new_state(LEFT, self._add("Sub", [LEFT, length]))
        self._ends: dict[str, str] = {}
        end = LEFT
        for name, layer in edges.layers.items():
            if (window := layer.alignment) is not None:
                reach = self._number(window.left + window.right - window.kernel + HALF)
                strides = self._add("Div", [self._add("Add", [end, reach]), self._number(window.stride)])
                end = self._add("Add", [self._add("Floor", [strides]), self._number(1)])
            self._ends[name] = end

    def padded(self, buffer: str, features: Features) -> str:
        """Put the padding of the recording into the context and the samples of a step [batch, context + samples]."""
        if not features.alignment.right:
            return buffer
        context = features.context
        place, end = self._range(-context, self._times(1)), self._add("Sub", [LEFT, self._number(HALF)])
        if not features.config.reflect:
            return self._add("Where", [self._add("Less", [place, end]), buffer, self._number(0)])
        begins = self._add("Less", [BEFORE, self._number(HALF)])
        place = self._add("Where", [begins, self._add("Abs", [place]), place])
        last = self._add("Sub", [LEFT, self._number(1)])
        back = self._add("Sub", [self._add("Add", [last, last]), place])
        place = self._add("Where", [self._add("Less", [place, end]), place, back])
        index = self._add("Max", [self._add("Add", [place, self._number(context)]), self._number(0)])
        newest = self._add("Add", [self._float(self._times(1)), self._number(context - 1)])
        index = self._add("Cast", [self._add("Min", [index, newest])], to=TensorProto.INT64)
        return self._add("GatherElements", [buffer, index], axis=1)

    def zeros_outside(self, name: str, x: str, axes: Sequence[int], time_major: bool = False) -> str:
        """Put zeros into the output of a layer outside of the recording; ``axes`` are those that a mask lacks."""
        mask = self.mask(name)
        if time_major:
            mask = self._add("Transpose", [mask], perm=[1, 0])
        mask = self._add("Unsqueeze", [mask, self._builder.integers(*axes)])
        return str(self._builder.add("Mul", [x, mask], name=f"{name}.inside"))

    def blank_outside(self, name: str, x: str, labels: int) -> str:
        """Make the blank certain outside of the recording, in log-probabilities [batch, frames, labels]."""
        row = np.full(labels, IMPOSSIBLE, np.float32)
        row[BLANK] = 0.0
        mask = self._add("Unsqueeze", [self.inside(name), self._builder.integers(2)])
        blank = self._builder.weight("edges.blank", row)
        return str(self._builder.add("Where", [mask, x, blank], name=f"{name}.inside"))

    def mask(self, name: str) -> str:
        """Return float32 [batch, frames] of a layer, 1 inside the recording and else 0."""
        return self._float(self.inside(name))

    def inside(self, name: str) -> str:
        """Return bool [batch, frames] of a layer, true inside the recording."""
        end = self._add("Sub", [self._ends[name], self._number(HALF)])
        inside = self._add("Less", [self._places(name), end])
        return self._add("And", [self._begun(name), inside]) if self._edges.layers[name].delay else inside

    def begun(self, frames: int) -> list[str] | None:
        """Return float32 [batch, 1] per frame, 0 where recurrent layers have not begun; None if they always have."""
        if not self._edges.layers["recurrent0"].delay:
            return None
        mask = self._float(self._begun("recurrent0"))
        if frames == 1:
            return [mask]
        return list(self._builder.add("Split", [mask], frames, "edges.steps", axis=1))

    def lengths(self) -> str | None:
        """Return for how many of the frames recurrent layers have begun, int32 [batch]; None if they always have."""
        layer = self._edges.layers["recurrent0"]
        if not layer.delay:
            return None
        frames, seen = self._float(self._times(layer.samples)), self._seen("recurrent0")
        begun = self._add("Add", [self._add("Sub", [seen, self._number(layer.delay - HALF)]), frames])
        begun = self._add("Min", [self._add("Max", [begun, self._number(0)]), frames])
        lengths = self._add("Cast", [begun], to=TensorProto.INT32)
        return self._add("Squeeze", [lengths, self._builder.integers(1)])

    def _begun(self, name: str) -> str:
        place = self._add("Add", [self._places(name), self._seen(name)])
        return self._add("Greater", [place, self._number(-HALF)])

    def _places(self, name: str) -> str:
        """Return [frames], the numbers of a layer's frames, from the one of the recording that begins with the step."""
        layer = self._edges.layers[name]
        return self._add("Sub", [self._range(0, self._times(layer.samples)), self._number(layer.delay)])

    def _seen(self, name: str) -> str:
        return self._add("Div", [BEFORE, self._number(self._edges.layers[name].samples)])

    def _times(self, samples: int) -> str:
        """Return how often a number of samples fits into the step, an int64 scalar."""
        if self._chunk is not None:
            return self._whole(self._chunk // samples)
        length = self._add("Gather", [self._add("Shape", ["samples"]), self._whole(1)])
        return self._add("Div", [length, self._whole(samples)])

    def _range(self, first: int, last: str) -> str:
        return self._float(self._add("Range", [self._whole(first), last, self._whole(1)]))

    def _whole(self, value: int) -> str:
        return self._builder.scalar(f"edges.whole_{value}", np.int64(value))

    def _number(self, value: float) -> str:
        return self._builder.scalar(f"edges.number_{value:.9g}", value)

    def _float(self, tensor: str) -> str:
        return self._add("Cast", [tensor], to=TensorProto.FLOAT)

    def _add(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        return str(self._builder.add(operator, inputs, name=f"edges.{operator.lower()}", **attributes))
