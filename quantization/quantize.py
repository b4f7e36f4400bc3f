"""A float32 bundle becomes a smaller one: calibrate, rewrite the graph, compare, write."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from edgespeech.errors import UsageError, VerificationError
from edgespeech.quantization.calibration import calibrate_ranges, split_speech
from edgespeech.quantization.divergence import Divergence, divergence, heard_log_probs, stream_log_probs
from edgespeech.quantization.float16 import to_float16
from edgespeech.quantization.graph.activation_ranges import require_sound
from edgespeech.quantization.graph.float_graph import FloatGraph, Layer
from edgespeech.quantization.graph.integer_graph import IntegerRewriter
from edgespeech.runtime.bundle import ACOUSTIC, Bundle, FileEntry, Manifest, write_bundle

Floats = NDArray[np.float32]
Report = Callable[[str], None]
IntegerPrecision = Literal["int8", "int4"]
Precision = Literal["fp16", "int8", "int4"]
LayerPrecision = Literal["fp32", "int8", "int4"]

# Nats per frame: int8 lies around a thousandth, and a model that has lost this much says something else.
MOST_DIVERGENCE = 0.5


class Quantizer:
    """One float32 bundle, calibrated once, from which any number of integer graphs are made.

    Args:
        bundle: float32, in ``cells`` form or with LSTMs.
        speech: Recordings at the bundle's rate; a quarter is held out to judge on.
        calibration: A method or ``auto``, see `calibrate_ranges`.
        report: Takes lines for people.

    Raises:
        UsageError: The bundle, the method or the speech does not do.
    """

    def __init__(self, bundle: Bundle, speech: Sequence[Floats], calibration: str = "auto", report: Report = print):
        """Observe and choose ranges."""
        self.bundle = bundle
        self.graph = FloatGraph.of(bundle)
        require_sound(speech)
        self.calibration = calibrate_ranges(bundle, self.graph, speech, calibration, report)
        self.speech, self.held_out = split_speech(speech)
        self._reference = stream_log_probs(bundle, self.graph.model, self.held_out)

    @property
    def layers(self) -> list[Layer]:
        """Those that can be integers, in the order of the graph."""
        return [layer for layer in self.graph.layers() if layer.quantizable]

    def plan(self, precision: IntegerPrecision, keep: Collection[str] = ()) -> dict[str, LayerPrecision]:
        """The precision of each layer's weight.

        int4 is for the recurrent layers' matrices; convolutions are int8 then. What is kept has the next higher
        precision.

        Raises:
            UsageError: A weight to keep is none of them.
        """
        names = [layer.name for layer in self.layers]
        if unknown := sorted(set(keep) - set(names)):
            raise UsageError(f"weight {unknown[0]!r} is not in the graph; wanted some of {', '.join(names)}")
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
        """The graph with integer weights as planned."""

        def named(precision: LayerPrecision) -> list[str]:
            return [weight for weight, planned in plan.items() if planned == precision]

        calibration = self.calibration
        return IntegerRewriter(self.graph, calibration.ranges, calibration.channels).rewrite(
            named("int8"), named("int4")
        )

    def divergence(self, model: onnx.ModelProto) -> Divergence:
        """Distance of a graph from float32 on the held-out speech."""
        return divergence(self._reference, stream_log_probs(self.bundle, model, self.held_out))

    def write(
        self,
        output: Path,
        precision: IntegerPrecision,
        model: onnx.ModelProto,
        measured: Mapping[str, Any] = {},
        report: Report = print,
    ) -> Bundle:
        """Write a bundle with a graph of `rewrite`, after hearing the held-out speech with it.

        Args:
            output: The new bundle's folder.
            precision: For the manifest.
            model: The graph.
            measured: More figures for the manifest.
            report: Takes lines for people.

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
            found = divergence(self._reference, heard_log_probs(candidate, self.held_out))
            before, after = (one.manifest.files[ACOUSTIC].bytes / 1e6 for one in (self.bundle, candidate))
            report(f"{precision}: {ACOUSTIC} {before:.2f} -> {after:.2f} MB ({after / before:.2f})")
            report(f"  log-probs against fp32: {found}")
            if not found.kl <= MOST_DIVERGENCE:
                raise VerificationError(
                    f"{precision} moves log-probs by {found.kl:.3g} nats per frame, allowed is {MOST_DIVERGENCE:g}: "
                    "no bundle was written; keep more in higher precision or give better speech"
                )

        files: dict[str, Path | bytes] = {name: self.bundle.folder / name for name in self.bundle.manifest.files}
        files[ACOUSTIC] = model.SerializeToString()
        return write_bundle(output, files, describe, check)


def require_precision(precision: str) -> None:
    """Compare a name with the precisions there are.

    Raises:
        UsageError: It is none of them.
    """
    if precision not in get_args(Precision):
        raise UsageError(f"precision {precision!r} is unknown; wanted one of {', '.join(get_args(Precision))}")


def require_form(bundle: Bundle, precision: str) -> None:
    """Look whether a bundle is in a form that has this precision.

    Raises:
        UsageError: int4 is for unrolled cells.
    """
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
    report: Report = print,
) -> Bundle:
    """Write a smaller bundle, compared with the float32 one on speech.

    Args:
        bundle: float32; for integers in ``cells`` form, or (int8) with LSTMs.
        output: The new bundle's folder.
        precision: ``fp16``, ``int8`` or ``int4``.
        speech: Recordings at the bundle's rate; text is not needed.
        calibration: ``minmax``, ``percentile``, ``entropy``, ``error``, or ``auto`` for the best of them.
        keep: Names of weights that stay in the next higher precision.
        fp16_compute: With ``fp16``, compute in it as well.
        report: Takes lines for people.

    Raises:
        UsageError: Bundle, precision, method, weights or speech do not do.
        VerificationError: The result differs too much from float32; nothing is written.
    """
    require_precision(precision)
    if precision == "fp16":
        if keep:
            raise UsageError("fp16 keeps no weights in higher precision; leave them out or choose int8")
        return to_float16(bundle, output, speech, report, compute=fp16_compute)
    require_form(bundle, precision)
    quantizer = Quantizer(bundle, speech, calibration, report)
    return quantizer.write(output, precision, quantizer.rewrite(quantizer.plan(precision, keep)), report=report)
