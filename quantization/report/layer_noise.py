"""Measure the signal-to-quantization-noise ratio of each layer's output on speech, with noise from the layers below."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgespeech.quantization.divergence import decibels
from edgespeech.quantization.graph.activation_ranges import stream_tensors
from edgespeech.quantization.graph.float_graph import FloatGraph
from edgespeech.runtime.bundle import Bundle

Floats = NDArray[np.float32]


def measure_layer_noise(
    bundle: Bundle, graph: FloatGraph, final: onnx.ModelProto, speech: Iterable[Floats]
) -> dict[str, float]:
    """Stream recordings through a graph and its quantized version, and return decibels by name of the weight."""
    compared = {layer.name: common_tensors(graph, final, layer.nodes) for layer in graph.layers()}
    tensors = [tensor for found in compared.values() for tensor in found]
    signal: dict[str, float] = dict.fromkeys(compared, 0.0)
    noise = dict(signal)
    recordings = list(speech)
    streams: Any = (stream_tensors(bundle, model, tensors, recordings) for model in (graph.model, final))
    for exact, rounded in zip(*streams, strict=True):
        for name, found in compared.items():
            for tensor in found:
                value = exact[tensor].astype(np.float64)
                signal[name] += float(np.square(value).sum())
                noise[name] += float(np.square(value - rounded[tensor]).sum())
    return {
        weight: decibels(signal[layer.name], noise[layer.name])
        for layer in graph.layers()
        if compared[layer.name]
        for weight in layer.weights
    }


def common_tensors(graph: FloatGraph, final: onnx.ModelProto, indices: Iterable[int]) -> list[str]:
    """Return for each product the first tensor after it that both graphs have; operators may have been merged.

    The search begins after the bias, which may have absorbed a part of the product.
    """
    known = {name for node in final.graph.node for name in node.output}
    found = []
    for index in indices:
        tensor = (graph.bias(graph.nodes[index]) or graph.nodes[index]).output[0]
        while tensor not in known and (following := graph.consumers(tensor)):
            tensor = following[0].output[0]
        if tensor in known:
            found.append(tensor)
    return found
