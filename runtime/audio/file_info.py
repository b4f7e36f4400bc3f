"""Duration, rate and channels of audio files, from their headers where these can be trusted."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgespeech.errors import AudioError
from edgespeech.runtime.audio import foreign
from edgespeech.runtime.audio.containers import flac
from edgespeech.runtime.audio.containers.layout import find_layout
from edgespeech.runtime.audio.containers.parts import ByteSource, Damage, Part
from edgespeech.runtime.audio.decoding import damage_error, decode_file
from edgespeech.runtime.audio.opening import name_of, open_file
from edgespeech.runtime.audio.resampler import check_rate
from edgespeech.runtime.audio.sound_file import NotReadableError, open_part

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AudioInfo:
    """Duration in seconds, sample rate in Hz and number of channels of an audio file.

    Attributes:
        duration: Of what can be read.
        damage: Where and why audio is missing; empty if the file is complete.
    """

    duration: float
    sample_rate: int
    channels: int
    damage: str = ""


def info(path: str | Path) -> AudioInfo:
    """Read the headers of an audio file, and its samples if the headers do not contain their number or are wrong.

    A file that is cut off gives a warning, and the duration up to there. Damage in the middle is found by `read` only.

    Raises:
        AudioError: The file cannot be opened as audio.
    """
    name = name_of(path)
    with open_file(path) as source:
        container, layout = find_layout(source, math.inf)
        found = None
        if container.native and all(_header_is_right(source, part) for part in layout.parts):
            with suppress(NotReadableError):
                found = _info_of_headers(source, layout.parts, name)
        found = found or _info_of_samples(source, name)
    if found.damage:
        log.warning("%s", found.damage)
    return found


def stated_duration(path: str | Path) -> float | None:
    """Return the seconds of audio that a file states, rightly or not, without decoding it; None if it states none."""
    if not os.path.isfile(path):
        return None
    with suppress(AudioError, NotReadableError), open_file(path) as source:
        container, layout = find_layout(source, math.inf)
        if not container.native:
            return foreign.stated_seconds(source, layout.parts[0], container)
        found = _info_of_headers(source, layout.parts, name_of(path))
        return None if found is None else found.duration
    return None


def _header_is_right(source: ByteSource, part: Part) -> bool:
    """Whether the number of samples in the header of a part can be trusted: other decoders limit it by the length."""
    return source.at(part.begin, 4) != b"fLaC" or bool(part.head) or flac.is_complete(source, part)


def _info_of_headers(source: ByteSource, parts: Sequence[Part], name: str) -> AudioInfo | None:
    """Return what the headers of all parts say, None if they do not know their lengths."""
    seconds, damage, first = 0.0, "", None
    for part in parts:
        with open_part(source, part) as sound:
            check_rate(sound.samplerate, name)
            if sound.count is None:
                return None
            first = first or (sound.samplerate, sound.channels)
            begin, seconds = seconds, seconds + sound.count / sound.samplerate
        for one in part.damage:
            damage = damage or str(damage_error(name, one, seconds if one.second is None else begin + one.second))
    return None if first is None else AudioInfo(seconds, *first, damage)


def _info_of_samples(source: ByteSource, name: str) -> AudioInfo:
    seconds, damage, first = 0.0, "", None
    for piece in decode_file(source, name, math.inf):
        if isinstance(piece, Damage):
            damage = damage or str(damage_error(name, piece, piece.second or 0.0))
            continue
        first = first or (piece.rate, piece.frames.shape[1])
        seconds += len(piece.frames) / piece.rate
    if first is None:
        raise AudioError(f"{name} has no samples; wanted a recording; record or copy it again")
    check_rate(first[0], name)
    return AudioInfo(seconds, *first, damage)
