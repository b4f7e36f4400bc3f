"""Files and pipes as decoded frames, part by part, with the places where audio is missing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import AudioError, DamagedAudioError
from edgespeech.runtime.audio.containers.kinds import (
    OTHER,
    READABLE,
    SNIFFED_BYTES,
    WAV,
    Container,
    not_audio,
    recognise,
)
from edgespeech.runtime.audio.containers.layout import find_layout
from edgespeech.runtime.audio.containers.mpeg_frames import first_mpeg_frame
from edgespeech.runtime.audio.containers.parts import ByteSource, Damage, Part
from edgespeech.runtime.audio.foreign import can_decode_foreign, decode_foreign
from edgespeech.runtime.audio.opening import STANDARD_INPUT, spool
from edgespeech.runtime.audio.pcm_stream import Arrivals, decode_arrivals, skip_chunks, wav_header
from edgespeech.runtime.audio.raw import RawFormat
from edgespeech.runtime.audio.sound_file import NotReadableError, Piece, decode_part

log = logging.getLogger(__name__)


def log_warning(message: str) -> None:
    """Log what is to be known about a recording of which nothing is lost."""
    log.warning("%s", message)


def decode_file(
    source: ByteSource, name: str, wanted_rate: float, warn: Callable[[str], None] = log_warning
) -> Iterator[Piece | Damage]:
    """Decode all parts of a file; the seconds of damage count from the beginning of the file.

    Args:
        source: The bytes.
        name: What messages begin with.
        wanted_rate: Hz at which the audio is needed; Opus is decoded at a rate that is enough for it.
        warn: Receives warnings although nothing is lost.

    Raises:
        AudioError: The file has an unknown format, or one that needs a further library.
    """
    container, layout = find_layout(source, wanted_rate)
    for warning in layout.warnings:
        warn(f"{name}: {warning}")
    if not container.native:
        yield from _timed(decode_foreign(source, layout.parts[0], container, name))
        return
    seconds = 0.0
    for number, part in enumerate(layout.parts):
        try:
            for piece in _timed(decode_part(source, part), seconds):
                if isinstance(piece, Piece):
                    seconds += len(piece.frames) / piece.rate
                yield piece
        except NotReadableError:
            if number:
                yield Damage("what follows there has an unknown format", seconds)
                continue
            for piece in _timed(_other_decoder(source, part, container, name)):
                if isinstance(piece, Piece):
                    seconds += len(piece.frames) / piece.rate
                yield piece


def decode_pipe(
    arrivals: Arrivals,
    raw: RawFormat | None,
    other: RawFormat,
    wanted_rate: float,
    at_once: bool,
    warn: Callable[[str], None] = log_warning,
) -> Iterator[Piece | Damage]:
    """Decode standard input: samples in the format ``raw`` or, without one, what its first bytes say.

    Args:
        arrivals: The pipe.
        raw: Format of samples without a header; None to look at the first bytes.
        other: Format of what is not a file of a known kind.
        wanted_rate: As for `decode_file`.
        at_once: Whether samples of a WAV file are needed before it ends.
        warn: As for `decode_file`.

    Raises:
        AudioError: As for `decode_file`, or the pipe breaks, or has text.
    """
    head = b"" if raw is not None else arrivals.peek(SNIFFED_BYTES)
    container = recognise(head)
    if container is None and not head.startswith(b"ID3") and first_mpeg_frame(head) < 0:
        if found := not_audio(head):
            raise AudioError(f"{STANDARD_INPUT} is {found}; wanted audio: {READABLE}, or raw samples")
        for frames in decode_arrivals(arrivals, raw or other):
            yield _piece(frames, raw or other)
        return
    if container is WAV and at_once and head.startswith(b"RIFF"):
        header = wav_header(arrivals)
        if header is not None:
            end = yield from _decode_wav(arrivals, *header)
            if end is not None:
                yield from _timed(decode_pipe(arrivals, None, other, wanted_rate, at_once, warn), end)
            return
    with spool(arrivals) as source:
        yield from decode_file(source, STANDARD_INPUT, wanted_rate, warn)


def _decode_wav(
    arrivals: Arrivals, raw: RawFormat, length: int | None
) -> Generator[Piece | Damage, None, float | None]:
    """Decode the samples behind the header of a WAV file as they arrive; return its seconds if another file follows."""
    found = 0
    for frames in decode_arrivals(arrivals, raw, length):
        found += len(frames)
        yield _piece(frames, raw)
    if length is None:
        return None
    seconds = found / raw.sample_rate
    if found * raw.frame_bytes + raw.frame_bytes <= length:
        yield Damage("it is cut off", seconds)
        return None
    what = skip_chunks(arrivals, length)
    if what == "unknown":
        yield Damage("more follows than its header says", seconds)
    return seconds if what == "another" else None


def _piece(frames: NDArray[np.floating], raw: RawFormat) -> Piece:
    return Piece(frames, int(raw.sample_rate), raw.is_32_bit)


def _timed(pieces: Iterator[Piece | Damage], start: float = 0.0) -> Iterator[Piece | Damage]:
    """Give each damage its second, counted from the beginning of the file."""
    seconds = start
    for piece in pieces:
        if isinstance(piece, Damage):
            yield Damage(piece.reason, seconds if piece.second is None else start + piece.second)
        else:
            seconds += len(piece.frames) / piece.rate
            yield piece


def _other_decoder(source: ByteSource, part: Part, container: Container, name: str) -> Iterator[Piece | Damage]:
    """Decode a file of a kind that libsndfile knows with a codec that it does not know."""
    if container.foreign and can_decode_foreign():
        try:
            yield from decode_foreign(source, part, container, name)
            return
        except AudioError:
            pass
    if container is OTHER and name.endswith((".raw'", ".pcm'")):
        raise AudioError(
            f"{name} is raw PCM by its name; wanted {READABLE}; name its format with --raw, for example s16le:16000:1"
        )
    hint = "" if can_decode_foreign() or not container.foreign else ", or pip install 'edgespeech[media]'"
    raise AudioError(f"{name} has an unknown format or is cut off in its header; wanted {READABLE}; convert it{hint}")


def damage_error(name: str, damage: Damage, second: float) -> DamagedAudioError:
    """Return the error for audio that is missing from this second of a recording on."""
    return DamagedAudioError(f"{name} is damaged at {second:.2f} s: {damage.reason}; copy or convert it again", second)
