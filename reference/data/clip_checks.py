"""Checks that a recording matches its line in the manifest: length, loudness, clipping, and speaking rate."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from edgespeech.errors import AudioError, DamagedAudioError
from edgespeech.reference.data.clips import Clip, ClipRules, Unusable, stated_seconds
from edgespeech.runtime import audio
from edgespeech.runtime.manifest import Utterance

DURATION_TOLERANCE = (0.1, 0.02)  # seconds; fraction of the length
SILENT_PEAK = 0.003  # of full scale: -50 dB
FULL_SCALE = 0.999
MAX_CLIPPED = 0.01  # fraction of samples at full scale
MAX_CHARACTERS_PER_SECOND = 30.0  # people reach about 25
MAX_PACE_RATIO = 4.0  # to the median of the corpus
MIN_CLIPS_FOR_PACE = 20  # with fewer, the median means little


@dataclass(frozen=True)
class CheckedClip:
    """A clip that passed; ``fingerprint`` is the same for equal samples, None if only the header was read."""

    clip: Clip
    fingerprint: bytes | None


def check_clip(rules: ClipRules, utterance: Utterance, is_part: bool, decode: bool) -> CheckedClip:
    """Check one line of a manifest and its recording.

    Args:
        rules: Requirements for text and length.
        utterance: The line of the manifest.
        is_part: Whether it is a part of its file; otherwise the file must be as long as the manifest says.
        decode: Decode the samples; otherwise only read the header.

    Raises:
        Unusable: The clip cannot be trained on.
    """
    if not os.path.isfile(utterance.path):
        raise Unusable("missing file")
    try:
        samples = audio.read(utterance.path, rules.sample_rate) if decode else np.zeros(0, np.float32)
        file_seconds = len(samples) / rules.sample_rate if decode else _header_seconds(utterance)
    except DamagedAudioError:
        raise Unusable("damaged file") from None
    except AudioError:
        raise Unusable("unreadable file") from None
    seconds = _part_seconds(utterance, file_seconds, is_part)
    clip = rules.clip(utterance, seconds)
    if len(clip.text) > MAX_CHARACTERS_PER_SECOND * seconds:
        raise Unusable(f"more than {MAX_CHARACTERS_PER_SECOND:g} characters per second")
    if not decode:
        return CheckedClip(clip, None)
    start = round(utterance.offset * rules.sample_rate)
    loudness = np.abs(samples := samples[start : start + round(seconds * rules.sample_rate)])
    if loudness.max() < SILENT_PEAK:
        raise Unusable("silent")
    if float(np.mean(loudness >= FULL_SCALE)) > MAX_CLIPPED:
        raise Unusable(f"clipped: more than {MAX_CLIPPED:.0%} of the samples at full scale")
    return CheckedClip(clip, hashlib.blake2b(np.round(samples * 32767.0).astype(np.int16).tobytes()).digest())


def _header_seconds(utterance: Utterance) -> float:
    known = audio.info(utterance.path)
    if known.damage:
        raise Unusable("damaged file")
    return known.duration


def _part_seconds(utterance: Utterance, file_seconds: float, is_part: bool) -> float:
    absolute, relative = DURATION_TOLERANCE
    available = file_seconds - utterance.offset
    stated = available if utterance.duration is None else stated_seconds(utterance)
    tolerance = max(absolute, relative * stated)
    if available < stated - tolerance or (not is_part and available > stated + tolerance) or available <= 0.0:
        raise Unusable("another length than the manifest says")
    return min(available, stated) if is_part else available


def pace_outliers(clips: Sequence[Clip]) -> list[bool]:
    """Mark clips whose characters per second are far from the median, as with a wrong transcript or one of only a part.

    A small corpus has no outliers.
    """
    if len(clips) < MIN_CLIPS_FOR_PACE:
        return [False] * len(clips)
    paces = [math.log(len(clip.text) / clip.seconds) for clip in clips]
    middle, limit = median(paces), math.log(MAX_PACE_RATIO)
    return [abs(pace - middle) > limit for pace in paces]
