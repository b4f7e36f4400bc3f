"""Audio from files, arrays and pipes as float32 mono in [-1, 1]. Microphones are read by `runtime.live`."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile  # type: ignore[import-untyped]
from numpy.typing import ArrayLike, NDArray

from edgespeech.errors import AudioError, UsageError
from edgespeech.runtime.audio.resampler import SAMPLE_RATE, Resampler, check_rate

MAX_CHANNELS = 64  # more columns suggest an array [channels, n]

_FRAMES_PER_READ = 16384
_BYTES_PER_READ = 65536
_UNCOUNTED = 2**62  # frames; libsndfile returns the largest integer if the header of a FLAC file has no number
_READABLE = "WAV, FLAC, OGG, Opus or MP3"

# Divisor that scales samples to [-1, 1]; silence is 128 in uint8, as in 8-bit WAV.
_FULL_SCALE = {"float32": 1.0, "float64": 1.0, "int16": 2.0**15, "int32": 2.0**31, "uint8": 2.0**7}
_ENCODINGS = {"u8": "u1", "s16le": "<i2", "s32le": "<i4", "f32le": "<f4"}
_HEADERS = (b"RIFF", b"fLaC", b"OggS", b"ID3")


@dataclass(frozen=True)
class AudioInfo:
    """Duration in seconds, sample rate in Hz and number of channels, from the header of an audio file."""

    duration: float
    sample_rate: int
    channels: int


def info(path: str | Path) -> AudioInfo:
    """Read the header of an audio file, and its samples if the header does not contain their number.

    Raises:
        AudioError: The file cannot be opened as audio.
    """
    with _open(path) as sound:
        count = sound.frames
        if count >= _UNCOUNTED:
            count = sum(len(frames) for frames in _frames(sound, _name(path)))
        return AudioInfo(count / sound.samplerate, sound.samplerate, sound.channels)


def read(path: str | Path, sample_rate: int = SAMPLE_RATE) -> NDArray[np.float32]:
    """Read a whole WAV, FLAC, OGG, Opus or MP3 file of any sample rate and number of channels.

    Returns:
        float32 [n] in [-1, 1], the mean of the channels; empty for a file without samples.

    Raises:
        AudioError: The file is missing, unreadable, damaged, or contains NaN or infinity.
    """
    return np.concatenate([np.empty(0, np.float32), *_pieces(path, sample_rate)])


def read_blocks(
    path: str | Path, sample_rate: int = SAMPLE_RATE, block_seconds: float = 1.0
) -> Iterator[NDArray[np.float32]]:
    """Read an audio file in blocks of float32 in [-1, 1] which, joined, equal the result of ``read``.

    Only the last block is shorter; a file without samples has none.

    Raises:
        AudioError: The file is missing, unreadable or damaged, or the block contains NaN or infinity.
        UsageError: ``block_seconds`` is not a positive, finite number.
    """
    if not 0.0 < block_seconds < math.inf:
        raise UsageError(f"block length of {block_seconds} s; wanted more than 0 s; choose for example 1.0")
    yield from _cut(_pieces(path, sample_rate), max(1, round(block_seconds * sample_rate)))


def from_array(samples: ArrayLike, sample_rate: float, to_rate: float | None = None) -> NDArray[np.float32]:
    """Check and convert samples in memory.

    Args:
        samples: [n] or [n, channels]; float32 or float64 in [-1, 1] (clipped), int16, int32, or uint8 around 128.
        sample_rate: Hz of ``samples``.
        to_rate: Hz of the result; the rate of ``samples`` when None.

    Returns:
        float32 [m] in [-1, 1], the mean of the channels; a copy.

    Raises:
        AudioError: A wrong dtype, shape or rate; NaN or infinity.
    """
    check_rate(sample_rate, "array")
    try:
        array = np.asarray(samples)
    except (TypeError, ValueError):
        raise AudioError(f"samples of type {type(samples).__name__}; wanted numbers [n] or [n, channels]") from None
    if array.dtype.name not in _FULL_SCALE:
        raise AudioError(f"samples of dtype {array.dtype}; wanted {', '.join(_FULL_SCALE)}; convert them first")
    if array.ndim not in (1, 2) or (array.ndim == 2 and not 1 <= array.shape[1] <= MAX_CHANNELS):
        shape = list(array.shape)
        raise AudioError(
            f"samples of shape {shape}; wanted [n] or [n, channels], at most {MAX_CHANNELS}; transpose them"
        )
    frames = array[:, None] if array.ndim == 1 else array
    mono = _to_mono(_to_float(frames), "samples", 0, sample_rate)
    return Resampler(sample_rate, sample_rate if to_rate is None else to_rate).step(mono, last=True)


def read_stream(
    stream: BinaryIO, sample_rate: float, encoding: str = "s16le", to_rate: float | None = None
) -> Iterator[NDArray[np.float32]]:
    """Read headerless mono PCM from a pipe, and yield samples, float32 [n] in [-1, 1], as they arrive.

    An incomplete last sample is dropped.

    Args:
        stream: Binary stream such as ``sys.stdin.buffer``.
        sample_rate: Hz of the stream.
        encoding: ``u8``, ``s16le``, ``s32le`` or ``f32le``.
        to_rate: Hz of the result; the rate of the stream when None.

    Raises:
        AudioError: The rate is invalid, an audio file comes instead of PCM, samples are NaN, or the pipe breaks.
        UsageError: The encoding is unknown.
    """
    if encoding not in _ENCODINGS:
        raise UsageError(f"PCM encoding {encoding!r}; wanted one of {', '.join(_ENCODINGS)}")
    check_rate(sample_rate, "stream")
    dtype = np.dtype(_ENCODINGS[encoding])
    resampler = Resampler(sample_rate, sample_rate if to_rate is None else to_rate)
    position, remainder = 0, b""
    for received in _arrivals(stream):
        if position == 0 and not remainder and received.startswith(_HEADERS):
            raise AudioError("standard input is an audio file; wanted raw PCM without header; give the file's path")
        received = remainder + received
        whole = len(received) - len(received) % dtype.itemsize
        remainder = received[whole:]
        frames = _to_float(np.frombuffer(received[:whole], dtype)[:, None])
        samples = resampler.step(_to_mono(frames, "stream", position, sample_rate))
        position += len(frames)
        if len(samples):
            yield samples
    samples = resampler.step(np.empty(0, np.float32), last=True)
    if len(samples):
        yield samples


class _ForwardFile(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is only read forwards.

    In a seekable file, soundfile seeks to the current position after every read. That makes the MP3 decoder lose the
    bits that later frames borrow from earlier ones, so that every block begins with a defect; and it fails at the end
    of a FLAC file whose header does not contain the number of samples.
    """

    def seekable(self) -> bool:
        return False


def _open(path: str | Path) -> _ForwardFile:
    name = _name(path)
    try:
        status = Path(path).stat()
        if stat.S_ISDIR(status.st_mode):
            raise AudioError(f"{name} is a directory; wanted an audio file; give the files inside it")
        if stat.S_ISREG(status.st_mode):
            with open(path, "rb"):  # libsndfile does not report why a file cannot be opened; the system does
                pass
            if status.st_size == 0:
                raise AudioError(f"{name} is empty (0 bytes); wanted {_READABLE}; record or copy it again")
    except FileNotFoundError:
        raise AudioError(f"{name} does not exist; wanted an audio file; check the path") from None
    except PermissionError:
        raise AudioError(
            f"{name} may not be read (permission denied); wanted a readable file; change its mode"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioError(f"{name} cannot be opened ({reason}); wanted an audio file; check the path") from None
    if Path(path).suffix.lower() == ".raw":  # soundfile takes this for headerless PCM, which has no rate of its own
        raise AudioError(f"{name} is raw PCM by its name; wanted {_READABLE}; pipe it to standard input")
    try:
        # soundfile cannot encode a name that is not UTF-8.
        sound = _ForwardFile(os.fsencode(path) if os.name == "posix" else str(path))
    except soundfile.SoundFileError:
        # libsndfile's own reason misleads: it calls a text file named .mp3 a file that does not exist.
        raise AudioError(
            f"{name} has an unknown format or is cut off in its header; wanted {_READABLE}; convert it"
        ) from None
    try:
        check_rate(sound.samplerate, name)
    except AudioError:
        sound.close()
        raise
    return sound


def _frames(sound: _ForwardFile, name: str) -> Iterator[NDArray[np.float32]]:
    position = 0
    try:
        while len(frames := sound.read(_FRAMES_PER_READ, dtype="float32", always_2d=True)):
            yield frames
            position += len(frames)
    except soundfile.SoundFileError:
        second = position / sound.samplerate
        raise AudioError(f"{name} is damaged at {second:.2f} s or later; copy or convert it again") from None


def _pieces(path: str | Path, sample_rate: float) -> Iterator[NDArray[np.float32]]:
    name = _name(path)
    with _open(path) as sound:
        resampler = Resampler(sound.samplerate, sample_rate)
        position = 0
        for frames in _frames(sound, name):
            yield resampler.step(_to_mono(frames, name, position, sound.samplerate))
            position += len(frames)
        yield resampler.step(np.empty(0, np.float32), last=True)


def _cut(pieces: Iterable[NDArray[np.float32]], length: int) -> Iterator[NDArray[np.float32]]:
    """Regroup arrays of any length into arrays of ``length``; the last may be shorter but never empty."""
    waiting: list[NDArray[np.float32]] = []
    held = 0
    for piece in pieces:
        waiting.append(piece)
        held += len(piece)
        if held >= length:
            joined = np.concatenate(waiting)
            whole = held - held % length
            yield from (joined[begin : begin + length] for begin in range(0, whole, length))
            waiting, held = [joined[whole:]], held - whole
    if held:
        yield np.concatenate(waiting)


def _arrivals(stream: BinaryIO) -> Iterator[bytes]:
    """Yield bytes as soon as they are available, without waiting for a full buffer."""
    read_available = getattr(stream, "read1", stream.read)
    try:
        while received := read_available(_BYTES_PER_READ):
            yield received
    except OSError as error:
        raise AudioError(f"standard input broke off ({error.strerror}); wanted PCM; start the recorder again") from None


def _to_float(samples: NDArray[np.generic]) -> NDArray[np.floating]:
    name = samples.dtype.name
    if name.startswith("float"):
        return samples.astype(name, copy=False)  # in the byte order of this machine
    rest = np.float32(128.0 if name == "uint8" else 0.0)
    return (samples.astype(np.float32) - rest) / np.float32(_FULL_SCALE[name])


def _to_mono(frames: NDArray[np.floating], name: str, position: int, rate: float) -> NDArray[np.float32]:
    finite = np.isfinite(frames).all(axis=1)
    if not finite.all():
        second = (position + int(np.argmin(finite))) / rate
        raise AudioError(f"{name}: NaN or infinity at {second:.3f} s; wanted samples in [-1, 1]; repair the source")
    mono: NDArray[np.float32] = frames.clip(-1.0, 1.0).mean(axis=1).astype(np.float32)
    return mono


def _name(path: str | Path) -> str:
    # Quoted and escaped: a file name may contain a line break.
    return f"audio file {str(path)!r}"
