"""Files that libsndfile does not read, through PyAV or else an ``ffmpeg`` program."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np

from edgespeech.errors import AudioError
from edgespeech.runtime.audio.arrays import to_float
from edgespeech.runtime.audio.containers.kinds import READABLE, Container
from edgespeech.runtime.audio.containers.mpeg_frames import adts_length
from edgespeech.runtime.audio.containers.parts import ByteSource, Damage, Part, PartFile
from edgespeech.runtime.audio.pcm_stream import Arrivals, decode_arrivals, wav_header
from edgespeech.runtime.audio.sound_file import Piece

_HAVE_LENGTHS = {"mov", "matroska", "asf"}  # demuxers that know how long the audio should be
_MISSING_SECONDS = 0.5


def can_decode_foreign() -> bool:
    """Whether PyAV or an ffmpeg program is installed."""
    return _library() is not None or shutil.which("ffmpeg") is not None


def _library() -> Any:
    try:
        return import_module("av")
    except (ImportError, OSError):  # not installed, or libraries that do not fit
        return None


def decode_foreign(source: ByteSource, part: Part, container: Container, name: str) -> Iterator[Piece | Damage]:
    """Decode the first audio track of a part, and yield the damage behind what could be decoded.

    Raises:
        AudioError: Neither PyAV nor ffmpeg is installed, the file has no audio, or it cannot be decoded.
    """
    if (av := _library()) is not None:
        yield from _with_library(av, PartFile(source, part), container, name)
    elif program := shutil.which("ffmpeg"):
        yield from _with_program(program, PartFile(source, part), container, name)
    else:
        raise AudioError(
            f"{name} is {container.name}; wanted {READABLE}, or a library that decodes it: pip install "
            "'edgespeech[media]', or install ffmpeg"
        )
    cut = [Damage("it is cut off")] if container.foreign == "aac" and not _ends_with_a_frame(source) else []
    yield from part.damage or cut


def stated_seconds(source: ByteSource, part: Part, container: Container) -> float | None:
    """Return the length that a file states; None without PyAV, or for a file that has none, such as AAC."""
    if (av := _library()) is None or container.foreign == "aac":
        return None
    try:
        with av.open(PartFile(source, part), mode="r", format=container.foreign) as opened:
            track = opened.streams.audio[0]
            if track.duration is not None:
                return float(track.duration * track.time_base)
            return None if opened.duration is None else float(opened.duration / av.time_base)
    except (av.FFmpegError, IndexError, TypeError, ValueError, OSError):
        return None


def _with_library(av: Any, file: PartFile, container: Container, name: str) -> Iterator[Piece | Damage]:
    failed = False
    found = 0.0
    # A damaged file can also have a track less, or frames without a rate, than its header says.
    damages = (av.FFmpegError, IndexError, ValueError, ArithmeticError)
    try:
        opened = av.open(file, mode="r", format=container.foreign)
    except (av.FFmpegError, ValueError, OSError):
        raise _refusal(name, container) from None
    with opened:
        if not opened.streams.audio:
            raise AudioError(f"{name} has no audio track; wanted {READABLE} or a video with sound; give another file")
        track = opened.streams.audio[0]
        try:
            for packet in opened.demux(track):
                try:
                    frames = packet.decode()
                except damages:
                    failed = True
                    continue
                for frame in frames:
                    found += frame.samples / frame.sample_rate
                    yield _piece(frame)
        except damages:
            failed = True
        expected = _stated_seconds(opened, track, container, av.time_base)
    if not found:
        raise _refusal(name, container)
    if expected - found > _MISSING_SECONDS:
        yield Damage("it is cut off")
    elif failed:
        yield Damage("some of it cannot be decoded")


def _piece(frame: Any) -> Piece:
    values = frame.to_ndarray()
    frames = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
    return Piece(to_float(np.ascontiguousarray(frames)), frame.sample_rate, frames.dtype.name == "int32")


def _stated_seconds(opened: Any, track: Any, container: Container, time_base: int) -> float:
    if container.foreign not in _HAVE_LENGTHS:
        return 0.0
    if track.duration is not None and track.time_base is not None:
        return float(track.duration * track.time_base)
    return 0.0 if opened.duration is None or opened.streams.video else float(opened.duration / time_base)


def _with_program(program: str, file: PartFile, container: Container, name: str) -> Iterator[Piece | Damage]:
    """Let ffmpeg read a copy of the file, so that it interprets no name, and write WAV to a pipe."""
    with contextlib.ExitStack() as stack:
        copy = stack.enter_context(tempfile.NamedTemporaryFile())
        shutil.copyfileobj(file, copy)
        copy.flush()
        errors = stack.enter_context(tempfile.TemporaryFile())
        command = [program, "-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe", "-f", container.foreign,
                   "-i", f"file:{copy.name}", "-map", "0:a:0", "-c:a", "pcm_f32le", "-f", "wav", "pipe:1"]  # fmt: skip
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        except OSError:
            raise _refusal(name, container) from None
        stack.callback(_end, process)
        assert process.stdout is not None
        arrivals = Arrivals(process.stdout)  # type: ignore[arg-type]
        header = wav_header(arrivals)
        if header is None:
            raise _refusal(name, container)
        found = False
        for frames in decode_arrivals(arrivals, header[0]):
            found = True
            yield Piece(frames, int(header[0].sample_rate))
        if not found:
            raise _refusal(name, container)
        errors.seek(0)
        if process.wait() or errors.read(1):
            yield Damage("some of it cannot be decoded")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _refusal(name: str, container: Container) -> AudioError:
    return AudioError(f"{name} is {container.name} and cannot be decoded; wanted {READABLE}; convert or copy it again")


def _ends_with_a_frame(source: ByteSource) -> bool:
    position = 0
    while length := adts_length(source.at(position, 6)):
        position += length
    return position <= source.size and not source.at(position, 2).startswith(b"\xff")
