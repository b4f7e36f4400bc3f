"""`edgespeech tune-device`: finds fast and thrifty settings within limits of latency and word errors."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import msgspec
import numpy as np

from edgespeech.demo.bench.interleaved import InterleavedFigures, InterleavedRun
from edgespeech.demo.bench.plan import Grid, Plan, Speech, require_settings
from edgespeech.demo.bench.trial import speech_seconds
from edgespeech.demo.bench.worker import in_fresh_process
from edgespeech.demo.machine.device import usable_cores
from edgespeech.demo.tune_device.durations import Durations, estimate_durations
from edgespeech.demo.tune_device.settings import DeviceSettings, bundle_id, make_settings_folder, remember
from edgespeech.errors import UsageError, VerificationError
from edgespeech.runtime.bundle import Bundle, load_bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS
from edgespeech.runtime.measure.evaluation import evaluate_references
from edgespeech.runtime.measure.progress import TimedSteps, describe_duration
from edgespeech.runtime.measure.references import References, read_references
from edgespeech.runtime.measure.tables import Bullets, Page, Table
from edgespeech.runtime.recognizer import Recognizer

log = logging.getLogger(__name__)

CHUNKS_MS = (80.0, 160.0, 320.0, 640.0)
BEAM_WIDTHS = (8, 16, 32, 64)
THREADS = (1, 2, 4)
# Configurations whose cost is within this factor of the lowest count as equally good; fewer threads and word errors
# decide.
EQUALLY_GOOD = 1.1


@dataclass(frozen=True)
class TuneRequest:
    """Options of `edgespeech tune-device`; for an empty sequence, reasonable values are tried.

    Attributes:
        also: Bundles with another form or precision of the model.
        max_latency_ms: Limit of the latency, which chunk, look-ahead and compute time together bound.
        max_wer_increase: Maximum increase of the word error rate in percentage points.
        dev: Manifest to measure word errors on; None for the sample clips.
    """

    also: Sequence[Path] = ()
    max_latency_ms: float = 1000.0
    max_wer_increase: float = 1.0
    dev: Path | None = None
    threads: Sequence[int] = ()
    providers: Sequence[str] = ("cpu",)
    chunks_ms: Sequence[float] = ()
    beam_widths: Sequence[int] = ()
    quick: bool = False

    def __post_init__(self) -> None:
        require_settings(self.chunks_ms, self.threads, self.beam_widths)
        for name in ("max_latency_ms", "max_wer_increase"):
            if math.isnan(getattr(self, name)):
                raise UsageError(f"{name} is nan; wanted a number")

    @property
    def rounds(self) -> int:
        """Most rounds of a measurement."""
        return 2 if self.quick else 5

    @property
    def speech(self) -> Speech:
        """Speech that is processed in each round."""
        return Speech(manifest=str(SAMPLE_CLIPS.absolute()), seconds=3.0 if self.quick else 12.0)


@dataclass(frozen=True)
class Candidate:
    """A configuration and its figures.

    Attributes:
        latency_ms: Bound of the latency: chunk, look-ahead and the 98th percentile of the compute time.
        wer: Word error rate as a fraction; None if it was not measured.
        cpu: CPU seconds of all threads per second of audio; None if they were not measured.
        joules: Energy above that of the idle machine per second of audio; None without a meter.
    """

    plan: Plan
    rtf: float
    latency_ms: float
    wer: float | None = None
    cpu: float | None = None
    joules: float | None = None

    def preference(self) -> tuple[int, bool, float, float]:
        """Return what decides between equally good candidates; the smallest is the best."""
        return self.plan.threads, self.plan.provider != "cpu", self.wer or 0.0, self.rtf

    def cost(self, by_energy: bool) -> float:
        """Return the product of delay and energy, or of delay and CPU time where energy is not measured."""
        cpu = self.rtf if self.cpu is None else self.cpu
        return self.rtf * (self.joules if by_energy and self.joules is not None else cpu)


@dataclass(frozen=True)
class Choice:
    """A candidate that was chosen, and why."""

    candidate: Candidate
    reason: str


@dataclass(frozen=True)
class Outcome:
    """The settings that are kept, why, each candidate once, and the file in which the settings are stored."""

    chosen: DeviceSettings
    plan: Plan
    reasons: tuple[str, ...]
    reference_wer: float
    candidates: tuple[Candidate, ...]
    file: Path

    def as_dict(self) -> dict[str, object]:
        """Return the outcome as an object for JSON."""
        return {
            "chosen": msgspec.to_builtins(self.chosen),
            "reference_wer": self.reference_wer,
            "candidates": [{**asdict(one), "plan": msgspec.to_builtins(one.plan)} for one in self.candidates],
            "file": str(self.file),
            "reasons": list(self.reasons),
        }

    def page(self) -> Page:
        """Lay out the candidates, then what is kept and why."""
        headings = ["bundle", "provider", "threads", "chunk, ms", "beam", "real-time factor", "CPU time"]
        headings += ["latency at most, ms", "WER, %", ""]
        rows = []
        for one in sorted(self.candidates, key=lambda candidate: candidate.rtf):
            plan = one.plan
            rows.append(
                [
                    Path(plan.bundle).name,
                    plan.provider,
                    str(plan.threads),
                    f"{plan.chunk_ms:g}",
                    str(plan.beam_width),
                    f"{one.rtf:.4f}",
                    "-" if one.cpu is None else f"{one.cpu:.4f}",
                    f"{one.latency_ms:.0f}",
                    "-" if one.wer is None else f"{one.wer * 100.0:.1f}",
                    "kept" if plan == self.plan else "",
                ]
            )
        chosen = self.chosen
        figures = f"real-time factor {chosen.rtf:.4f}, latency at most {chosen.latency_ms:.0f} ms, WER {chosen.wer:.1%}"
        own = f"with the bundle's own beam width {self.reference_wer:.1%}"
        kept = [f"kept: {chosen}", *self.reasons, f"{figures} ({own})", f"stored in {self.file}"]
        return [Table(headings, rows, left=2), Bullets(kept)]


@dataclass(frozen=True)
class _Work:
    """What the parts of the search share; bundles by their folder."""

    bundles: Mapping[str, Bundle]
    request: TuneRequest
    references: References
    durations: Durations
    steps: TimedSteps


def tune(bundle: Bundle, request: TuneRequest) -> Outcome:
    """Search settings that are fast and take little CPU time or energy, and store them.

    Provider, chunk and threads are chosen first, per bundle, with its own beam width; then the beam width.

    Args:
        bundle: Bundle for which the settings are stored.
        request: The budget, and what to try.

    Raises:
        UsageError: Something in the request is invalid, or the settings cannot be stored.
        VerificationError: No configuration is within the budget; nothing is stored.
    """
    make_settings_folder()
    references = read_references(request.dev or SAMPLE_CLIPS)
    bundles = {str(one.folder.absolute()): one for one in (bundle, *map(load_bundle, request.also))}
    plans = [plan for one in bundles.values() for plan in _first_plans(one, request)]
    if not plans:
        raise VerificationError(
            f"no chunk and look-ahead stay within {request.max_latency_ms:g} ms; allow more with --max-latency-ms"
        )
    widths = {folder: len(_beam_widths(one, request)) for folder, one in bundles.items()}
    dev_seconds = speech_seconds(references.utterances)
    durations = estimate_durations(plans, widths, request.speech, request.rounds, dev_seconds)
    log.info("trying %d combinations of provider, chunk and threads, then beam widths, takes about %s",
             len(plans), describe_duration(durations.total))  # fmt: skip
    references.log()
    with TimedSteps(durations.total) as steps:
        return _search(bundle, plans, _Work(bundles, request, references, durations, steps))


def _search(bundle: Bundle, plans: Sequence[Plan], work: _Work) -> Outcome:
    bundles, request = work.bundles, work.request
    work.steps.begin(f"{len(plans)} combinations of provider, chunk and threads in turns", work.durations.combinations)
    measured = _measure(plans, bundles, request)
    fitting = [one for one in measured if one.latency_ms <= request.max_latency_ms]
    if not fitting:
        lowest = min(one.latency_ms for one in measured)
        raise VerificationError(
            f"the latency of every configuration exceeds {request.max_latency_ms:g} ms (the lowest is {lowest:.0f} ms);"
            " allow more with --max-latency-ms"
        )
    by_bundle = [[one for one in fitting if one.plan.bundle == folder] for folder in bundles]
    best = {folder: _choose(candidates) for folder, candidates in zip(bundles, by_bundle, strict=True) if candidates}
    reference = _word_errors(bundle, bundle.manifest.decoder.beam_width, work)
    first = [choice.candidate for choice in best.values()]
    finals = _try_beam_widths(first, reference + request.max_wer_increase / 100.0 + 1e-9, work)
    within = [one for one in finals if one.latency_ms <= request.max_latency_ms]
    if not within:
        raise VerificationError(
            f"no beam width keeps the latency within {request.max_latency_ms:g} ms; allow more with --max-latency-ms"
        )
    last = _choose(within)
    chosen, plan = _as_settings(last.candidate, bundle, bundles), last.candidate.plan
    reasons = (f"provider, threads, chunk: {best[plan.bundle].reason}", f"beam width: {last.reason}")
    candidates = {one.plan: one for one in (*measured, *finals)}  # the own beam width is measured twice
    return Outcome(chosen, plan, reasons, reference, tuple(candidates.values()), remember(bundle, chosen))


def _first_plans(bundle: Bundle, request: TuneRequest) -> list[Plan]:
    facts = bundle.manifest.audio
    own = facts.chunk_seconds * 1000.0
    chunks: Sequence[float] = [own]
    if facts.chunk_free:
        milliseconds = 1000.0 / facts.sample_rate
        frames = {max(1, int(size / milliseconds) // facts.frame_samples) for size in CHUNKS_MS}
        chunks = request.chunks_ms or sorted({*(n * facts.frame_samples * milliseconds for n in frames), own})
    elif request.chunks_ms and own not in request.chunks_ms:
        raise UsageError(f"{bundle.folder} has a fixed chunk of {own:g} ms; leave --chunk-ms out, or give that length")
    lookahead = facts.lookahead_seconds * 1000.0
    chunks = [size for size in chunks if size + lookahead <= request.max_latency_ms]
    if not chunks:
        return []
    cores = usable_cores()
    threads = request.threads or sorted({min(count, cores) for count in (*THREADS, cores)})
    return Grid([bundle.folder], request.providers, threads, chunks, [bundle.manifest.decoder.beam_width]).plans()


def _beam_widths(bundle: Bundle, request: TuneRequest) -> Sequence[int]:
    return request.beam_widths or sorted({*BEAM_WIDTHS, bundle.manifest.decoder.beam_width})


def _try_beam_widths(best: Sequence[Candidate], max_wer: float, work: _Work) -> list[Candidate]:
    """Measure the best configurations with every beam width whose word error rate is within the budget."""
    errors: dict[Plan, float] = {}
    for winner in best:
        bundle = work.bundles[winner.plan.bundle]
        for width in _beam_widths(bundle, work.request):
            plan = msgspec.structs.replace(winner.plan, beam_width=width)
            errors[plan] = _word_errors(bundle, width, work)
    plans = [plan for plan, wer in errors.items() if wer <= max_wer]
    if not plans:
        raise VerificationError(
            f"no beam width keeps the word error rate within {max_wer:.1%}; allow more with --max-wer-increase"
        )
    work.steps.begin(f"beam widths in turns ({len(plans)})", work.durations.beam_widths)
    return [replace(one, wer=errors[one.plan]) for one in _measure(plans, work.bundles, work.request)]


def _measure(plans: Sequence[Plan], bundles: Mapping[str, Bundle], request: TuneRequest) -> list[Candidate]:
    rounds = request.rounds
    task = InterleavedRun(plans=list(plans), speech=request.speech, rounds=rounds, max_seconds=rounds * len(plans))
    found = []
    for plan, times in zip(plans, in_fresh_process(task, InterleavedFigures).configurations, strict=True):
        facts = bundles[plan.bundle].manifest.audio
        compute_ms = float(np.percentile([chunk[0] for chunks in times.chunks for chunk in chunks], 98)) * 1e3
        chunk_ms = facts.chunk_seconds * 1000.0 if plan.chunk_ms is None else plan.chunk_ms
        latency = chunk_ms + facts.lookahead_seconds * 1000.0 + compute_ms
        rtf = float(np.median([factors[0] for factors in times.rounds]))
        cpu, joules = (float(np.median(rounds)) if rounds else None for rounds in (times.cpu, times.joules))
        found.append(Candidate(plan, rtf, latency, cpu=cpu, joules=joules))
    return found


def _choose(candidates: Sequence[Candidate]) -> Choice:
    """Choose the lowest cost; among equally good ones fewer threads win, then the CPU, then fewer word errors."""
    by_energy = all(one.joules is not None and one.joules > 0.0 for one in candidates)
    lowest = min(candidates, key=lambda one: one.cost(by_energy))
    good = [one for one in candidates if one.cost(by_energy) <= EQUALLY_GOOD * lowest.cost(by_energy)]
    best = min(good, key=lambda one: one.preference())
    cost = f"real-time factor times {'energy' if by_energy else 'CPU time'}"
    if best is lowest:
        return Choice(best, f"the lowest {cost} of the {len(candidates)} within the limits")
    named = ("fewer threads", "on the CPU", "fewer word errors", "faster")
    pairs = zip(named, best.preference(), lowest.preference(), strict=True)
    advantage = next((name for name, mine, other in pairs if mine < other), "as fast")
    within = f"within {EQUALLY_GOOD - 1.0:.0%} of the lowest {cost} of the {len(candidates)} within the limits"
    return Choice(best, f"{advantage}, and {within}")


def _word_errors(bundle: Bundle, beam_width: int, work: _Work) -> float:
    work.steps.begin(f"word errors of {bundle.folder.name} with beam {beam_width}", work.durations.word_errors)
    return evaluate_references(Recognizer(bundle, beam_width=beam_width), work.references).wer


def _as_settings(one: Candidate, bundle: Bundle, bundles: Mapping[str, Bundle]) -> DeviceSettings:
    plan, used = one.plan, bundles[one.plan.bundle]
    assert plan.beam_width is not None and plan.chunk_ms is not None and one.wer is not None
    return DeviceSettings(
        bundle=None if used is bundle else plan.bundle,
        bundle_sha256=bundle_id(used),
        provider=plan.provider,
        threads=plan.threads,
        chunk_ms=plan.chunk_ms,
        beam_width=plan.beam_width,
        rtf=one.rtf,
        latency_ms=one.latency_ms,
        wer=one.wer,
        made=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
