"""Choose a range for every quantized activation by the method that loses least on held-out speech."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.quantization.divergence import divergence, stream_log_probs
from edgespeech.quantization.graph.activation_ranges import BOUNDED_BY_ONE, METHODS, Channels, Method, Range, observe
from edgespeech.quantization.graph.float_graph import FloatGraph
from edgespeech.quantization.graph.integer_graph import IntegerRewriter
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.measure.progress import Progress

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]
Choice = Literal["auto", "minmax", "percentile", "entropy", "error"]
HELD_OUT_EVERY = 4


@dataclass(frozen=True)
class RangeCalibration:
    """Activation ranges, and how they were chosen."""

    method: Method
    ranges: dict[str, Range]  # by tensor of the float32 graph
    channels: dict[str, Channels]  # of each matrix's input
    divergences: dict[Method, float]  # from float32 on held-out speech, nats per frame, of each method tried


def split_speech(speech: Sequence[Floats]) -> tuple[list[Floats], list[Floats]]:
    """Split recordings into those to fit ranges to and those held out: every fourth; a single one serves as both."""
    if len(speech) < 2:
        return list(speech), list(speech)
    held_out = range(1, len(speech), HELD_OUT_EVERY)
    return [speech[i] for i in range(len(speech)) if i not in held_out], [speech[i] for i in held_out]


def calibrate_ranges(
    bundle: Bundle, graph: FloatGraph, speech: Sequence[Floats], choice: str = "auto"
) -> RangeCalibration:
    """Choose activation ranges on speech; ``auto`` takes the method that diverges least on held-out recordings.

    Raises:
        UsageError: The method is unknown, or the speech is empty or silent.
    """
    if choice not in get_args(Choice):
        raise UsageError(f"calibration {choice!r} is unknown; wanted one of {', '.join(get_args(Choice))}")
    fitted, held_out = split_speech(speech)
    groups = graph.range_groups()
    calibrated = [group for group in groups if not group.bounded]
    bounded = {tensor: BOUNDED_BY_ONE for group in groups if group.bounded for tensor in group.tensors}
    per_channel = [tensor for layer in graph.layers() if layer.quantizable for tensor in graph.channel_tensors(layer)]
    with Progress("calibrating", len(fitted) + len(METHODS) * (choice == "auto")) as progress:
        histograms, channels = observe(bundle, graph.model, calibrated, per_channel, fitted, progress.advance)

        def ranges(method: Method) -> dict[str, Range]:
            chosen = {}
            for group, histogram in zip(calibrated, histograms, strict=True):
                chosen.update(dict.fromkeys(group.tensors, histogram.range(method)))
            return {**bounded, **chosen}

        if choice != "auto":
            method = cast(Method, choice)
            return RangeCalibration(method, ranges(method), channels, {})
        reference = stream_log_probs(bundle, graph.model, held_out)
        all_layers = [layer.name for layer in graph.layers() if layer.quantizable]
        divergences: dict[Method, float] = {}
        for method in METHODS:
            model = IntegerRewriter(graph, ranges(method), channels).rewrite(all_layers)
            divergences[method] = divergence(reference, stream_log_probs(bundle, model, held_out)).kl
            progress.advance()
    best = min(METHODS, key=lambda method: divergences[method])
    tried = ", ".join(f"{method} {kl:.2e}" for method, kl in divergences.items())
    where = "the same" if len(speech) < 2 else f"{len(held_out)} held-out"
    log.info("calibration: %s (KL from fp32 on %s recording(s), nats per frame: %s)", best, where, tried)
    return RangeCalibration(best, ranges(best), channels, divergences)
