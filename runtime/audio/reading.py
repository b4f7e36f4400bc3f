"""Recordings as float32 in [-1, 1] at the rate that is wanted: whole, in blocks, or from a pipe."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import AudioError, DamagedAudioError, UsageError
from edgespeech.runtime.audio.arrays import finite_frames
from edgespeech.runtime.audio.channels import EACH, MIX, Channel, ChannelResampler, parse_channel
from edgespeech.runtime.audio.containers.kinds import recognise
from edgespeech.runtime.audio.containers.parts import ByteSource, Damage
from edgespeech.runtime.audio.decoding import damage_error, decode_file, decode_pipe, log_warning
from edgespeech.runtime.audio.opening import STANDARD_INPUT, name_of, open_file
from edgespeech.runtime.audio.pcm_stream import Arrivals
from edgespeech.runtime.audio.raw import RawFormat
from edgespeech.runtime.audio.resampler import SAMPLE_RATE, check_rate
from edgespeech.runtime.audio.scale import ScaleCheck
from edgespeech.runtime.audio.sound_file import Piece

Floats = NDArray[np.float32]
Warn = Callable[[str], None]


def read(path: str | Path, sample_rate: int = SAMPLE_RATE, channel: Channel = MIX) -> Floats:
    """Read a whole recording of any sample rate and number of channels.

    Args:
        path: WAV, FLAC, OGG, Opus, MP3 and others that libsndfile reads; more with the extra ``media``.
        sample_rate: Hz of the result.
        channel: ``mix`` for the mean of the channels, the number of one (from 1), or ``each``.

    Returns:
        float32 [n] in [-1, 1], [n, channels] for ``each``; empty for a file without samples.

    Raises:
        AudioError: The file is missing, unreadable or damaged, contains NaN or infinity, or has no such channel.
        UsageError: The channel is invalid.
    """
    pieces = list(_read_file(path, sample_rate, channel))
    return np.concatenate(pieces) if pieces else np.empty(0, np.float32)


def read_blocks(
    path: str | Path,
    sample_rate: int = SAMPLE_RATE,
    block_seconds: float = 1.0,
    channel: Channel = MIX,
    raw: RawFormat | None = None,
    warn: Warn = log_warning,
) -> Iterator[Floats]:
    """Read a recording in blocks which, joined, equal the result of ``read``.

    Only the last block is shorter; a file without samples has none. ``raw`` is the format of samples without a header.
    ``warn`` receives what is to be known although nothing is lost, such as channels that cancel, instead of the log.

    Raises:
        DamagedAudioError: Audio is missing in the file, or is NaN or infinity; what can be read came in the blocks
            before.
        AudioError: The file is missing or unreadable, or has no such channel.
        UsageError: ``block_seconds`` is not a positive, finite number, or the channel is invalid.
    """
    yield from _cut(_read_file(path, sample_rate, channel, raw, warn), _block_length(block_seconds, sample_rate))


def read_file_blocks(
    file: BinaryIO, name: str, sample_rate: int = SAMPLE_RATE, block_seconds: float = 1.0, channel: Channel = MIX
) -> Iterator[Floats]:
    """Read an open file with random access in blocks, as `read_blocks` does; messages begin with ``name``.

    Raises:
        DamagedAudioError: As for `read_blocks`.
        AudioError: As for `read_blocks`.
        UsageError: As for `read_blocks`.
    """
    check_rate(sample_rate, "output")
    length = _block_length(block_seconds, sample_rate)
    decoded = decode_file(ByteSource(file), name, sample_rate)
    yield from _cut(_convert(decoded, name, sample_rate, channel), length)


def read_standard_input(
    sample_rate: int = SAMPLE_RATE,
    *,
    raw: RawFormat | None = None,
    other: RawFormat | None = None,
    block_seconds: float = 1.0,
    channel: Channel = MIX,
    at_once: bool = False,
    warn: Warn = log_warning,
) -> Iterator[Floats]:
    """Read standard input in blocks: a file of any kind that `read` knows, or samples without a header.

    Args:
        sample_rate: Hz of the result.
        raw: Format of samples without a header; None to recognise files by their first bytes.
        other: Format of what is not recognised; 16-bit mono samples at 16 kHz by default.
        block_seconds: Length of the blocks.
        channel: As for `read`.
        at_once: Whether the samples of a WAV file are needed as they arrive; other files are read when complete.
        warn: As for `read_blocks`.

    Raises:
        DamagedAudioError: As for `read_blocks`.
        AudioError: As for `read_blocks`, or the pipe breaks or has text.
        UsageError: As for `read_blocks`.
    """
    length = _block_length(block_seconds, sample_rate)
    check_rate(sample_rate, "output")
    if sys.stdin is None:
        raise AudioError(f"{STANDARD_INPUT} is closed; wanted audio; pipe it there or give a file")
    decoded = decode_pipe(Arrivals(sys.stdin.buffer), raw, other or RawFormat(), sample_rate, at_once, warn)
    yield from _cut(_convert(decoded, STANDARD_INPUT, sample_rate, channel, warn), length)


def read_stream(
    stream: BinaryIO, sample_rate: float, encoding: str = "s16le", to_rate: float | None = None
) -> Iterator[Floats]:
    """Read headerless mono PCM from a pipe, and yield samples, float32 [n] in [-1, 1], as they arrive.

    An incomplete last sample is dropped.

    Args:
        stream: Binary stream such as ``sys.stdin.buffer``.
        sample_rate: Hz of the stream.
        encoding: One of `edgespeech.runtime.audio.raw.ENCODINGS`, such as ``s16le``.
        to_rate: Hz of the result; the rate of the stream when None.

    Raises:
        AudioError: The rate is invalid, samples are NaN, or the pipe breaks.
        UsageError: The encoding is unknown.
    """
    check_rate(sample_rate, "stream")
    raw = RawFormat(encoding, sample_rate)
    arrivals = Arrivals(stream)
    if (container := recognise(arrivals.available())) is not None:
        raise AudioError(
            f"{STANDARD_INPUT} is {container.name}; wanted raw PCM without header; use read_standard_input"
        )
    decoded = decode_pipe(arrivals, raw, raw, sample_rate, at_once=True)
    yield from _convert(decoded, STANDARD_INPUT, sample_rate if to_rate is None else to_rate, MIX)


def _convert(
    decoded: Iterable[Piece | Damage], name: str, to_rate: float, channel: Channel, warn: Warn = log_warning
) -> Iterator[Floats]:
    """Choose channels and resample, with checks of every sample; raise what is damaged behind all that is not."""
    chain = _Chain(name, to_rate, channel)
    first: DamagedAudioError | None = None
    for piece in decoded:
        if isinstance(piece, Damage):
            first = first or damage_error(name, piece, piece.second or 0.0)
            continue
        yield from chain.step(piece)
        if chain.not_finite_at is not None:
            second = chain.not_finite_at
            first = first or DamagedAudioError(
                f"{name}: NaN or infinity at {second:.3f} s; wanted samples in [-1, 1]; repair the source", second
            )
            break
    yield from chain.finish()
    for message in chain.messages:
        warn(message)
    if first is not None:
        raise first


class _Chain:
    """The stages behind a decoder; each new rate begins a new resampler."""

    def __init__(self, name: str, to_rate: float, channel: Channel) -> None:
        self._name, self._to_rate, self._channel = name, to_rate, parse_channel(channel)
        self._source: tuple[int, bool, int] | None = None  # rate, whether 32-bit, channels
        self._stages: tuple[ScaleCheck, ChannelResampler] | None = None
        self._messages: list[str] = []
        self._seconds = 0.0
        self.not_finite_at: float | None = None  # seconds

    def step(self, piece: Piece) -> Iterator[Floats]:
        count = finite_frames(piece.frames)
        if count < len(piece.frames):
            self.not_finite_at = self._seconds + count / piece.rate
        source = (piece.rate, piece.is_32_bit, piece.frames.shape[1])
        if source != self._source:
            yield from self._end()
            self._begin(*source)
            self._source = source
        self._seconds += count / piece.rate
        yield from self._step(piece.frames[:count])

    def finish(self) -> Iterator[Floats]:
        yield from self._end()

    @property
    def messages(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._messages))

    def _begin(self, rate: int, is_32_bit: bool, channels: int) -> None:
        check_rate(rate, self._name)
        if self._channel == EACH and self._source is not None and channels != self._source[2]:
            raise AudioError(
                f"{self._name} changes from {self._source[2]} to {channels} channels; wanted the same number for each; "
                "divide it, or choose another --channel"
            )
        scale = ScaleCheck(self._name, rate, is_32_bit)
        self._stages = scale, ChannelResampler(self._channel, self._name, rate, self._to_rate)

    def _end(self) -> Iterator[Floats]:
        if self._stages is not None and self._source is not None:
            yield from self._step(np.empty((0, self._source[2]), np.float32), last=True)
            self._messages += self._stages[1].messages()
            self._stages = None

    def _step(self, frames: NDArray[np.floating], last: bool = False) -> Iterator[Floats]:
        assert self._stages is not None
        scale, resampler = self._stages
        scale.step(frames, last)
        if len(resampled := resampler.step(frames, last)):
            yield resampled


def _cut(pieces: Iterable[Floats], length: int) -> Iterator[Floats]:
    """Regroup arrays of any length into arrays of ``length``; the last may be shorter but never empty."""
    waiting: list[Floats] = []
    held = 0
    damage: DamagedAudioError | None = None
    try:
        for piece in pieces:
            waiting.append(piece)
            held += len(piece)
            if held >= length:
                joined = np.concatenate(waiting)
                whole = held - held % length
                yield from (joined[begin : begin + length] for begin in range(0, whole, length))
                waiting, held = [joined[whole:]], held - whole
    except DamagedAudioError as error:
        damage = error
    if held:
        yield np.concatenate(waiting)
    if damage is not None:
        raise damage


def _read_file(
    path: str | Path, sample_rate: int, channel: Channel, raw: RawFormat | None = None, warn: Warn = log_warning
) -> Iterator[Floats]:
    check_rate(sample_rate, "output")
    name = name_of(path)
    with open_file(path) as source:
        if raw is None:
            decoded = decode_file(source, name, sample_rate, warn)
        else:
            source.file.seek(0)
            decoded = decode_pipe(Arrivals(source.file), raw, raw, sample_rate, at_once=True)
        yield from _convert(decoded, name, sample_rate, channel, warn)


def _block_length(block_seconds: float, sample_rate: int) -> int:
    if not 0.0 < block_seconds < math.inf:
        raise UsageError(f"block length of {block_seconds} s; wanted more than 0 s; choose for example 1.0")
    return max(1, round(block_seconds * sample_rate))
