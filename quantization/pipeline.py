"""`quantize`: brings together a bundle, calibration speech, a manifest to count word errors on, and the report."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.quantization.budget import keep_within_budget
from edgespeech.quantization.error_rates import Budget, ErrorRates, Evaluate
from edgespeech.quantization.float16 import to_float16
from edgespeech.quantization.graph.float_graph import FloatGraph, require_float32
from edgespeech.quantization.quantize import Precision, Quantizer, require_form
from edgespeech.quantization.report.picture import draw_report, require_matplotlib
from edgespeech.quantization.report.report import measure_report, save_report
from edgespeech.quantization.report.table import render_report, render_sensitivity
from edgespeech.quantization.sensitivity import measure_sensitivity
from edgespeech.runtime.bundle import ACOUSTIC, Bundle, load_bundle
from edgespeech.runtime.files import require_writable
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest, read_samples
from edgespeech.runtime.measure.evaluation import evaluate_manifest
from edgespeech.runtime.measure.tables import find_marks, insert_between_marks
from edgespeech.runtime.recognizer import Recognizer

Floats = NDArray[np.float32]
Say = Callable[[str], None]

MOST_SECONDS = 600.0
# Chunk times and layer noise need no more than this.
REPORT_RECORDINGS = 16


@dataclass(frozen=True)
class QuantizeSettings:
    """What `edgespeech quantize` was asked for.

    Attributes:
        precision: Of the weights.
        speech: Manifest to calibrate on; None for the clips that ship.
        dev: Manifest to count word errors on.
        dev_limit: So many utterances of it; None for all.
        baseline: Another form of the float32 bundle, for the report to compare with.
        calibration: Method of the activation ranges.
        keep: Weights that stay in higher precision.
        report: JSON file; the picture lies beside it.
        sensitivity: Whether to quantize each layer alone as well.
        budget: The most that word errors may rise.
        into: Document to put the tables in as well, such as ``notes.md#int8``.
        fp16_compute: With ``fp16``, whether to compute in it as well.
    """

    precision: Precision
    speech: Path | None = None
    dev: Path | None = None
    dev_limit: int | None = None
    baseline: Path | None = None
    calibration: str = "auto"
    keep: Collection[str] = ()
    report: Path | None = None
    sensitivity: bool = False
    budget: Budget = Budget()
    into: str | None = None
    fp16_compute: bool = False


def quantize_bundle(source: Path, output: Path, settings: QuantizeSettings, say: Say, show: Say) -> Bundle:
    """Quantize, measure, and write.

    Args:
        source: The float32 bundle.
        output: The new bundle's folder.
        settings: What is wanted.
        say: Takes remarks.
        show: Takes tables.

    Raises:
        EdgespeechError: Something given is unusable, or the result was refused.
    """
    bundle = load_bundle(source)
    require_float32(bundle)
    _check(settings)
    place = find_marks(settings.into) if settings.into else None
    if settings.precision != "fp16":
        FloatGraph.of(bundle)
        require_form(bundle, settings.precision)
    baseline = None if settings.baseline is None else load_bundle(settings.baseline)
    recordings = calibration_speech(settings.speech, bundle.manifest.audio.sample_rate, say)
    evaluate = None if settings.dev is None else _evaluator(settings.dev, settings.dev_limit, bundle, baseline, say)
    tables: list[str] = []
    job = _Job(bundle, output, settings, recordings, baseline, evaluate, say, tables.append)
    written = job.half() if settings.precision == "fp16" else job.integers()
    for table in tables:
        show(table)
    if place is not None:
        insert_between_marks(*place, "\n".join(["```", *tables, "```"]))
    return written


def calibration_speech(manifest: Path | None, sample_rate: int, say: Say) -> list[Floats]:
    """Recordings from all over a manifest, ten minutes at most.

    Raises:
        EdgespeechError: The manifest or a recording is unusable.
    """
    if manifest is None:
        say("calibration speech: the few clips that ship; speech like that of your users does better (--speech)")
    utterances = read_manifest(manifest or SAMPLE_CLIPS, check_files=True)
    order = random.Random(1).sample(utterances, len(utterances))
    recordings: list[Floats] = []
    seconds = 0.0
    for utterance in order:
        recordings.append(read_samples(utterance, sample_rate))
        seconds += len(recordings[-1]) / sample_rate
        if seconds >= MOST_SECONDS:
            break
    if manifest is not None:
        say(f"calibration speech: {len(recordings)} of {len(utterances)} utterances, {seconds:.0f} s")
    return recordings


def _check(settings: QuantizeSettings) -> None:
    if settings.budget != Budget() and settings.dev is None:
        raise UsageError("a budget of word errors needs speech with texts to count them on; give --dev a manifest")
    if settings.precision == "fp16" and (settings.sensitivity or settings.keep or settings.budget != Budget()):
        raise UsageError("--sensitivity, --keep and budgets are for int8 and int4; leave them out with fp16")
    if settings.precision != "fp16" and settings.fp16_compute:
        raise UsageError(f"--fp16-compute is for --precision fp16, not {settings.precision}; choose one of them")
    if settings.report is not None:
        require_writable(settings.report)
        require_matplotlib()


def _evaluator(manifest: Path, limit: int | None, bundle: Bundle, baseline: Bundle | None, say: Say) -> Evaluate:
    """Word errors on a manifest, counted once for each graph, and once for both forms of the float32 bundle."""
    known: dict[str, ErrorRates] = {}

    def evaluate(given: Bundle) -> ErrorRates:
        one = baseline if baseline is not None and given is bundle else given
        key = one.manifest.files[ACOUSTIC].sha256
        if key not in known:
            began = time.monotonic()
            counted = evaluate_manifest(Recognizer(one), manifest, limit=limit)
            if not known:
                say(f"word errors of one graph on {counted.words} words take {time.monotonic() - began:.0f} s to count")
            deletions = counted.deletions / max(1, counted.words)
            known[key] = ErrorRates(wer=100 * counted.wer, deletions=100 * deletions, cer=100 * counted.cer)
        return known[key]

    return evaluate


@dataclass(frozen=True)
class _Job:
    bundle: Bundle
    output: Path
    settings: QuantizeSettings
    recordings: Sequence[Floats]
    baseline: Bundle | None
    evaluate: Evaluate | None
    say: Say
    show: Say

    @property
    def _measures(self) -> bool:
        return self.settings.report is not None or self.evaluate is not None

    def half(self) -> Bundle:
        if not self._measures:
            return self._halved(self.output, self.say)
        with tempfile.TemporaryDirectory() as folder:
            measured = self._report(self._halved(Path(folder) / "fp16", self.say))
        return self._halved(self.output, _silence, measured)

    def _halved(self, output: Path, say: Say, measured: dict[str, Any] | None = None) -> Bundle:
        heard = self.recordings[:REPORT_RECORDINGS]
        return to_float16(self.bundle, output, heard, say, measured, self.settings.fp16_compute)

    def integers(self) -> Bundle:
        settings, precision = self.settings, self.settings.precision
        assert precision != "fp16"
        quantizer = Quantizer(self.bundle, self.recordings, settings.calibration, self.say)
        keep, costs = tuple(settings.keep), []
        if settings.sensitivity or settings.budget != Budget():
            self.say("sensitivity:")
            count = self.evaluate if settings.sensitivity else None
            costs = measure_sensitivity(quantizer, precision, count, self.say)
        if settings.budget != Budget():
            assert self.evaluate is not None
            self.say(f"budget: {settings.budget}")
            keep = keep_within_budget(quantizer, precision, costs, settings.budget, self.evaluate, keep, self.say)
        model = quantizer.rewrite(quantizer.plan(precision, keep))
        if not self._measures:
            if costs:
                self.show(render_sensitivity(costs))
            return quantizer.write(self.output, precision, model, {}, self.say)
        with tempfile.TemporaryDirectory() as folder:
            tried = quantizer.write(Path(folder) / precision, precision, model, {}, self.say)
            measured = self._report(tried, calibration=quantizer.calibration, kept=keep, costs=costs)
        return quantizer.write(self.output, precision, model, measured, _silence)

    def _report(self, tried: Bundle, **found: Any) -> dict[str, Any]:
        """Measure, show and save; gives the figures for the bundle's own description."""
        report = measure_report(
            self.bundle,
            tried,
            self.recordings[:REPORT_RECORDINGS],
            baseline=self.baseline,
            evaluate=self.evaluate,
            **found,
        )
        self.show(render_report(report))
        if self.settings.report is not None:
            save_report(report, self.settings.report)
            draw_report(report, self.settings.report.with_suffix(".png"))
        return report.summary()


def _silence(line: str) -> None:
    """For what was said already."""
