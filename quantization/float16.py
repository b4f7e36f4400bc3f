"""Weights stored as float16: half the file, the same float32 arithmetic.

Each large weight becomes a float16 initializer and a Cast that onnxruntime folds away when it loads the graph. CPUs
compute recurrent layers in float32 only; so this is about size, not speed.
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

from edgespeech.errors import UsageError, VerificationError
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import ACOUSTIC, Bundle, FileEntry, Manifest, write_bundle

Floats = NDArray[np.float32]
SMALLEST_WEIGHT = 1024
FEATURE_PREFIX = "features."
TOLERANCE = 0.1


def store_as_float16(graph: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    """A copy of the graph with its large float32 weights stored as float16.

    The feature front end stays as it is: its logarithm would see the rounding of the Fourier kernels.

    Returns:
        The graph, and how many bytes of weights were stored in half.
    """
    result = onnx.ModelProto()
    result.CopyFrom(graph)
    casts, halved = [], 0
    for weight in result.graph.initializer:
        value = numpy_helper.to_array(weight)
        if value.dtype != np.float32 or value.size < SMALLEST_WEIGHT or weight.name.startswith(FEATURE_PREFIX):
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(value.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
        halved += value.nbytes
    nodes = [*casts, *result.graph.node]
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    onnx.checker.check_model(result)
    return result, halved


def to_float16(
    bundle: Bundle,
    output: Path,
    speech: Sequence[Floats],
    report: Callable[[str], None] = print,
    measured: Mapping[str, Any] | None = None,
) -> Bundle:
    """Write a bundle with float16 weights and compare it with the float32 one on speech.

    Args:
        bundle: float32.
        output: The new bundle's folder.
        speech: Recordings at the bundle's rate.
        report: Takes lines for people.
        measured: Figures for the manifest, instead of those of the float32 bundle.

    Raises:
        UsageError: The bundle is not float32.
        VerificationError: There is no speech, or log-probabilities differ by more than `TOLERANCE`; nothing is written.
    """
    if bundle.manifest.graph.precision != "fp32":
        raise UsageError(f"{bundle.folder} is {bundle.manifest.graph.precision} already; give the fp32 bundle")
    graph, halved = store_as_float16(onnx.load(str(bundle.acoustic_path)))

    def describe(files: dict[str, FileEntry]) -> Manifest:
        facts = msgspec.structs.replace(bundle.manifest.graph, precision="fp16")
        figures = bundle.manifest.measured if measured is None else dict(measured)
        return msgspec.structs.replace(bundle.manifest, graph=facts, files=files, measured=figures)

    def check(candidate: Bundle) -> None:
        if not any(len(samples) for samples in speech):
            raise VerificationError("there is no speech to compare on; give --speech a manifest of recordings")
        worst, mean = difference(bundle, candidate, speech)
        before, after = (one.manifest.files[ACOUSTIC].bytes / 1e6 for one in (bundle, candidate))
        report(f"fp16 weights: {halved / 1e6:.1f} MB stored in half; {ACOUSTIC} {before:.1f} -> {after:.1f} MB")
        report(f"  |difference| of log-probs from fp32: largest {worst:.2e}, mean {mean:.2e}, allowed {TOLERANCE:.0e}")
        if not worst <= TOLERANCE:
            raise VerificationError(
                f"fp16 weights change log-probs by {worst:.2e}, allowed is {TOLERANCE:.0e}: no bundle was written"
            )

    files: dict[str, Path | bytes] = {name: bundle.folder / name for name in bundle.manifest.files}
    files[ACOUSTIC] = graph.SerializeToString()
    return write_bundle(output, files, describe, check)


def difference(one: Bundle, other: Bundle, speech: Sequence[Floats]) -> tuple[float, float]:
    """Largest and mean |difference| of log-probabilities of two bundles on recordings; NaN if either gives NaN."""
    models = AcousticModel(one), AcousticModel(other)
    size = models[0].audio.chunk_samples
    worst, total, count = 0.0, 0.0, 0
    for samples in speech:
        ours, theirs = (model.stream(samples[None], size) for model in models)
        gap = np.abs(ours - theirs)
        worst, total, count = float(np.maximum(worst, gap.max(initial=0.0))), total + float(gap.sum()), count + gap.size
    return worst, total / max(1, count)
