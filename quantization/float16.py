"""Weights stored as float16: half the file, the same float32 arithmetic; or, for GPUs, float16 arithmetic too.

Each large weight becomes a float16 initializer and a Cast that onnxruntime folds away when it loads the graph. CPUs
compute recurrent layers in float32 only; so there this is about size, not speed.

Folded batch norm leaves means in the inputs that are large beside what moves: halving the weights shifts a product by
far more than it blurs it. Biases stay float32 and take up that shift.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgespeech.errors import VerificationError
from edgespeech.quantization.divergence import divergence, heard_log_probs
from edgespeech.quantization.graph.activation_ranges import Channels, observe, require_sound
from edgespeech.quantization.graph.float16_graph import compute_in_float16
from edgespeech.quantization.graph.float_graph import FEATURE_PREFIX, FloatGraph, require_float32
from edgespeech.runtime.bundle import ACOUSTIC, Bundle, FileEntry, Manifest, write_bundle

Floats = NDArray[np.float32]
SMALLEST_WEIGHT = 1024
# Nats per frame: as much as int8 costs, and far more than halves were seen to.
MOST_DIVERGENCE = 1e-3


def store_as_float16(graph: onnx.ModelProto, channels: Mapping[str, Channels] = {}) -> onnx.ModelProto:
    """A copy of the graph with its large float32 weights stored as float16.

    The feature front end stays as it is: its logarithm would see the rounding of the Fourier kernels.

    Args:
        graph: float32.
        channels: Of what products multiply (`FloatGraph.separated`); where they are known, biases are corrected.
    """
    result = onnx.ModelProto()
    result.CopyFrom(graph)
    biases = _corrected_biases(FloatGraph(graph), channels)
    casts = []
    for weight in result.graph.initializer:
        name, value = weight.name, numpy_helper.to_array(weight)
        if name in biases:
            weight.CopyFrom(numpy_helper.from_array(biases[name], name))
        elif _is_halved(name, value):
            weight.CopyFrom(numpy_helper.from_array(value.astype(np.float16), f"{name}.half"))
            casts.append(helper.make_node("Cast", [f"{name}.half"], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *result.graph.node]
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    onnx.checker.check_model(result)
    return result


def _is_halved(name: str, value: NDArray[np.generic]) -> bool:
    """Whether it is a large weight; a bias has one dimension, however many are written."""
    large = value.dtype == np.float32 and value.size >= SMALLEST_WEIGHT and sum(size > 1 for size in value.shape) > 1
    return large and not name.startswith(FEATURE_PREFIX)


def _corrected_biases(graph: FloatGraph, channels: Mapping[str, Channels]) -> dict[str, Floats]:
    """Biases by name, which have taken up what halving the weights of a product does to its mean."""

    def shift(name: str, tensor: str) -> Floats:
        """Of a matrix [inputs, outputs], or [1, outputs, inputs] of a recurrent operator."""
        value = graph.weights[name]
        if not _is_halved(name, value):
            return np.zeros(value.shape[1], np.float32)
        # What is beyond halves is infinite here; the comparison on speech refuses it.
        with np.errstate(invalid="ignore", over="ignore"):
            lost = value - value.astype(np.float16)
            return np.asarray(lost[0] @ channels[tensor].mean if lost.ndim == 3 else channels[tensor].mean @ lost)

    biases = {}
    for layer in graph.layers():
        node, seen = graph.nodes[layer.nodes[0]], graph.separated(layer)
        adding = node if layer.kind == "recurrent" else graph.bias(node)
        if adding is not None and seen and channels.keys() >= set(seen):
            name = adding.input[3 if layer.kind == "recurrent" else 1]
            shifts = [shift(*one) for one in zip(layer.weights, seen, strict=True)]
            biases[name] = (graph.weights[name] + np.concatenate(shifts)).astype(np.float32)
    return biases


def to_float16(
    bundle: Bundle,
    output: Path,
    speech: Sequence[Floats],
    report: Callable[[str], None] = print,
    measured: Mapping[str, Any] | None = None,
    compute: bool = False,
) -> Bundle:
    """Write a bundle with float16 weights and compare it with the float32 one on speech, on the CPU.

    Args:
        bundle: float32.
        output: The new bundle's folder.
        speech: Recordings at the bundle's rate.
        report: Takes lines for people.
        measured: Figures for the manifest, instead of those of the float32 bundle.
        compute: Whether the layers compute in float16 as well. A CPU without kernels for that rounds what goes into and
            comes out of each operator, and computes in float32 between.

    Raises:
        UsageError: The bundle is not float32; there is no speech.
        VerificationError: Log-probabilities are too far from float32; nothing is written.
    """
    require_float32(bundle)
    require_sound(speech)
    graph = onnx.load(str(bundle.acoustic_path))
    if compute:
        graph, kind = compute_in_float16(graph), "fp16 weights and compute"
    else:
        known = FloatGraph(graph)
        separated = [tensor for layer in known.layers() for tensor in known.separated(layer)]
        graph, kind = store_as_float16(graph, observe(bundle, graph, [], separated, speech)[1]), "fp16 weights"

    def describe(files: dict[str, FileEntry]) -> Manifest:
        facts = msgspec.structs.replace(bundle.manifest.graph, precision="fp16")
        figures = bundle.manifest.measured if measured is None else dict(measured)
        computes = {"computes_in": "fp16, features and log-softmax fp32"} if compute else {}
        return msgspec.structs.replace(bundle.manifest, graph=facts, files=files, measured={**figures, **computes})

    def check(candidate: Bundle) -> None:
        found = divergence(*(heard_log_probs(one, speech) for one in (bundle, candidate)))
        before, after = (one.manifest.files[ACOUSTIC].bytes / 1e6 for one in (bundle, candidate))
        report(f"{kind}: {ACOUSTIC} {before:.1f} -> {after:.1f} MB ({after / before:.2f})")
        report(f"  log-probs against fp32: {found}")
        if compute:
            report("  compared on the CPU, which rounds at each operator and computes in fp32 between; not on a GPU")
        if not found.kl <= MOST_DIVERGENCE:
            raise VerificationError(
                f"{kind} move log-probs by {found.kl:.3g} nats per frame, allowed is {MOST_DIVERGENCE:g}: "
                "no bundle was written; take int8, whose scales fit the weights"
            )

    files: dict[str, Path | bytes] = {name: bundle.folder / name for name in bundle.manifest.files}
    files[ACOUSTIC] = graph.SerializeToString()
    return write_bundle(output, files, describe, check)
