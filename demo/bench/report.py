"""The records of a bench report, which are its JSON, and the JSON schema.

``python -m edgespeech.demo.bench.report`` prints the schema; a copy is in ``schema.json``.
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
# Medians whose relative difference is smaller than this agree, however narrow their spreads are.
RESOLUTION = 0.02


class Spread(Record, frozen=True):
    """A figure that each launch (a fresh process) measured once: median, minimum and maximum over the launches."""

    median: float
    low: float
    high: float
    launches: int

    def agrees(self, other: Spread) -> bool:
        """Return whether the spreads of two runs overlap, or their medians are closer than `RESOLUTION`."""
        close = abs(self.median - other.median) <= RESOLUTION * max(abs(self.median), abs(other.median))
        return close or (self.low <= other.high and other.low <= self.high)


class Percentiles(Record, frozen=True):
    """Milliseconds of many chunks: p50 and p98 by launch, the other percentiles over the chunks of all launches."""

    p50: Spread
    p95: float
    p98: Spread
    p99: float
    max: float
    count: int


class Configuration(Record, frozen=True):
    """The measured configuration: a bundle and how it is run."""

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
    """Milliseconds to load: in a fresh process with the files dropped from the cache, and again in the same process."""

    cold: Spread
    warm: Spread
    files_were_cold: bool


class ChunkTimes(Record, frozen=True):
    """Milliseconds per chunk, by stage and in total."""

    acoustic: Percentiles
    decoder: Percentiles
    all: Percentiles


class RealTimeFactors(Record, frozen=True):
    """Processing seconds per second of audio: features and acoustic model, decoder, and in total."""

    acoustic: Spread
    decoder: Spread
    all: Spread


class Ratios(Record, frozen=True):
    """Real-time factors relative to the first configuration in the same rounds: lower is faster."""

    acoustic: Spread
    decoder: Spread
    all: Spread


class TimesToText(Record, frozen=True):
    """Milliseconds with audio that arrives in real time (simulated, without waiting); none of them is the latency.

    Attributes:
        first_partial: Time from the beginning of speech to the first whole word.
        final_on_stop: Time from the last sample to the final text if the stream is ended at once.
        final_on_silence: Time from the end of speech to the final text if silence ends the segment.
        compute: Time from the arrival of a chunk to its words, 98th percentile.
    """

    first_partial: Spread | None
    final_on_stop: Spread
    final_on_silence: Spread | None
    compute: float


class Memory(Record, frozen=True):
    """Resident megabytes of a process with one configuration; ``added`` is the part of the model and its states."""

    steady: Spread
    peak: Spread
    added: Spread


class Energy(Record, frozen=True):
    """Energy by a sensor of the machine, including everything else that the sensor covers.

    Attributes:
        source: Name of the sensor.
        joules_per_second_of_audio: Energy while processing as fast as possible, per second of processed audio.
        above_idle: The same energy without that of the idle machine.
        watts: Power while processing.
        idle_watts: Power before.
    """

    source: str
    joules_per_second_of_audio: Spread
    above_idle: Spread
    watts: Spread
    idle_watts: Spread


class Accuracy(Record, frozen=True):
    """Error rates as fractions, with the 95 % interval of the WER, and the real-time factor of whole recordings."""

    speech: str
    wer: float
    cer: float
    wer_interval: tuple[float, float] | None
    words: int
    utterances: int
    rtf: float


class Streams(Record, frozen=True):
    """Maximum number of streams for which 98 % of the chunks are done before the next chunk arrives.

    Attributes:
        unbatched: Maximum with one step of the graph for each stream.
        batched: Maximum with one step for all; None if the provider cannot do that.
        at_least: Whether a search ended at its limit.
    """

    unbatched: Spread
    batched: Spread | None
    at_least: bool


class Result(Record, frozen=True):
    """Figures of one configuration; ``relative`` is None for the first one."""

    configuration: Configuration
    load: Load
    chunk_times: ChunkTimes
    rtf: RealTimeFactors
    relative: Ratios | None
    latency: TimesToText
    memory: Memory | None
    cpu_seconds_per_second_of_audio: Spread
    cores_busy: float
    energy: Energy | None
    accuracy: Accuracy
    streams: Streams | None
    nodes: int | None
    nodes_on_cpu: dict[str, int] | None


class Report(Record, frozen=True, kw_only=True):
    """Everything that `edgespeech bench --json` prints."""

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
    """Summarise a figure over the launches, of which there is at least one."""
    return Spread(median=statistics.median(launches), low=min(launches), high=max(launches), launches=len(launches))


def apart_by_chance(launches: int, others: int) -> float:
    """Return the probability that the spreads of two runs of the same thing do not overlap.

    Then all launches of one run are below all of the other. This assumes no distribution of the launches, only that it
    is the same in both runs.
    """
    return 2.0 / math.comb(launches + others, others)


def percentiles(launches: Sequence[Sequence[float]]) -> Percentiles:
    """Summarise the chunk times of each launch, given in seconds; no launch may be empty."""
    p50, p98 = (spread([float(np.percentile(chunks, rank)) * 1e3 for chunks in launches]) for rank in (50, 98))
    everything = [seconds for chunks in launches for seconds in chunks]
    p95, p99, longest = (float(value) for value in np.percentile(everything, (95, 99, 100)) * 1e3)
    return Percentiles(p50=p50, p95=p95, p98=p98, p99=p99, max=longest, count=len(everything))


def read_report(path: Path) -> Report:
    """Read a report that `edgespeech bench --json` printed; raise UsageError if the file is not one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; give a report of `edgespeech bench --json`") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error)[:160]
        raise UsageError(
            f"{path} is not a bench report: {reason}; give a report of `edgespeech bench --json`"
        ) from None


def encode_report(report: Report, indent: int | None = None) -> bytes:
    """Encode a report as JSON, on one line unless an indent is given."""
    encoded = msgspec.json.encode(report)
    return encoded if indent is None else msgspec.json.format(encoded, indent=indent)


def schema() -> dict[str, Any]:
    """Make the JSON schema of a report."""
    described = msgspec.json.schema(Report)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": FORMAT, **described}


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1, sort_keys=True))
