"""Emit the feature front end: framing, Fourier transform, filters, logarithm and normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgespeech.export.builder import GraphBuilder, array
from edgespeech.export.edges_graph import EdgesGraph
from edgespeech.reference.model.features import Features
from edgespeech.reference.model.normalisation import MIN_VARIANCE, RunningStatistics


def emit_features(builder: GraphBuilder, name: str, stage: Features, samples: str, edges: EdgesGraph | None) -> str:
    """Emit the front end of samples [batch, samples] and return its output [batch, width, frames]."""
    config, alignment = stage.config, stage.alignment
    framed = builder.with_context(name, samples, (stage.context,), 1)
    if edges is not None:
        framed = edges.padded(framed, stage)
    framed = builder.without(framed, stage.context - alignment.context, alignment.shift, 1)
    framed = builder.add("Unsqueeze", [framed, builder.integers(1)], name="framed")
    kernels = builder.weight(f"{name}.fourier", array(stage.kernels))
    spectrum = builder.add("Conv", [framed, kernels], name=f"{name}.fourier_transform", strides=[config.hop_samples])
    squares = builder.add("Mul", [spectrum, spectrum], name=f"{name}.squares")
    x = _logarithm(builder, name, stage, _filtered(builder, name, stage, squares))
    mean = builder.weight(f"{name}.mean", array(stage.mean)[:, None])
    inverse = builder.weight(f"{name}.inverse_deviation", array(stage.inverse_deviation)[:, None])
    centred = builder.add("Sub", [x, mean], name=f"{name}.centred")
    normal = str(builder.add("Mul", [centred, inverse], name=f"{name}.normal"))
    if stage.running is None:
        return normal
    counted = None if edges is None else edges.mask(name)
    return _running(builder, f"{name}.running", stage.running, normal, counted)


def _filtered(builder: GraphBuilder, name: str, stage: Features, squares: str) -> str:
    # Both halves have the same filters, so the product adds real and imaginary squares.
    filters = array(stage.filters)
    if stage.config.spectrum == "power":
        weight = builder.weight(f"{name}.filters", np.concatenate([filters] * 2, axis=1))
        return str(builder.add("MatMul", [weight, squares], name=f"{name}.power"))
    halves = builder.weight(f"{name}.halves", np.concatenate([np.eye(filters.shape[1], dtype=np.float32)] * 2, axis=1))
    magnitude = builder.add("MatMul", [halves, squares], name=f"{name}.power")
    magnitude = builder.add("Sqrt", [magnitude], name=f"{name}.magnitude")
    if stage.config.scale == "linear":
        return str(magnitude)
    weight = builder.weight(f"{name}.filters", filters)
    return str(builder.add("MatMul", [weight, magnitude], name=f"{name}.filtered"))


def _logarithm(builder: GraphBuilder, name: str, stage: Features, x: str) -> str:
    kind = stage.config.logarithm
    floor = builder.weight(f"{name}.floor", np.array(1.0 if kind == "log1p" else stage.config.floor, np.float32))
    operator = "Max" if kind == "at_least_floor" else "Add"
    return str(builder.add("Log", [builder.add(operator, [x, floor], name=f"{name}.floored")], name=f"{name}.log"))


def _running(builder: GraphBuilder, name: str, stage: RunningStatistics, x: str, counted: str | None) -> str:
    """Emit `RunningStatistics.step`; ``counted`` is float32 [batch, frames], 1 where a frame counts."""

    def add(operator: str, inputs: list[str], **attributes: Any) -> str:
        return str(builder.add(operator, inputs, name=f"{name}.{operator.lower()}", **attributes))

    def number(value: float) -> str:
        return builder.scalar(f"{name}.{value:g}", value)

    axis = builder.scalar(f"{name}.axis", np.int64(1))
    mean, power = (add("ReduceMean", [one], axes=[1], keepdims=0) for one in (x, add("Mul", [x, x])))
    values = {"mean": mean, "power": add("Sub", [power, number(1)])}
    if counted is None:
        counted = add("Add", [add("Mul", [values["mean"], number(0)]), number(1)])
    states = {key: builder.state(f"features_{key}", (1,)) for key in ("mean", "power", "frames")}
    frames = add("Add", [states["frames"], add("CumSum", [counted, axis])])
    weight = add("Min", [add("Add", [frames, number(stage.prior_frames)]), number(stage.memory_frames)])
    rate = add("Div", [counted, weight])
    kept = add("Exp", [add("CumSum", [add("Log", [add("Sub", [number(1), rate])]), axis])])
    now = {"frames": add("Min", [frames, number(stage.memory_frames)])}
    for key, value in values.items():
        gained = add("CumSum", [add("Div", [add("Mul", [rate, value]), kept]), axis])
        now[key] = add("Mul", [kept, add("Add", [states[key], gained])])
    for key, value in now.items():
        builder.set_new_state(states[key], builder.last(value, 1, 1))
    variance = add("Sub", [add("Add", [now["power"], number(1)]), add("Mul", [now["mean"], now["mean"]])])
    deviation = add("Sqrt", [add("Max", [variance, number(MIN_VARIANCE)])])
    centre, deviation = (add("Unsqueeze", [one, builder.integers(1)]) for one in (now["mean"], deviation))
    return add("Div", [add("Sub", [x, centre]), deviation])
