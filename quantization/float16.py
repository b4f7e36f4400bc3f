"""Store weights as float16: half the file with the same float32 arithmetic, or, for GPUs, float16 arithmetic too.

Each large weight becomes a float16 initializer and a Cast that onnxruntime folds when it loads the graph. On CPUs,
which compute recurrent layers in float32 only, this saves space, not time. Folding the batch norm leaves inputs with
large means, so rounding shifts the mean of a product far more than it adds noise; the float32 biases absorb the shift.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgespeech.errors import VerificationError
from edgespeech.quantization.divergence import divergence, runtime_log_probs
from edgespeech.quantization.graph.activation_ranges import Channels, observe, require_sound
from edgespeech.quantization.graph.float16_graph import compute_in_float16
from edgespeech.quantization.graph.float_graph import FEATURE_PREFIX, FloatGraph, require_float32
from edgespeech.runtime.bundle import ACOUSTIC, Bundle, FileEntry, Manifest, write_bundle

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]
MIN_WEIGHT_SIZE = 1024
# Nats per frame: as much as int8 loses, and far more than float16 was ever measured to lose.
MAX_DIVERGENCE = 1e-3


def store_as_float16(graph: onnx.ModelProto, channels: Mapping[str, Channels] = {}) -> onnx.ModelProto:
    """Return a copy of the graph with its large float32 weights, except those of the features, stored as float16.

    The logarithm of the features would amplify rounding. Biases are corrected where ``channels`` has the inputs of
    their products (`FloatGraph.channel_tensors`).
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
    # A bias may be written with several dimensions, of which all but one have size 1.
    large = value.dtype == np.float32 and value.size >= MIN_WEIGHT_SIZE and sum(size > 1 for size in value.shape) > 1
    return large and not name.startswith(FEATURE_PREFIX)


def _corrected_biases(graph: FloatGraph, channels: Mapping[str, Channels]) -> dict[str, Floats]:
    def shift(name: str, tensor: str) -> Floats:
        value = graph.weights[name]  # [inputs, outputs], or [1, outputs, inputs] of a recurrent operator
        if not _is_halved(name, value):
            return np.zeros(value.shape[1], np.float32)
        # Weights beyond the range of float16 become infinite here; `to_float16` refuses them.
        with np.errstate(invalid="ignore", over="ignore"):
            lost = value - value.astype(np.float16)
            return np.asarray(lost[0] @ channels[tensor].mean if lost.ndim == 3 else channels[tensor].mean @ lost)

    biases = {}
    for layer in graph.layers():
        node, inputs = graph.nodes[layer.nodes[0]], graph.channel_tensors(layer)
        adding = node if layer.kind == "recurrent" else graph.bias(node)
        if adding is not None and inputs and channels.keys() >= set(inputs):
            name = adding.input[3 if layer.kind == "recurrent" else 1]
            shifts = [shift(*pair) for pair in zip(layer.weights, inputs, strict=True)]
            biases[name] = (graph.weights[name] + np.concatenate(shifts)).astype(np.float32)
    return biases


def _require_range(graph: onnx.ModelProto) -> None:
    lost = [one.name for one in graph.graph.initializer if not np.isfinite(numpy_helper.to_array(one)).all()]
    if lost:
        raise VerificationError(
            f"{len(lost)} weights, such as {lost[0]}, have values beyond the range of float16: no bundle was written; "
            "choose int8, whose scales fit the weights"
        )


def to_float16(
    bundle: Bundle,
    output: Path,
    speech: Sequence[Floats],
    measured: Mapping[str, Any] | None = None,
    compute: bool = False,
    level: int = logging.INFO,
) -> Bundle:
    """Write a bundle with float16 weights and compare it with the float32 one on speech, on the CPU.

    The figures in ``measured`` replace those of the float32 bundle; the comparison is logged at ``level``. With
    ``compute`` the layers compute in float16 as well; a CPU without such kernels rounds the inputs and outputs of each
    operator and computes in float32.

    Raises:
        UsageError: The bundle is not float32, or the speech is empty or silent.
        VerificationError: Weights are beyond the range of float16, or log-probabilities too far from float32; nothing
            is written.
    """
    require_float32(bundle)
    require_sound(speech)
    graph = onnx.load(str(bundle.acoustic_path))
    if compute:
        graph, kind = compute_in_float16(graph), "fp16 weights and compute"
    else:
        parsed = FloatGraph(graph)
        per_channel = [tensor for layer in parsed.layers() for tensor in parsed.channel_tensors(layer)]
        graph, kind = store_as_float16(graph, observe(bundle, graph, [], per_channel, speech)[1]), "fp16 weights"

    _require_range(graph)

    def describe(files: dict[str, FileEntry]) -> Manifest:
        facts = msgspec.structs.replace(bundle.manifest.graph, precision="fp16")
        figures = bundle.manifest.measured if measured is None else dict(measured)
        computes = {"computes_in": "fp16, features and log-softmax fp32"} if compute else {}
        return msgspec.structs.replace(bundle.manifest, graph=facts, files=files, measured={**figures, **computes})

    def check(candidate: Bundle) -> None:
        found = divergence(*(runtime_log_probs(one, speech) for one in (bundle, candidate)))
        before, after = (one.manifest.files[ACOUSTIC].bytes / 1e6 for one in (bundle, candidate))
        log.log(level, "%s: %s %.1f -> %.1f MB (%.2f)", kind, ACOUSTIC, before, after, after / before)
        log.log(level, "  log-probs against fp32: %s", found)
        if compute:
            log.log(level, "  compared on the CPU, which rounds at each operator and computes in fp32; not on a GPU")
        if not found.kl <= MAX_DIVERGENCE:
            raise VerificationError(
                f"{kind} move log-probs by {found.kl:.3g} nats per frame, allowed is {MAX_DIVERGENCE:g}: "
                "no bundle was written; choose int8, whose scales fit the weights"
            )

    return write_bundle(output, {**bundle.paths, ACOUSTIC: graph.SerializeToString()}, describe, check)
