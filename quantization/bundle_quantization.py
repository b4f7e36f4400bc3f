"""Quantize a bundle: calibration speech, sensitivity, word-error budget, report, and the bundle that is written."""

from __future__ import annotations

import logging
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.quantization.budget import keep_within_budget
from edgespeech.quantization.float16 import to_float16
from edgespeech.quantization.graph.float_graph import FloatGraph, require_float32
from edgespeech.quantization.quantizer import Quantizer, require_form, require_weights
from edgespeech.quantization.report.picture import draw_report, require_matplotlib
from edgespeech.quantization.report.report import QuantizationReport, measure_report, save_report
from edgespeech.quantization.report.table import report_page, sensitivity_table
from edgespeech.quantization.requests import Budget, QuantizeRequest
from edgespeech.quantization.sensitivity import Evaluate, LayerCost, measure_sensitivity
from edgespeech.runtime.bundle import ACOUSTIC, Bundle, load_bundle, require_bundle_folder
from edgespeech.runtime.files import printable_name, require_writable
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest, read_samples
from edgespeech.runtime.measure.evaluation import evaluate_manifest
from edgespeech.runtime.measure.references import read_references
from edgespeech.runtime.measure.tables import Page, find_marks, insert_between_marks, markdown_text
from edgespeech.runtime.measure.word_errors import WordErrors
from edgespeech.runtime.recognizer import Recognizer

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]
MAX_CALIBRATION_SECONDS = 600.0
# Chunk times and layer noise change little beyond these.
MAX_REPORT_RECORDINGS = 16


@dataclass(frozen=True)
class QuantizedBundle(Bundle):
    """A new bundle, with ``report`` (None if not requested) and ``sensitivity`` (highest first, if measured)."""

    report: QuantizationReport | None = None
    sensitivity: tuple[LayerCost, ...] = ()

    def page(self) -> Page:
        """Lay out the measurements; empty if there are none."""
        if self.report is not None:
            return report_page(self.report)
        return [sensitivity_table(self.sensitivity)] if self.sensitivity else []

    def tables(self) -> str:
        """Write the measurements as Markdown; empty if there are none."""
        return markdown_text(self.page())


def quantize_bundle(source: str | Path, output: str | Path, request: QuantizeRequest) -> QuantizedBundle:
    """Write a bundle with smaller weights, compared on speech; an older bundle in ``output`` is replaced.

    All inputs are checked before the work begins.

    Raises:
        EdgespeechError: The bundle, a manifest or an option is invalid, or the result was refused; nothing is written.
    """
    bundle = load_bundle(source)
    require_float32(bundle)
    require_bundle_folder(Path(output))
    _check(request)
    place = find_marks(request.into) if request.into else None
    if request.precision != "fp16":
        require_form(bundle, request.precision)
        require_weights(FloatGraph.of(bundle), request.keep)
    baseline = None if request.baseline is None else load_bundle(request.baseline)
    speech = read_calibration_speech(request.speech, bundle.manifest.audio.sample_rate)
    evaluate = None
    if request.dev is not None:
        read_references(request.dev, request.dev_limit)
        evaluate = _evaluator(request.dev, request.dev_limit, bundle, baseline)
    job = _Job(bundle, Path(output), request, speech, baseline, evaluate)
    written = job.to_float16() if request.precision == "fp16" else job.to_integers()
    if place is not None:
        insert_between_marks(*place, written.tables())
    return written


def read_calibration_speech(manifest: Path | None, sample_rate: int) -> list[Floats]:
    """Read ten minutes at most from all over a manifest, or the sample clips; raise an EdgespeechError if unusable."""
    if manifest is None:
        log.info("calibration speech: the sample clips; speech like that of your users works better (--speech)")
    utterances = read_manifest(manifest or SAMPLE_CLIPS, check_files=True)
    shuffled = random.Random(1).sample(utterances, len(utterances))
    recordings: list[Floats] = []
    seconds = 0.0
    for utterance in shuffled:
        recordings.append(read_samples(utterance, sample_rate))
        seconds += len(recordings[-1]) / sample_rate
        if seconds >= MAX_CALIBRATION_SECONDS:
            break
    if manifest is not None:
        log.info("calibration speech: %d of %d utterances, %.0f s", len(recordings), len(utterances), seconds)
    return recordings


def _check(request: QuantizeRequest) -> None:
    limited = request.budget != Budget()
    if limited and request.dev is None:
        raise UsageError("a budget of word errors needs speech with texts to count them on; give --dev a manifest")
    if request.precision == "fp16" and (request.sensitivity or request.keep or limited):
        raise UsageError("--sensitivity, --keep and budgets are for int8 and int4; leave them out with fp16")
    if request.precision != "fp16" and request.fp16_compute:
        raise UsageError(f"--fp16-compute is for --precision fp16, not {request.precision}; choose one of them")
    if request.report is not None:
        require_writable(request.report)
        require_matplotlib()


def _evaluator(manifest: Path, limit: int | None, bundle: Bundle, baseline: Bundle | None) -> Evaluate:
    counted: dict[str, WordErrors] = {}

    def evaluate(given: Bundle) -> WordErrors:
        evaluated = baseline if baseline is not None and given is bundle else given
        key = evaluated.manifest.files[ACOUSTIC].sha256
        if key not in counted:
            began = time.monotonic()
            errors = evaluate_manifest(Recognizer(evaluated), manifest, limit=limit).errors
            if not counted:
                seconds = time.monotonic() - began
                log.info("word errors of one graph on %d words take %.0f s to count", errors.words, seconds)
            counted[key] = errors
        return counted[key]

    return evaluate


@dataclass(frozen=True)
class _Job:
    bundle: Bundle
    output: Path
    request: QuantizeRequest
    speech: Sequence[Floats]
    baseline: Bundle | None
    evaluate: Evaluate | None

    @property
    def _measures(self) -> bool:
        return self.request.report is not None or self.evaluate is not None

    def to_float16(self) -> QuantizedBundle:
        compute, speech = self.request.fp16_compute, self.speech[:MAX_REPORT_RECORDINGS]
        if not self._measures:
            written = to_float16(self.bundle, self.output, speech, compute=compute)
            return QuantizedBundle(written.folder, written.manifest)
        with tempfile.TemporaryDirectory() as folder:
            report = self._report(to_float16(self.bundle, Path(folder) / "fp16", speech, compute=compute))
        written = to_float16(self.bundle, self.output, speech, self._measured(report), compute, logging.DEBUG)
        return QuantizedBundle(written.folder, written.manifest, report)

    def to_integers(self) -> QuantizedBundle:
        precision = self.request.precision
        assert precision != "fp16"
        quantizer = Quantizer(self.bundle, self.speech, self.request.calibration)
        keep, limited = tuple(self.request.keep), self.request.budget != Budget()
        costs: tuple[LayerCost, ...] = ()
        if self.request.sensitivity or limited:
            log.info("sensitivity:")
            count = self.evaluate if self.request.sensitivity else None
            costs = tuple(measure_sensitivity(quantizer, precision, count))
        if limited:
            assert self.evaluate is not None
            log.info("budget: %s", self.request.budget)
            keep = keep_within_budget(quantizer, precision, costs, self.request.budget, self.evaluate, keep)
        model = quantizer.rewrite(quantizer.plan(precision, keep))
        if not self._measures:
            written = quantizer.write(self.output, precision, model)
            return QuantizedBundle(written.folder, written.manifest, None, costs)
        with tempfile.TemporaryDirectory() as folder:
            tried = quantizer.write(Path(folder) / precision, precision, model)
            report = self._report(tried, calibration=quantizer.calibration, kept=keep, costs=costs)
        written = quantizer.write(self.output, precision, model, self._measured(report), logging.DEBUG)
        return QuantizedBundle(written.folder, written.manifest, report, costs)

    def _measured(self, report: QuantizationReport) -> dict[str, Any]:
        """Return what the manifest of the bundle keeps, with the name of the speech that errors were counted on."""
        errors, dev = report.after.error_rates, self.request.dev
        if errors is None or dev is None:
            return report.summary()
        name = printable_name(f"{dev.absolute().parent.name}/{dev.name}")
        return {**report.summary(), "wer_speech": f"{name}, {errors.words} words"}

    def _report(self, tried: Bundle, **found: Any) -> QuantizationReport:
        report = measure_report(
            self.bundle,
            tried,
            self.speech[:MAX_REPORT_RECORDINGS],
            baseline=self.baseline,
            evaluate=self.evaluate,
            **found,
        )
        if self.request.report is not None:
            save_report(report, self.request.report)
            draw_report(report, self.request.report.with_suffix(".png"))
        return report
