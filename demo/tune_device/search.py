"""`tune-device`: the fastest settings within a budget of latency and word errors; remembering is done elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

import msgspec
import numpy as np

from edgespeech.demo.bench.card import table
from edgespeech.demo.bench.listen import Plan, Speech
from edgespeech.demo.bench.run import make_plans
from edgespeech.demo.bench.turns import TurnFigures, Turns
from edgespeech.demo.bench.worker import in_fresh_process
from edgespeech.demo.machine.device import usable_cores
from edgespeech.demo.tune_device.settings import DeviceSettings, bundle_id, make_settings_folder, remember
from edgespeech.errors import UsageError, VerificationError
from edgespeech.runtime.bundle import Bundle, load_bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS
from edgespeech.runtime.measure.evaluation import evaluate_manifest
from edgespeech.runtime.recognizer import Recognizer

Say = Callable[[str], None]
CHUNKS_MS = (80.0, 160.0, 320.0, 640.0)
BEAM_WIDTHS = (8, 16, 32, 64)
THREADS = (1, 2, 4)
# Configurations this close to the fastest are as fast; then fewer threads win, then fewer word errors.
AS_FAST = 1.05


@dataclass(frozen=True)
class TuneSettings:
    """What `edgespeech tune-device` was asked for; empty sequences are filled with what is worth a try."""

    also: Sequence[Path] = ()
    max_latency_ms: float = 1000.0
    max_wer_increase: float = 1.0
    dev: Path | None = None
    threads: Sequence[int] = ()
    providers: Sequence[str] = ("cpu",)
    chunks_ms: Sequence[float] = ()
    beam_widths: Sequence[int] = ()
    quick: bool = False


@dataclass(frozen=True)
class Candidate:
    """A configuration and its figures; word errors are None until they were counted."""

    plan: Plan
    rtf: float
    latency_ms: float
    wer: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What was chosen, what it was chosen from, and where that is remembered."""

    chosen: DeviceSettings
    reference_wer: float
    candidates: tuple[Candidate, ...]
    file: Path

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "chosen": msgspec.to_builtins(self.chosen),
            "reference_wer": self.reference_wer,
            "candidates": [{**asdict(one), "plan": msgspec.to_builtins(one.plan)} for one in self.candidates],
            "file": str(self.file),
        }

    def table(self) -> str:
        """For people."""
        rows = [["bundle", "provider", "threads", "chunk, ms", "beam", "real-time factor", "latency, ms", "WER, %"]]
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
                    f"{one.latency_ms:.0f}",
                    "-" if one.wer is None else f"{one.wer * 100.0:.1f}",
                ]
            )
        chosen = self.chosen
        figures = f"real-time factor {chosen.rtf:.4f}, latency {chosen.latency_ms:.0f} ms, WER {chosen.wer:.1%}"
        own = f"with the bundle's own settings {self.reference_wer:.1%}"
        return f"{table(rows)}\n\nchosen: {chosen}\n{figures} ({own})\nremembered in {self.file}"


def tune(bundle: Bundle, settings: TuneSettings, say: Say) -> Outcome:
    """Search, choose and remember.

    First the provider, chunk and threads of each bundle, with its own beam width; then the beam width.

    Args:
        bundle: What the settings are remembered for.
        settings: The budget, and what to try.
        say: Takes remarks on the progress.

    Raises:
        UsageError: Something asked for does not do, or could not be remembered.
        VerificationError: Nothing stays within the budget; nothing is remembered.
    """
    make_settings_folder()
    bundles = {str(one.folder.absolute()): one for one in (bundle, *map(load_bundle, settings.also))}
    plans = [plan for one in bundles.values() for plan in _first_plans(one, settings)]
    if not plans:
        raise VerificationError(
            f"no chunk and look-ahead stay within {settings.max_latency_ms:g} ms; allow more with --max-latency-ms"
        )
    say(f"taking turns: {len(plans)} of provider, chunk and threads")
    measured = _measure(plans, bundles, settings)
    fitting = [one for one in measured if one.latency_ms <= settings.max_latency_ms]
    if not fitting:
        least = min(one.latency_ms for one in measured)
        raise VerificationError(
            f"every configuration is later than {settings.max_latency_ms:g} ms (the quickest: {least:.0f} ms); "
            "allow more with --max-latency-ms"
        )
    reference = _word_errors(bundle, bundle.manifest.decoder.beam_width, settings)
    allowed = reference + settings.max_wer_increase / 100.0 + 1e-9
    best = [_choose([one for one in fitting if one.plan.bundle == folder]) for folder in bundles if any(
        one.plan.bundle == folder for one in fitting)]  # fmt: skip
    second: list[Plan] = []
    errors: dict[tuple[str, int | None], float] = {}
    for winner in best:
        own = bundles[winner.plan.bundle].manifest.decoder.beam_width
        for width in settings.beam_widths or sorted({*BEAM_WIDTHS, own}):
            say(f"word errors of {Path(winner.plan.bundle).name} with beam {width}")
            errors[winner.plan.bundle, width] = _word_errors(bundles[winner.plan.bundle], width, settings)
            second.append(msgspec.structs.replace(winner.plan, beam_width=width))
    allowed_plans = [plan for plan in second if errors[plan.bundle, plan.beam_width] <= allowed]
    if not allowed_plans:
        raise VerificationError(
            f"no beam width keeps word errors within {allowed:.1%}; allow more with --max-wer-increase"
        )
    say(f"taking turns: {len(allowed_plans)} of beam width")
    finals = [
        Candidate(one.plan, one.rtf, one.latency_ms, errors[one.plan.bundle, one.plan.beam_width])
        for one in _measure(allowed_plans, bundles, settings)
    ]
    within = [one for one in finals if one.latency_ms <= settings.max_latency_ms]
    if not within:
        raise VerificationError(
            f"nothing stays within {settings.max_latency_ms:g} ms; allow more with --max-latency-ms"
        )
    chosen = _as_settings(_choose(within), bundle, bundles)
    return Outcome(chosen, reference, (*measured, *finals), remember(bundle, chosen))


def _first_plans(bundle: Bundle, settings: TuneSettings) -> list[Plan]:
    facts = bundle.manifest.audio
    own = facts.chunk_seconds * 1000.0
    chunks: Sequence[float] = [own]
    if facts.chunk_free:
        milliseconds = 1000.0 / facts.sample_rate
        whole = {max(1, int(size / milliseconds) // facts.frame_samples) for size in CHUNKS_MS}
        chunks = settings.chunks_ms or sorted({*(n * facts.frame_samples * milliseconds for n in whole), own})
    elif settings.chunks_ms and own not in settings.chunks_ms:
        raise UsageError(f"{bundle.folder} has a fixed chunk of {own:g} ms; leave --chunk-ms out, or name that")
    lookahead = facts.lookahead_seconds * 1000.0
    chunks = [size for size in chunks if size + lookahead <= settings.max_latency_ms]
    cores = usable_cores()
    threads = settings.threads or sorted({min(count, cores) for count in (*THREADS, cores)})
    return make_plans([bundle.folder], settings.providers, threads, chunks, [bundle.manifest.decoder.beam_width])


def _measure(plans: Sequence[Plan], bundles: dict[str, Bundle], settings: TuneSettings) -> list[Candidate]:
    speech = Speech(manifest=str(SAMPLE_CLIPS.absolute()), seconds=3.0 if settings.quick else 12.0)
    rounds = 2 if settings.quick else 5
    task = Turns(plans=list(plans), speech=speech, rounds=rounds, seconds=rounds * len(plans))
    found = []
    for plan, turn in zip(plans, in_fresh_process(task, TurnFigures).turns, strict=True):
        facts = bundles[plan.bundle].manifest.audio
        compute_ms = float(np.percentile([times[0] for chunks in turn.chunks for times in chunks], 98)) * 1e3
        chunk_ms = facts.chunk_seconds * 1000.0 if plan.chunk_ms is None else plan.chunk_ms
        latency = chunk_ms + facts.lookahead_seconds * 1000.0 + compute_ms
        found.append(Candidate(plan, float(np.median([factors[0] for factors in turn.rounds])), latency))
    return found


def _choose(candidates: Sequence[Candidate]) -> Candidate:
    """The fastest; among those as fast, fewer threads, the CPU, fewer word errors."""
    fastest = min(one.rtf for one in candidates)
    as_fast = [one for one in candidates if one.rtf <= AS_FAST * fastest]
    return min(as_fast, key=lambda one: (one.plan.threads, one.plan.provider != "cpu", one.wer or 0.0, one.rtf))


def _word_errors(bundle: Bundle, beam_width: int, settings: TuneSettings) -> float:
    return evaluate_manifest(Recognizer(bundle, beam_width=beam_width), settings.dev or SAMPLE_CLIPS).wer


def _as_settings(one: Candidate, bundle: Bundle, bundles: dict[str, Bundle]) -> DeviceSettings:
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
