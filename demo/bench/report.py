"""What `edgespeech bench` found, as records: the JSON that is printed, and its schema; nothing is measured here.

``python -m edgespeech.demo.bench.report`` prints the schema, which stands in ``schema.json``.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from edgespeech.demo.machine.records import Conditions, Device, Record
from edgespeech.errors import UsageError

FORMAT = "edgespeech-bench"
SCHEMA = Path(__file__).with_name("schema.json")
# Medians that are closer than this are not told apart, however little either scattered.
RESOLUTION = 0.02


class Spread(Record, frozen=True):
    """A figure that every launch, a fresh process, measured once: the median of the launches, the least, the most."""

    median: float
    low: float
    high: float
    launches: int

    def agrees(self, other: Spread) -> bool:
        """Whether the launches of two runs overlap, or their medians are closer than `RESOLUTION`."""
        close = abs(self.median - other.median) <= RESOLUTION * max(abs(self.median), abs(other.median))
        return close or (self.low <= other.high and other.low <= self.high)


class Percentiles(Record, frozen=True):
    """Milliseconds of many chunks: p50 and p98 of each launch, the others of all chunks of all launches."""

    p50: Spread
    p95: float
    p98: Spread
    p99: float
    max: float
    count: int


class Configuration(Record, frozen=True):
    """What was measured: a bundle and how it is run."""

    name: str
    bundle: str
    model: str
    sha256: str
    form: str
    precision: str
    provider: str
    threads: int
    chunk_ms: float
    lookahead_ms: float
    beam_width: int
    language_model: bool
    acoustic_mb: float
    bundle_mb: float


class Load(Record, frozen=True):
    """Milliseconds from nothing to ready: in a fresh process with the files out of the cache, and once more in it."""

    cold: Spread
    warm: Spread
    files_were_cold: bool


class ChunkTimes(Record, frozen=True):
    """Milliseconds per chunk."""

    acoustic: Percentiles
    decoder: Percentiles
    all: Percentiles


class RealTimeFactors(Record, frozen=True):
    """Seconds of computing per second of audio: features with the acoustic model, the decoder, and everything."""

    acoustic: Spread
    decoder: Spread
    all: Spread


class Ratios(Record, frozen=True):
    """Real-time factors as shares of the first configuration's, in the same rounds: less is faster."""

    acoustic: Spread
    decoder: Spread
    all: Spread


class Latency(Record, frozen=True):
    """Milliseconds, with sound that arrives in real time, simulated with a clock that does not wait.

    Attributes:
        first_partial: From the beginning of speech until the first whole word is shown.
        final_on_stop: From the last sample to the final text, when the stream is ended at once.
        final_on_silence: From the end of speech to the final text, when silence ends the segment.
        compute: From the arrival of a chunk to its words, 98th percentile.
    """

    first_partial: Spread | None
    final_on_stop: Spread
    final_on_silence: Spread | None
    compute: float


class Memory(Record, frozen=True):
    """Resident megabytes of a process with this configuration only; ``added`` is what the model and its state take."""

    steady: Spread
    peak: Spread
    added: Spread


class Energy(Record, frozen=True):
    """What the machine's own sensor counted, all that it feeds included.

    Attributes:
        source: Which sensor.
        joules_per_second_of_audio: While computing as fast as possible, divided by the audio heard.
        above_idle: The same without what the machine takes when idle.
        watts: While computing.
        idle_watts: Before.
    """

    source: str
    joules_per_second_of_audio: Spread
    above_idle: Spread
    watts: Spread
    idle_watts: Spread


class Accuracy(Record, frozen=True):
    """Word errors, as a share of the reference's words, and the real-time factor of whole recordings.

    Attributes:
        wer_interval: Where the word error rate on other speech of this kind lies, with 95 % of certainty.
    """

    speech: str
    wer: float
    cer: float
    wer_interval: tuple[float, float] | None
    words: int
    utterances: int
    rtf: float


class Streams(Record, frozen=True):
    """The most streams for which 98 % of the chunks are done before the next chunk is there.

    Attributes:
        unbatched: One step of the graph for each stream.
        batched: One step for all; None where the provider refused.
        at_least: Whether a search ended at its limit.
    """

    unbatched: Spread
    batched: Spread | None
    at_least: bool


class Result(Record, frozen=True):
    """A configuration and its figures; ``relative`` is None for the first configuration."""

    configuration: Configuration
    load: Load
    chunk_times: ChunkTimes
    rtf: RealTimeFactors
    relative: Ratios | None
    latency: Latency
    memory: Memory | None
    cpu_seconds_per_second_of_audio: Spread
    cores_busy: float
    energy: Energy | None
    accuracy: Accuracy
    streams: Streams | None
    nodes: int | None
    nodes_on_cpu: dict[str, int] | None


class Report(Record, frozen=True, kw_only=True):
    """All that `edgespeech bench --json` prints."""

    format: Literal["edgespeech-bench"] = "edgespeech-bench"
    version: Literal[2] = 2
    made: str
    quick: bool
    audio: str
    audio_seconds: float
    launches: int
    device: Device
    versions: dict[str, str]
    conditions: Conditions
    results: tuple[Result, ...]


def spread(launches: Sequence[float]) -> Spread:
    """Summarise a figure of each launch; at least one is needed."""
    return Spread(median=statistics.median(launches), low=min(launches), high=max(launches), launches=len(launches))


def apart_by_chance(launches: int, others: int) -> float:
    """How likely two runs of the same thing are not to overlap: all of one's launches happen to be below the other's.

    That needs no assumption on how launches scatter, only that those of the two runs scatter alike.
    """
    return 2.0 / math.comb(launches + others, others)


def percentiles(launches: Sequence[Sequence[float]]) -> Percentiles:
    """Summarise the chunks of several launches, given in seconds; no launch is without."""
    p50, p98 = (spread([float(np.percentile(chunks, rank)) * 1e3 for chunks in launches]) for rank in (50, 98))
    everything = [seconds for chunks in launches for seconds in chunks]
    p95, p99, most = (float(value) for value in np.percentile(everything, (95, 99, 100)) * 1e3)
    return Percentiles(p50=p50, p95=p95, p98=p98, p99=p99, max=most, count=len(everything))


def read_report(path: Path) -> Report:
    """Read what `edgespeech bench --json` printed.

    Raises:
        UsageError: It cannot be read or is something else.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; give what `edgespeech bench --json` printed") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error)[:160]
        raise UsageError(f"{path} is no bench report: {reason}; give what `edgespeech bench --json` printed") from None


def schema() -> dict[str, Any]:
    """JSON schema of a report."""
    described = msgspec.json.schema(Report)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": FORMAT, **described}


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1, sort_keys=True))
