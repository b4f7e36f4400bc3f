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
from numpy.typing import NDArray
from torch import Tensor

from edgespeech.errors import UsageError
from edgespeech.export.builder import GraphBuilder, StateTensor
from edgespeech.export.recurrent_graph import cells_recurrent, fused_recurrent
from edgespeech.export.request import Form
from edgespeech.reference.model.deep_speech2 import DeepSpeech2, Output
from edgespeech.reference.model.features import Features
from edgespeech.reference.model.layers import CLIP, CausalConvolution, Recurrent, RowConvolution
from edgespeech.runtime.bundle import MAX_CHUNK_SECONDS

DEFAULT_CHUNK_MS = 320.0


def array(tensor: Tensor) -> NDArray[np.float32]:
    """Convert a torch tensor to a float32 array."""
    return np.asarray(tensor.detach().cpu().numpy(), np.float32)


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
    frames = chunk // model.config.frame_samples
    x = "samples"
    for name, stage in model.stages().items():
        if isinstance(stage, Features):
            x = _features(builder, name, stage, x)
            if model.config.front_end == "2d":
                x = builder.add("Unsqueeze", [x, builder.integers(1)], name="one_channel")
        elif isinstance(stage, CausalConvolution):
            x = _convolution(builder, name, stage, x)
        elif isinstance(stage, Recurrent):
            if name == "recurrent0":
                x = _time_major(builder, model, x)
            if form == "fused":
                x = fused_recurrent(builder, name, stage, x)
            else:
                if name == "recurrent0":
                    x = builder.add("Flatten", [x], name="rows", axis=2)
                x = cells_recurrent(builder, name, stage, x, frames)
                if name == f"recurrent{model.config.layers - 1}":
                    x = builder.add("Reshape", [x, builder.integers(frames, -1, stage.hidden)], name="frames")
        elif isinstance(stage, RowConvolution):
            x = _lookahead(builder, name, stage, x)
        elif isinstance(stage, Output):
            x = _output(builder, stage, x)
        else:
            raise TypeError(f"no graph for the stage {name}: {type(stage).__name__}")
    samples: int | str = "samples" if form == "fused" else chunk
    metadata = {"form": form, "frame_samples": str(model.config.frame_samples), "delay_frames": str(model.delay_frames)}
    graph = builder.model("edgespeech_acoustic", samples, len(model.labels), x, metadata)
    return graph, builder.states


def _last(builder: GraphBuilder, x: str, length: int, axis: int) -> str:
    bounds = (-length, np.iinfo(np.int64).max, axis)
    return str(builder.add("Slice", [x, *(builder.integers(v) for v in bounds)], name="last"))


def _with_context(builder: GraphBuilder, name: str, x: str, shape: tuple[int, ...], axis: int) -> str:
    """Prepend the context of earlier steps to x along an axis; its end becomes the context of the next step."""
    length = shape[axis - 1]
    if length == 0:
        return x
    context = builder.state(f"{name}_context", shape)
    buffer = str(builder.add("Concat", [context, x], name=f"{name}_buffer", axis=axis))
    builder.set_new_state(context, _last(builder, buffer, length, axis))
    return buffer


def _features(builder: GraphBuilder, name: str, stage: Features, samples: str) -> str:
    config = stage.config
    framed = _with_context(builder, name, samples, (config.window_samples - config.hop_samples,), 1)
    framed = builder.add("Unsqueeze", [framed, builder.integers(1)], name="framed")
    kernels = builder.weight(f"{name}.fourier", array(stage.kernels))
    spectrum = builder.add("Conv", [framed, kernels], name=f"{name}.fourier_transform", strides=[config.hop_samples])
    squares = builder.add("Mul", [spectrum, spectrum], name=f"{name}.squares")
    # Both halves have the same filters, so the product adds real and imaginary squares.
    filters = builder.weight(f"{name}.filters", np.concatenate([array(stage.filters)] * 2, axis=1))
    power = builder.add("MatMul", [filters, squares], name=f"{name}.power")
    floor = builder.weight(f"{name}.floor", np.array(config.floor, np.float32))
    log_power = builder.add("Log", [builder.add("Add", [power, floor], name=f"{name}.floored")], name=f"{name}.log")
    mean = builder.weight(f"{name}.mean", array(stage.mean)[:, None])
    inverse = builder.weight(f"{name}.inverse_deviation", array(stage.inverse_deviation)[:, None])
    centred = builder.add("Sub", [log_power, mean], name=f"{name}.centred")
    return str(builder.add("Mul", [centred, inverse], name=f"{name}.normal"))


def _convolution(builder: GraphBuilder, name: str, stage: CausalConvolution, x: str) -> str:
    config, convolution = stage.config, stage.convolution
    shape = tuple(stage.initial_state(1)["context"].shape[1:])
    x = _with_context(builder, name, x, shape, len(shape))
    attributes: dict[str, Any] = {"strides": [config.stride]}
    if stage.frequencies is not None:
        pad = config.frequency_kernel // 2
        attributes = {"strides": [config.frequency_stride, config.stride], "pads": [pad, 0, pad, 0]}
    assert convolution.bias is not None
    weight = builder.weight(f"{name}.weight", array(convolution.weight))
    bias = builder.weight(f"{name}.bias", array(convolution.bias))
    x = builder.add("Conv", [x, weight, bias], name=f"{name}.convolution", **attributes)
    return _clipped_relu(builder, x, f"{name}.clipped")


def _clipped_relu(builder: GraphBuilder, x: str, name: str) -> str:
    bounds = [builder.weight("zero", np.array(0.0, np.float32)), builder.weight("clip", np.array(CLIP, np.float32))]
    return str(builder.add("Clip", [x, *bounds], name=name))


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
    newest = _last(builder, buffer, stage.lookahead_frames, 0)
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


def _output(builder: GraphBuilder, stage: Output, x: str) -> str:
    weight = builder.weight("output.weight", array(stage.linear.weight).T)
    bias = builder.weight("output.bias", array(stage.linear.bias))
    x = builder.add("Add", [builder.add("MatMul", [x, weight], name="output.product"), bias], name="output.logits")
    x = builder.add("LogSoftmax", [x], name="output.log_softmax", axis=-1)
    return str(builder.add("Transpose", [x], name="batch_major", perm=[1, 0, 2]))
