"""Files and pipes as decoded frames, part by part, with the places where audio is missing."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from edgespeech.errors import AudioError
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
from edgespeech.runtime.audio.pcm_stream import Arrivals, decode_arrivals, wav_header
from edgespeech.runtime.audio.raw import RawFormat
from edgespeech.runtime.audio.sound_file import NotReadableError, Piece, decode_part

log = logging.getLogger(__name__)


def decode_file(source: ByteSource, name: str, wanted_rate: float) -> Iterator[Piece | Damage]:
    """Decode all parts of a file; the seconds of damage count from the beginning of the file.

    Args:
        source: The bytes.
        name: What messages begin with.
        wanted_rate: Hz at which the audio is needed; Opus is decoded at a rate that is enough for it.

    Raises:
        AudioError: The file has an unknown format, or one that needs a further library.
    """
    container, layout = find_layout(source, wanted_rate)
    for warning in layout.warnings:
        log.warning("%s: %s", name, warning)
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
    arrivals: Arrivals, raw: RawFormat | None, other: RawFormat, wanted_rate: float, at_once: bool
) -> Iterator[Piece | Damage]:
    """Decode standard input: samples in the format ``raw`` or, without one, what its first bytes say.

    Args:
        arrivals: The pipe.
        raw: Format of samples without a header; None to look at the first bytes.
        other: Format of what is not a file of a known kind.
        wanted_rate: As for `decode_file`.
        at_once: Whether samples of a WAV file are needed before it ends.

    Raises:
        AudioError: As for `decode_file`, or the pipe breaks, or has text.
    """
    head = b"" if raw is not None else arrivals.peek(SNIFFED_BYTES)
    container = recognise(head)
    if container is None and not head.startswith(b"ID3") and first_mpeg_frame(head) < 0:
        if found := not_audio(head):
            raise AudioError(f"{STANDARD_INPUT} is {found}; wanted audio: {READABLE}, or raw samples")
        yield from _decode_raw(arrivals, raw or other)
        return
    if container is WAV and at_once and head.startswith(b"RIFF"):
        header = wav_header(arrivals)
        if header is not None:
            yield from _decode_raw(arrivals, *header)
            return
    with spool(arrivals) as source:
        yield from decode_file(source, STANDARD_INPUT, wanted_rate)


def _decode_raw(arrivals: Arrivals, raw: RawFormat, length: int | None = None) -> Iterator[Piece | Damage]:
    found = 0
    for frames in decode_arrivals(arrivals, raw, length):
        found += len(frames)
        yield Piece(frames, int(raw.sample_rate), raw.is_32_bit)
    if length is None:
        return
    behind = arrivals.take(SNIFFED_BYTES)
    if found * raw.frame_bytes + raw.frame_bytes <= length:
        yield Damage("it is cut off", found / raw.sample_rate)
    elif len(behind) >= 8 and any(behind) and not behind[:4].isascii():
        yield Damage("more follows than its header says", found / raw.sample_rate)
    elif recognise(behind) is not None:
        yield Damage("another recording follows", found / raw.sample_rate)


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
