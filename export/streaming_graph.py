"""Turn a folded model into a streaming ONNX graph: samples and states in, log-probabilities and new states out.

The form ``fused`` keeps the GRU, LSTM or RNN operator and accepts any multiple of a frame per step. The form ``cells``
unrolls the recurrence over a fixed chunk into MatMul cells whose weights are initializers, which can be quantized.
Tensors are [batch, channels, time] up to the convolutions and [time, batch, width] above; between cells, time and batch
are one dimension.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from torch import nn

from edgespeech.errors import UsageError
from edgespeech.export.builder import GraphBuilder, StateTensor, array
from edgespeech.export.edges_graph import EdgesGraph
from edgespeech.export.features_graph import emit_features
from edgespeech.export.recurrent_graph import cells_recurrent, fused_recurrent
from edgespeech.export.request import Form
from edgespeech.reference.model.deep_speech2 import DeepSpeech2, Output
from edgespeech.reference.model.features import Features
from edgespeech.reference.model.layers import CLIP, CausalConvolution, Connected, Recurrent, RowConvolution
from edgespeech.runtime.bundle import MAX_CHUNK_SECONDS

DEFAULT_CHUNK_MS = 320.0


def chunk_samples(model: DeepSpeech2, chunk_ms: float | None) -> int:
    """Return the number of samples per chunk; None selects the whole output frames in `DEFAULT_CHUNK_MS`, at least one.

    Raises:
        UsageError: The chunk is not a positive multiple of an output frame, or longer than a bundle may have.
    """
    frame = model.config.frame_samples
    if chunk_ms is None:
        return max(1, int(DEFAULT_CHUNK_MS * model.config.features.sample_rate / 1000.0) // frame) * frame
    samples = chunk_ms * model.config.features.sample_rate / 1000.0
    if samples < frame or samples % frame:
        frame_ms = frame * 1000.0 / model.config.features.sample_rate
        raise UsageError(f"a chunk of {chunk_ms:g} ms was asked for; give a multiple of one frame, {frame_ms:g} ms")
    if chunk_ms > MAX_CHUNK_SECONDS * 1000.0:
        raise UsageError(f"a chunk of {chunk_ms:g} ms was asked for; give at most {MAX_CHUNK_SECONDS:g} s")
    return int(samples)


def build_graph(model: DeepSpeech2, form: Form, chunk: int) -> tuple[onnx.ModelProto, list[StateTensor]]:
    """Emit the checked graph of a model without batch norm (`fold_batch_norm`), and its states.

    The form ``cells`` accepts exactly ``chunk`` samples per step, the form ``fused`` any multiple of a frame.
    """
    if model.config.batch_norm:
        raise ValueError("fold the batch norm first")
    builder = GraphBuilder()
    edges = None if model.edges is None else EdgesGraph(builder, model.edges, None if form == "fused" else chunk)
    x = "samples"
    for name, stage in model.stages().items():
        if isinstance(stage, Features):
            x = emit_features(builder, name, stage, x, edges)
            if edges is not None:
                x = edges.zeros_outside(name, x, [1])
            if model.config.front_end == "2d":
                x = builder.add("Unsqueeze", [x, builder.integers(1)], name="one_channel")
        elif isinstance(stage, CausalConvolution):
            x = _convolution(builder, name, stage, x)
            if edges is not None and model.enters_window(name):
                x = edges.zeros_outside(name, x, [1] if model.config.front_end == "1d" else [1, 2])
        elif isinstance(stage, Recurrent):
            if name == "recurrent0":
                x = _recurrent_stack(builder, model, x, form, chunk, edges)
        elif isinstance(stage, RowConvolution):
            x = _lookahead(builder, name, stage, x)
        elif isinstance(stage, Connected):
            x = _connected(builder, name, stage, x)
        elif isinstance(stage, Output):
            x = _output(builder, stage, x)
            x = x if edges is None else edges.blank_outside(name, x, len(model.labels))
        else:
            raise TypeError(f"no graph for the stage {name}: {type(stage).__name__}")
    samples: int | str = "samples" if form == "fused" else chunk
    metadata = {"form": form, "frame_samples": str(model.config.frame_samples), "delay_frames": str(model.delay_frames)}
    graph = builder.model("edgespeech_acoustic", samples, len(model.labels), x, metadata)
    return graph, builder.states


def _convolution(builder: GraphBuilder, name: str, stage: CausalConvolution, x: str) -> str:
    config, convolution = stage.config, stage.convolution
    shape = tuple(stage.initial_state(1)["context"].shape[1:])
    x = builder.with_context(name, x, shape, len(shape))
    x = builder.without(x, 0, stage.alignment.shift, len(shape))
    attributes: dict[str, Any] = {"strides": [config.stride]}
    if stage.frequencies is not None:
        pad = config.frequency_pad
        attributes = {"strides": [config.frequency_stride, config.stride], "pads": [pad, 0, pad, 0]}
    assert convolution.bias is not None
    weight = builder.weight(f"{name}.weight", array(convolution.weight))
    bias = builder.weight(f"{name}.bias", array(convolution.bias))
    x = builder.add("Conv", [x, weight, bias], name=f"{name}.convolution", **attributes)
    if config.activation == "relu":
        return str(builder.add("Relu", [x], name=f"{name}.relu"))
    return _clipped_relu(builder, x, f"{name}.clipped")


def _clipped_relu(builder: GraphBuilder, x: str, name: str) -> str:
    bounds = [builder.weight("zero", np.array(0.0, np.float32)), builder.weight("clip", np.array(CLIP, np.float32))]
    return str(builder.add("Clip", [x, *bounds], name=name))


def _recurrent_stack(
    builder: GraphBuilder, model: DeepSpeech2, x: str, form: Form, chunk: int, edges: EdgesGraph | None
) -> str:
    """Emit all recurrent layers, from [batch, channels, (frequencies,) time] to [time, batch, hidden].

    Frames before the beginning of a recording must not change a state. An operator leaves out the last frames of a
    sequence but not the first, so it gets them in reverse order; cells have a mask.
    """
    frames, hidden = chunk // model.config.frame_samples, model.config.hidden
    x = _time_major(builder, model, x)
    lengths = begun = None
    if edges is not None:
        lengths, begun = (edges.lengths(), None) if form == "fused" else (None, edges.begun(frames))
    x = x if lengths is None else _reversed(builder, x)
    if form == "cells":
        x = builder.add("Flatten", [x], name="rows", axis=2)
    for number, stage in enumerate(model.recurrents):
        assert isinstance(stage, Recurrent)
        name = f"recurrent{number}"
        if form == "fused":
            x = fused_recurrent(builder, name, stage, x, lengths)
        else:
            x = cells_recurrent(builder, name, stage, x, frames, begun)
        if stage.layer_norm is not None:
            x = _layer_norm(builder, name, stage.layer_norm, x)
    if form == "cells":
        x = builder.add("Reshape", [x, builder.integers(frames, -1, hidden)], name="frames")
    x = x if lengths is None else _reversed(builder, x)
    if edges is not None and model.lookahead is not None:
        x = edges.zeros_outside(f"recurrent{model.config.layers - 1}", x, [2], time_major=True)
    return x


def _reversed(builder: GraphBuilder, x: str) -> str:
    bounds = (-1, np.iinfo(np.int64).min, 0, -1)
    return str(builder.add("Slice", [x, *(builder.integers(v) for v in bounds)], name="reversed"))


def _layer_norm(builder: GraphBuilder, name: str, norm: nn.LayerNorm, x: str) -> str:
    weights = [builder.weight(f"{name}.norm_{key}", array(getattr(norm, key))) for key in ("weight", "bias")]
    normal = builder.add("LayerNormalization", [x, *weights], name=f"{name}.normal", axis=-1, epsilon=norm.eps)
    return str(normal)


def _time_major(builder: GraphBuilder, model: DeepSpeech2, x: str) -> str:
    if model.config.front_end == "2d":
        last = model.config.convolutions[-1].channels * int(_height(model))
        x = builder.add("Reshape", [x, builder.integers(0, last, -1)], name="channels")
    return str(builder.add("Transpose", [x], name="time_major", perm=[2, 0, 1]))


def _height(model: DeepSpeech2) -> int:
    stage = model.convolutions[-1]
    assert isinstance(stage, CausalConvolution) and stage.out_frequencies is not None
    return stage.out_frequencies


def _lookahead(builder: GraphBuilder, name: str, stage: RowConvolution, x: str) -> str:
    width = stage.weight.shape[1]
    context = builder.state(f"{name}_context", (stage.lookahead_frames, width))
    past = builder.add("Transpose", [context], name=f"{name}.past", perm=[1, 0, 2])
    buffer = builder.add("Concat", [past, x], name=f"{name}_buffer", axis=0)
    newest = builder.last(buffer, stage.lookahead_frames, 0)
    builder.set_new_state(context, builder.add("Transpose", [newest], name=f"{name}.newest", perm=[1, 0, 2]))
    # onnxruntime's kernel for a 2-D depthwise convolution is three times as fast as the one for a 1-D convolution.
    height = builder.integers(2)
    channels = builder.add("Transpose", [buffer], name=f"{name}.channels", perm=[1, 2, 0])
    plane = builder.add("Unsqueeze", [channels, height], name=f"{name}.plane")
    weight = builder.weight(f"{name}.weight", array(stage.weight).T[:, None, None, :])
    y = builder.add("Conv", [plane, weight], name=f"{name}.convolution", group=width)
    y = _clipped_relu(builder, y, f"{name}.clipped")
    y = builder.add("Squeeze", [y, height], name=f"{name}.line")
    return str(builder.add("Transpose", [y], name=f"{name}.frames", perm=[2, 0, 1]))


def _connected(builder: GraphBuilder, name: str, stage: Connected, x: str) -> str:
    weight = builder.weight(f"{name}.weight", array(stage.weight).T)
    bias = builder.weight(f"{name}.bias", array(stage.bias))
    x = builder.add("Add", [builder.add("MatMul", [x, weight], name=f"{name}.product"), bias], name=f"{name}.sum")
    return str(builder.add("Relu", [x], name=f"{name}.relu"))


def _output(builder: GraphBuilder, stage: Output, x: str) -> str:
    weight = builder.weight("output.weight", array(stage.linear.weight).T)
    bias = builder.weight("output.bias", array(stage.linear.bias))
    x = builder.add("Add", [builder.add("MatMul", [x, weight], name="output.product"), bias], name="output.logits")
    x = builder.add("LogSoftmax", [x], name="output.log_softmax", axis=-1)
    return str(builder.add("Transpose", [x], name="batch_major", perm=[1, 0, 2]))
