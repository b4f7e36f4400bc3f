"""Whether a recording sounds like what its manifest says; one clip at a time, except for the pace of a whole corpus."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from edgespeech.errors import AudioError
from edgespeech.reference.data.clips import Clip, ClipRules, Unusable, stated_seconds
from edgespeech.runtime import audio
from edgespeech.runtime.manifest import Utterance

DURATION_TOLERANCE = (0.1, 0.02)  # seconds; share of the length
SILENT_PEAK = 0.003  # of full scale: -50 dB
FULL_SCALE = 0.999
MOST_CLIPPED = 0.01  # share of samples at full scale
FASTEST_CHARACTERS = 30.0  # per second; people reach about 25
PACE_FACTOR = 4.0  # from the median of the corpus
FEWEST_FOR_PACE = 20  # clips, below which a median says little


@dataclass(frozen=True)
class HeardClip:
    """A clip that was listened to; ``fingerprint`` is the same for equal samples, None where only headers were read."""

    clip: Clip
    fingerprint: bytes | None


def check_clip(rules: ClipRules, utterance: Utterance, is_part: bool, listen: bool) -> HeardClip:
    """Look at one line of a manifest and at its recording.

    Args:
        rules: What text and length must be.
        utterance: The line.
        is_part: Whether it is a part of its file; otherwise the file must be as long as the manifest says.
        listen: Decode the samples; otherwise the header has to do.

    Raises:
        Unusable: It cannot be learnt from.
    """
    if not utterance.path.is_file():
        raise Unusable("missing file")
    try:
        samples = audio.read(utterance.path, rules.sample_rate) if listen else np.zeros(0, np.float32)
        file_seconds = len(samples) / rules.sample_rate if listen else audio.info(utterance.path).duration
    except AudioError:
        raise Unusable("unreadable file") from None
    seconds = _part_seconds(utterance, file_seconds, is_part)
    clip = rules.clip(utterance, seconds)
    if len(clip.text) > FASTEST_CHARACTERS * seconds:
        raise Unusable(f"more than {FASTEST_CHARACTERS:g} characters per second")
    if not listen:
        return HeardClip(clip, None)
    start = round(utterance.offset * rules.sample_rate)
    loudness = np.abs(samples := samples[start : start + round(seconds * rules.sample_rate)])
    if loudness.max() < SILENT_PEAK:
        raise Unusable("silent")
    if float(np.mean(loudness >= FULL_SCALE)) > MOST_CLIPPED:
        raise Unusable(f"clipped: more than {MOST_CLIPPED:.0%} of the samples at full scale")
    return HeardClip(clip, hashlib.blake2b(np.round(samples * 32767.0).astype(np.int16).tobytes()).digest())


def _part_seconds(utterance: Utterance, file_seconds: float, is_part: bool) -> float:
    """Seconds of the utterance that the file really holds."""
    absolute, relative = DURATION_TOLERANCE
    there = file_seconds - utterance.offset
    stated = there if utterance.duration is None else stated_seconds(utterance)
    tolerance = max(absolute, relative * stated)
    if there < stated - tolerance or (not is_part and there > stated + tolerance) or there <= 0.0:
        raise Unusable("another length than the manifest says")
    return min(there, stated) if is_part else there


def pace_outliers(clips: Sequence[Clip]) -> list[bool]:
    """Which clips have far more or far fewer characters per second than the median of their corpus.

    A wrong transcript, or one of a part of the recording only, shows as such. Small corpora have no outliers.
    """
    if len(clips) < FEWEST_FOR_PACE:
        return [False] * len(clips)
    paces = [math.log(len(clip.text) / clip.seconds) for clip in clips]
    middle, most = median(paces), math.log(PACE_FACTOR)
    return [abs(pace - middle) > most for pace in paces]
