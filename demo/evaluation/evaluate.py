"""The work of ``edgespeech evaluate``: manifests times conditions, for one bundle or two, and the printed result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgespeech.demo.evaluation import report
from edgespeech.demo.evaluation.conditions import AcousticsRequest
from edgespeech.demo.evaluation.workers import EvaluateTask, evaluate_with_workers
from edgespeech.demo.jobs.engine import Engine
from edgespeech.demo.jobs.task import for_workers
from edgespeech.errors import UsageError
from edgespeech.runtime.bundle import ACOUSTIC, Bundle
from edgespeech.runtime.files import require_writable
from edgespeech.runtime.measure.evaluation import Condition, Evaluation, evaluate_references
from edgespeech.runtime.measure.references import References, read_references
from edgespeech.runtime.measure.tables import Bullets, Page, find_marks
from edgespeech.runtime.options import RecognizerOptions
from edgespeech.runtime.recognizer import Recognizer


@dataclass(frozen=True)
class EvaluateRequest:
    """What to measure and how to print it; see ``edgespeech evaluate``. Options that clash raise UsageError."""

    manifests: tuple[Path, ...]
    noise: tuple[Path, ...] = ()
    snr: str = "20,10,5,0"
    rooms: tuple[Path, ...] = ()
    limit: int | None = None
    confusions: int = 0
    against: Path | None = None
    as_json: bool = False
    markdown: bool = False
    into: str | None = None
    save: Path | None = None
    normalise: bool = True

    def __post_init__(self) -> None:
        if self.as_json and (self.markdown or self.into):
            raise UsageError("--json and --markdown (or --into) clash; choose one")
        if self.into is not None:
            find_marks(self.into)
        if self.save is not None:
            require_writable(self.save)

    @property
    def acoustics(self) -> AcousticsRequest:
        """The recording conditions that are asked for."""
        return AcousticsRequest(self.noise, self.snr, self.rooms)


@dataclass(frozen=True)
class Result:
    """The evaluation of a bundle under one condition, and that of the bundle to compare it with."""

    evaluation: Evaluation
    other: Evaluation | None


def evaluate_bundles(
    request: EvaluateRequest, conditions: Sequence[Condition], recognizers: Sequence[Recognizer]
) -> list[Result]:
    """Evaluate a recognizer, and a second one if there are two, on every manifest under every condition."""

    def evaluate_all(one: Recognizer, manifests: Sequence[References]) -> list[Evaluation]:
        pairs = [(references, condition) for references in manifests for condition in conditions]
        return [evaluate_references(one, references, condition) for references, condition in pairs]

    manifests = _read_manifests(request, [one.labels for one in recognizers])
    return _results([evaluate_all(one, manifests) for one in recognizers])


def evaluate_by_engine(
    request: EvaluateRequest, bundles: Sequence[tuple[Bundle, RecognizerOptions]], engine: Engine
) -> list[Result]:
    """Do the work of `evaluate_bundles` with several workers, for one bundle or for two."""
    manifests = _read_manifests(request, [bundle.manifest.labels for bundle, _ in bundles])
    acoustics = request.acoustics.absolute()
    tasks = [EvaluateTask(one.folder.absolute(), for_workers(options), acoustics) for one, options in bundles]
    return _results([evaluate_with_workers(task, manifests, engine) for task in tasks])


def _read_manifests(request: EvaluateRequest, labels: Sequence[Sequence[str]]) -> list[References]:
    manifests = [read_references(path, request.limit, request.normalise) for path in request.manifests]
    for references in manifests:
        references.log()
    for some in labels:  # all bundles are counted in the same units
        manifests = [references.for_labels(some) for references in manifests]
    return manifests


def _results(found: Sequence[Sequence[Evaluation]]) -> list[Result]:
    others = found[1] if len(found) > 1 else [None] * len(found[0])
    return [Result(*pair) for pair in zip(found[0], others, strict=True)]


def json_lines(request: EvaluateRequest, results: Sequence[Result]) -> str:
    """Return one JSON object per line for each result."""
    return "\n".join(json.dumps(_as_dict(request, one)) for one in results)


def results_page(request: EvaluateRequest, results: Sequence[Result], bundle: Bundle, command: str) -> Page:
    """Lay out the results; for Markdown that was asked for, with the command line that reproduces the figures."""
    evaluations = [one.evaluation for one in results]
    lines = [
        report.difference_line(one.evaluation, one.other, request.against)
        for one in results
        if one.other is not None and request.against is not None
    ]
    lines += [report.written_line(one.corpus, one.written) for one in evaluations if one.written is not None]
    if request.confusions:
        lines += [line for one in evaluations for line in report.confusion_lines(one, request.confusions)]
    if request.markdown or request.into:
        facts = bundle.manifest
        digest = facts.files[ACOUSTIC].sha256[:12]
        source = f"Bundle `{facts.name}`, {facts.graph.precision}, acoustic.onnx {digest}; `{command}`"
        details = ["\n".join(["```", *lines, "```"])] if lines else []
        return [report.evaluations_table(evaluations), f"{report.explain_intervals(evaluations)}\n{source}", *details]
    figures = report.summary(evaluations[0]) if len(evaluations) == 1 else report.evaluations_table(evaluations)
    return [figures, *([Bullets(lines)] if lines else [])]


def _as_dict(request: EvaluateRequest, result: Result) -> dict[str, object]:
    found = result.evaluation.as_dict()
    if request.confusions:
        found["confusions"] = report.confusions(result.evaluation, request.confusions)
    if result.other is not None:
        found["against"] = report.difference(result.evaluation, result.other)
    return found
