"""The load test as a whole: every way to serve in turn, and a table of what each carried."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgespeech.demo.load_test.server_process import ServerKind, Use, running, server_kinds
from edgespeech.demo.load_test.timeline import PIECE_SECONDS, Timeline, make_timeline
from edgespeech.demo.load_test.trials import PERCENTILES, Effort, Trial, find_max_streams, max_streams, run_trial
from edgespeech.errors import UsageError
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.measure.tables import Heading, Page, Table
from edgespeech.runtime.options import RecognizerOptions
from edgespeech.runtime.recognizer import Recognizer

log = logging.getLogger(__name__)

KINDS = ("batched", "unbatched", "one process batched", "one by one", "threads")


@dataclass(frozen=True)
class LoadTestRequest:
    """What to measure.

    Attributes:
        bundle: Bundle folder; None for the default bundle.
        kinds: Ways to serve, of `KINDS`; ratios are to the first.
        streams: Numbers of streams to try; empty to search for the most.
        workers: Recognition processes of the server; None for its own default.
        beam_width: Beam width; None for the bundle's own.
        limit_ms: Latency below which 98 % of the results must stay.
        max_tried: Number of streams beyond which the search does not go.
        effort: Length of a trial.
        speech: Manifest of the clips; None for the sample clips.

    Raises:
        UsageError: A value is out of range.
    """

    bundle: Path | None = None
    kinds: Sequence[str] = ("batched", "threads")
    streams: Sequence[int] = ()
    workers: int | None = None
    beam_width: int | None = None
    limit_ms: float = 500.0
    max_tried: int = 1000
    effort: Effort = Effort()
    speech: Path | None = None

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            raise UsageError(f"way to serve {', '.join(unknown) or 'missing'}; wanted some of {', '.join(KINDS)}")
        if any(count < 1 for count in (*self.streams, self.max_tried)) or not self.limit_ms > 0.0:
            raise UsageError("numbers of streams and the limit must be positive; correct them")


@dataclass(frozen=True)
class ServerResult:
    """The trials of one way to serve; ``idle`` is what it used before the first."""

    kind: str
    trials: tuple[Trial, ...]
    idle: Use

    def bytes_per_stream(self) -> float:
        """Return the resident memory that one more stream took, between idleness and the largest trial."""
        largest = max(self.trials, key=lambda one: one.streams)
        return (largest.memory - self.idle.memory) / largest.streams


def run_load_test(request: LoadTestRequest) -> list[ServerResult]:
    """Measure each way to serve, one after the other.

    Raises:
        EdgespeechError: The bundle or the clips are invalid, or a server does not start.
    """
    bundle = load_bundle(request.bundle)
    recognizer = Recognizer(bundle, RecognizerOptions(beam_width=request.beam_width))
    utterances = read_manifest(request.speech or SAMPLE_CLIPS, check_files=True)
    timelines = [make_timeline(recognizer, one.path) for one in utterances]
    kinds = server_kinds(
        bundle.folder, request.workers, 2 * max([request.max_tried, *request.streams]), request.beam_width
    )
    return [_measure(request, kinds[name], timelines) for name in request.kinds]


def _measure(request: LoadTestRequest, kind: ServerKind, timelines: Sequence[Timeline]) -> ServerResult:
    with running(kind) as server:
        run_trial(server, timelines[:1], 1, Effort(0.5, 0.0))  # what the first stream makes it load
        idle = server.use()

        def measure(streams: int) -> Trial:
            trial = run_trial(server, timelines, streams, request.effort)
            log.info(
                "%s, %d streams: finals p98 %.0f ms, partials p98 %.0f ms, %d of %d clips wrong, %d failed",
                kind.name,
                streams,
                trial.final_ms[PERCENTILES.index(98)],
                trial.partial_ms[PERCENTILES.index(98)],
                trial.wrong,
                trial.clips,
                len(trial.failures),
            )
            return trial

        if request.streams:
            trials = [measure(count) for count in request.streams]
        else:
            trials = find_max_streams(measure, 8, request.limit_ms, request.max_tried)
    return ServerResult(kind.name, tuple(trials), idle)


def load_test_page(results: Sequence[ServerResult], request: LoadTestRequest, command: str) -> Page:
    """Lay out the results: a row for each trial, and a row for the most streams of each way to serve."""
    percentiles = [f"{what} p{at}, ms" for what in ("final", "partial") for at in PERCENTILES]
    trials = Table(
        ["server", "streams", *percentiles, "wrong", "failed", "CPU per s of audio", "memory, MB", "sent late p98, ms"],
        [
            [
                trial.server,
                str(trial.streams),
                *(f"{value:.0f}" for value in (*trial.final_ms, *trial.partial_ms)),
                f"{trial.wrong} of {trial.clips}",
                str(len(trial.failures)),
                f"{trial.cpu_factor:.4f}",
                f"{trial.memory / 1e6:.0f}",
                f"{trial.late_ms:.0f}",
            ]
            for result in results
            for trial in sorted(result.trials, key=lambda one: one.streams)
        ],
    )
    first = max_streams(results[0].trials, request.limit_ms)
    summary = Table(
        ["server", f"streams with p98 below {request.limit_ms:g} ms", "ratio", "memory per further stream, MB"],
        [
            [
                result.kind,
                str(most := max_streams(result.trials, request.limit_ms)),
                f"{most / first:.2f}" if first else "",
                f"{result.bytes_per_stream() / 1e6:.1f}",
            ]
            for result in results
        ],
    )
    note = (
        f"Clients on the same machine send clips in real time, {PIECE_SECONDS * 1000:g} ms at a time. Latency is the "
        "time from sending the piece of audio that causes a result to the result. Every result is compared with that "
        f"of a stream alone. Made by `{command}`."
    )
    return [Heading("Load test", 1), summary, trials, note]


def load_test_json(results: Sequence[ServerResult]) -> list[dict[str, Any]]:
    """Return the results as JSON values."""
    return [asdict(result) for result in results]
