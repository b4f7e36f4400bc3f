"""A recording and its text become clips: the whole way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgespeech.reference.alignment.clips import Clip, Clipper
from edgespeech.reference.alignment.emissions import Emissions, Recognised, compute_emissions
from edgespeech.reference.alignment.placing import Place, place_sentences
from edgespeech.reference.alignment.rules import ClipLimits
from edgespeech.reference.alignment.script import Sentence
from edgespeech.runtime.recognition import Parts

Floats = NDArray[np.float32]
NOT_FOUND = "text that is not in the audio, or that is not recognised"
NO_READING = "text that cannot be spelled in the labels"


@dataclass(frozen=True)
class Alignment:
    """The clips of a recording, in its order.

    Attributes:
        kept: The clips to train on.
        dropped: The others, with the reasons.
        sentences: Number of sentences of the text.
        left_out: Number of sentences without a clip, by reason.
        seconds: Seconds of audio.
    """

    kept: tuple[Clip, ...]
    dropped: tuple[tuple[Clip, str], ...]
    sentences: int
    left_out: dict[str, int]
    seconds: float


def align(parts: Parts, blocks: Iterable[Floats], sentences: Sequence[Sentence], limits: ClipLimits) -> Alignment:
    """Align a recording and its text.

    Args:
        parts: The stages of a recognizer; its search is not used.
        blocks: Samples at the rate of the model, float32 [n] in [-1, 1].
        sentences: The text, from `read_script`.
        limits: What a clip must meet.

    Raises:
        AudioError: The recording is empty, or cannot be read.
    """
    return align_emissions(compute_emissions(parts, blocks), sentences, limits)


def align_emissions(emissions: Emissions, sentences: Sequence[Sentence], limits: ClipLimits) -> Alignment:
    """Align the output of a model and a text, as `align` does."""
    recognised = Recognised.of(emissions)
    places: list[Place] = place_sentences([sentence.readings for sentence in sentences], recognised.text)
    clipper = Clipper(emissions, recognised, limits.min_seconds, limits.max_seconds)
    clips = clipper.clips(sentences, places)
    reasons = [(clip, limits.reason(clip)) for clip in clips]
    left_out = Counter(NOT_FOUND if sentence.readings else NO_READING for sentence in sentences)
    left_out[NOT_FOUND] -= len(places)
    return Alignment(
        kept=tuple(clip for clip, reason in reasons if reason is None),
        dropped=tuple((clip, reason) for clip, reason in reasons if reason is not None),
        sentences=len(sentences),
        left_out=dict(+left_out),
        seconds=emissions.seconds,
    )
