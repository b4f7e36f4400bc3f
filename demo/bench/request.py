"""What `edgespeech bench` is asked to measure, and with how much effort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgespeech.demo.bench.plan import Grid, Plan, Speech
from edgespeech.runtime import audio
from edgespeech.runtime.acoustic_model import require_provider
from edgespeech.runtime.bundle import DEFAULT_BUNDLE, load_bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS
from edgespeech.runtime.measure.references import read_references


@dataclass(frozen=True)
class Effort:
    """How much is measured; too little for figures to quote if ``quick``.

    Attributes:
        launches: Fresh processes for each configuration, and for all of them together.
        rounds: Rounds of each launch over the passage.
        max_seconds: Seconds for each configuration after which no further round begins.
        speech_seconds: Length of the passage.
        busy_seconds: Duration of the load for CPU time and energy.
        max_streams: Limit of the search for streams; 0 skips it.
        stream_rounds: Chunks of each stream in a trial of that search.
    """

    launches: int = 6
    rounds: int = 3
    max_seconds: float = 3.0
    speech_seconds: float = 30.0
    busy_seconds: float = 1.0
    max_streams: int = 512
    stream_rounds: int = 3
    quick: bool = False


QUICK = Effort(
    launches=1,
    rounds=2,
    max_seconds=0.5,
    speech_seconds=3.0,
    busy_seconds=0.1,
    max_streams=3,
    stream_rounds=2,
    quick=True,
)


@dataclass(frozen=True)
class BenchRequest:
    """Options of `edgespeech bench`; every combination of bundles, providers, threads, chunks and beam widths is run.

    Attributes:
        bundles: Folders; ratios are to the first configuration.
        providers: Providers of onnxruntime.
        threads: Numbers of threads of the acoustic model.
        chunks_ms: Chunk lengths; the bundle's own if empty.
        beam_widths: Beam widths; the bundle's own if empty.
        audio: Recording to process instead of the sample clips.
        dev: Manifest to count word errors on instead of the sample clips.
        launches: Number of launches instead of the effort's own.
        no_streams: Whether to skip the search for streams.
    """

    bundles: Sequence[Path]
    providers: Sequence[str] = ("cpu",)
    threads: Sequence[int] = (1,)
    chunks_ms: Sequence[float] = ()
    beam_widths: Sequence[int] = ()
    no_lm: bool = False
    audio: Path | None = None
    dev: Path | None = None
    launches: int | None = None
    no_streams: bool = False
    quick: bool = False

    @property
    def effort(self) -> Effort:
        """Effort with the changes that were asked for."""
        effort = QUICK if self.quick else Effort()
        if self.launches is not None:
            effort = replace(effort, launches=self.launches)
        return replace(effort, max_streams=0) if self.no_streams else effort

    @property
    def passage(self) -> Speech:
        """Speech that every configuration processes."""
        return Speech(
            manifest=str(SAMPLE_CLIPS.absolute()),
            audio=None if self.audio is None else str(self.audio.absolute()),
            seconds=self.effort.speech_seconds,
        )

    def check(self) -> None:
        """Check everything that can be checked without loading a model.

        Raises:
            EdgespeechError: A setting, a bundle, a provider, the recording or the manifest is invalid.
        """
        replace(self, bundles=self.bundles or [DEFAULT_BUNDLE]).plans()
        for provider in self.providers:
            if provider != "all":
                require_provider(provider)
        for folder in self.bundles:
            load_bundle(folder)
        self.passage.read(audio.SAMPLE_RATE)
        if self.dev is not None:
            read_references(self.dev).log()

    def plans(self) -> list[Plan]:
        """List the configurations; raise UsageError if there are too many, or a setting is out of range."""
        grid = Grid(self.bundles, self.providers, self.threads, self.chunks_ms, self.beam_widths, not self.no_lm)
        return grid.plans()
