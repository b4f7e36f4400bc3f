"""What is measured: a configuration of a bundle, all combinations of settings, and the speech to process."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import AudioError, UsageError
from edgespeech.runtime import audio
from edgespeech.runtime.manifest import read_manifest, read_samples
from edgespeech.runtime.options import RecognizerOptions

Floats = NDArray[np.float32]

MAX_CONFIGURATIONS = 64
MIN_SECONDS = 0.5
PIECE_SECONDS = 10.0
_DEFAULT: tuple[None] = (None,)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration: a bundle and how to run it; None selects the default of the bundle."""

    bundle: str
    provider: str = "cpu"
    threads: int = 1
    chunk_ms: float | None = None
    beam_width: int | None = None
    language_model: bool = True


@dataclass(frozen=True)
class Grid:
    """Settings of which every combination is measured; an empty sequence selects the default of the bundle."""

    bundles: Sequence[Path]
    providers: Sequence[str] = ("cpu",)
    threads: Sequence[int] = (1,)
    chunks_ms: Sequence[float] = ()
    beam_widths: Sequence[int] = ()
    language_model: bool = True

    def plans(self) -> list[Plan]:
        """List every combination; raise UsageError if there are none or too many, or a setting is out of range."""
        require_settings(self.chunks_ms, self.threads, self.beam_widths)
        plans = [
            Plan(
                bundle=str(bundle.absolute()),
                provider=provider,
                threads=threads,
                chunk_ms=chunk_ms,
                beam_width=beam_width,
                language_model=self.language_model,
            )
            for bundle, provider, chunk_ms, beam_width, threads in itertools.product(
                self.bundles, self.providers, self.chunks_ms or _DEFAULT, self.beam_widths or _DEFAULT, self.threads
            )
        ]
        if not plans:
            raise UsageError("an option with several values has none; give at least one, or leave the option out")
        if len(plans) > MAX_CONFIGURATIONS:
            raise UsageError(f"{len(plans)} configurations; wanted at most {MAX_CONFIGURATIONS}; leave some values out")
        return plans


def require_settings(chunks_ms: Sequence[float], threads: Sequence[int], beam_widths: Sequence[int]) -> None:
    """Raise UsageError for a value that no bundle can have: JSON has no NaN, and would select the default chunk."""
    for chunk_ms in chunks_ms:
        if not 0.0 < chunk_ms < math.inf:
            raise UsageError(f"chunk of {chunk_ms:g} ms: wanted a positive number of milliseconds; correct it")
    for number in threads:
        RecognizerOptions(threads=number)
    for beam_width in beam_widths:
        RecognizerOptions(beam_width=beam_width)


class Speech(msgspec.Struct, frozen=True, kw_only=True):
    """The passage to process, of ``seconds`` at most: recordings of a manifest, or one audio file cut into pieces."""

    manifest: str
    audio: str | None = None
    seconds: float = 30.0

    def read(self, sample_rate: int) -> list[Floats]:
        """Read the passage as recordings, each float32 [samples].

        Raises:
            EdgespeechError: A file cannot be read, or no recording is long enough.
        """
        left, recordings = round(self.seconds * sample_rate), []
        for recording in self._read_all(sample_rate):
            recordings.append(recording[:left])
            left -= len(recordings[-1])
        recordings = [recording for recording in recordings if len(recording) >= MIN_SECONDS * sample_rate]
        if not recordings:
            raise AudioError(f"{self.audio or self.manifest} has less than half a second of sound; give some speech")
        return recordings

    def _read_all(self, sample_rate: int) -> list[Floats]:
        limit = round(self.seconds * sample_rate)
        if self.audio is not None:
            whole = audio.read(self.audio, sample_rate)[:limit]
            size = round(PIECE_SECONDS * sample_rate)
            return [whole[start : start + size] for start in range(0, len(whole), size)]
        recordings: list[Floats] = []
        for utterance in read_manifest(self.manifest, check_files=True):
            recordings.append(read_samples(utterance, sample_rate))
            if sum(map(len, recordings)) >= limit:
                break
        return recordings
