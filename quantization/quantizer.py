"""Turn a float32 bundle into a smaller one: calibrate, rewrite the graph, compare, write."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from edgespeech.errors import UsageError, VerificationError
from edgespeech.quantization.divergence import Divergence, divergence, runtime_log_probs, stream_log_probs
from edgespeech.quantization.float16 import to_float16
from edgespeech.quantization.graph.activation_ranges import require_sound
from edgespeech.quantization.graph.float_graph import FloatGraph, Layer
from edgespeech.quantization.graph.integer_graph import IntegerRewriter
from edgespeech.quantization.range_calibration import calibrate_ranges, split_speech
from edgespeech.quantization.requests import Precision
from edgespeech.runtime.bundle import ACOUSTIC, Bundle, FileEntry, Manifest, write_bundle

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]
IntegerPrecision = Literal["int8", "int4"]
LayerPrecision = Literal["fp32", "int8", "int4"]

# Nats per frame: int8 lies around a thousandth, and a model that has lost this much recognises something else.
MAX_DIVERGENCE = 0.5


class Quantizer:
    """Makes any number of integer graphs from one float32 bundle, which it calibrates once on speech.

    A quarter of the recordings is held out for comparisons; ``calibration`` is a choice of `calibrate_ranges`.

    Raises:
        UsageError: The bundle cannot be quantized, the method is unknown, or the speech is empty or silent.
    """

    def __init__(self, bundle: Bundle, speech: Sequence[Floats], calibration: str = "auto") -> None:
        self.bundle = bundle
        self.graph = FloatGraph.of(bundle)
        require_sound(speech)
        self.calibration = calibrate_ranges(bundle, self.graph, speech, calibration)
        self.speech, self.held_out = split_speech(speech)
        self._reference = stream_log_probs(bundle, self.graph.model, self.held_out)

    @property
    def layers(self) -> list[Layer]:
        """Layers that can become integers, in the order of the graph."""
        return [layer for layer in self.graph.layers() if layer.quantizable]

    def plan(self, precision: IntegerPrecision, keep: Collection[str] = ()) -> dict[str, LayerPrecision]:
        """Return the precision of each layer by name; layers to keep have the next higher precision.

        Only the recurrent layers' matrices become int4; convolutions are int8 then.

        Raises:
            UsageError: A weight to keep is not in the graph, or the bundle's form has no such precision.
        """
        require_weights(self.graph, keep)
        require_form(self.bundle, precision)
        plan: dict[str, LayerPrecision] = {}
        for layer in self.layers:
            blocks = precision == "int4" and layer.kind == "matrix"
            if layer.name in keep:
                plan[layer.name] = "int8" if blocks else "fp32"
            else:
                plan[layer.name] = "int4" if blocks else "int8"
        return plan

    def rewrite(self, plan: Mapping[str, LayerPrecision]) -> onnx.ModelProto:
        """Build the graph with integer weights as planned."""

        def named(precision: LayerPrecision) -> list[str]:
            return [weight for weight, planned in plan.items() if planned == precision]

        calibration = self.calibration
        return IntegerRewriter(self.graph, calibration.ranges, calibration.channels).rewrite(
            named("int8"), named("int4")
        )

    def divergence(self, model: onnx.ModelProto) -> Divergence:
        """Measure the distance of a graph from float32 on the held-out speech."""
        return divergence(self._reference, stream_log_probs(self.bundle, model, self.held_out))

    def write(
        self,
        output: Path,
        precision: IntegerPrecision,
        model: onnx.ModelProto,
        measured: Mapping[str, Any] = {},
        level: int = logging.INFO,
    ) -> Bundle:
        """Write a bundle with a graph of `rewrite`, and compare it with float32 on the held-out speech.

        The figures of the comparison are logged at ``level``, and go into the manifest beside those in ``measured``.

        Raises:
            UsageError: The folder cannot be written.
            VerificationError: The log-probabilities are too far from float32; nothing is written.
        """
        expected = self.divergence(model)
        figures = {
            "calibration": self.calibration.method,
            "kl_from_fp32": expected.kl,
            "sqnr_db": expected.sqnr_db,
            "same_best_label": expected.agreement,
            **measured,
        }

        def describe(files: dict[str, FileEntry]) -> Manifest:
            facts = msgspec.structs.replace(self.bundle.manifest.graph, precision=precision)
            return msgspec.structs.replace(self.bundle.manifest, graph=facts, files=files, measured=figures)

        def check(candidate: Bundle) -> None:
            found = divergence(self._reference, runtime_log_probs(candidate, self.held_out))
            before, after = (one.manifest.files[ACOUSTIC].bytes / 1e6 for one in (self.bundle, candidate))
            log.log(level, "%s: %s %.2f -> %.2f MB (%.2f)", precision, ACOUSTIC, before, after, after / before)
            log.log(level, "  log-probs against fp32: %s", found)
            if not found.kl <= MAX_DIVERGENCE:
                raise VerificationError(
                    f"{precision} moves log-probs by {found.kl:.3g} nats per frame, allowed is {MAX_DIVERGENCE:g}: "
                    "no bundle was written; keep more in higher precision or give better speech"
                )

        return write_bundle(output, {**self.bundle.paths, ACOUSTIC: model.SerializeToString()}, describe, check)


def require_precision(precision: str) -> None:
    """Raise UsageError if a precision is unknown."""
    if precision not in get_args(Precision):
        raise UsageError(f"precision {precision!r} is unknown; wanted one of {', '.join(get_args(Precision))}")


def require_weights(graph: FloatGraph, names: Collection[str]) -> None:
    """Raise UsageError if one of the names is not that of a weight which can become integers."""
    known = [layer.name for layer in graph.layers() if layer.quantizable]
    if unknown := sorted(set(names) - set(known)):
        raise UsageError(f"weight {unknown[0]!r} is not in the graph; wanted some of {', '.join(known)}")


def require_form(bundle: Bundle, precision: str) -> None:
    """Raise UsageError if a bundle is not in a form that has this precision: int4 needs cells."""
    form = bundle.manifest.graph.form
    if precision == "int4" and form != "cells":
        raise UsageError(f"{bundle.folder} has form {form!r}, whose LSTM has no int4; export it with --form cells")


def quantize(
    bundle: Bundle,
    output: Path,
    precision: Precision,
    speech: Sequence[Floats],
    *,
    calibration: str = "auto",
    keep: Collection[str] = (),
    fp16_compute: bool = False,
) -> Bundle:
    """Write a smaller bundle, compared with the float32 one on recordings; the options are those of `QuantizeRequest`.

    Raises:
        UsageError: The bundle, an option or the speech is invalid.
        VerificationError: The result differs too much from float32; nothing is written.
    """
    require_precision(precision)
    if precision == "fp16":
        if keep:
            raise UsageError("fp16 keeps no weights in higher precision; leave them out or choose int8")
        return to_float16(bundle, output, speech, compute=fp16_compute)
    require_form(bundle, precision)
    quantizer = Quantizer(bundle, speech, calibration)
    return quantizer.write(output, precision, quantizer.rewrite(quantizer.plan(precision, keep)))
