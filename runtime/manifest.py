"""Manifests: one utterance per line, as JSON in the style of NeMo."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import ManifestError
from edgespeech.runtime import audio
from edgespeech.runtime.files import replacing

# Recordings inside the package, of speakers that the default bundle was not trained on.
SAMPLE_CLIPS = Path(__file__).parent / "sample_clips" / "clips.jsonl"


@dataclass(frozen=True)
class Utterance:
    """A recording, or a part of one, and its text."""

    audio_filepath: str  # as written in the manifest
    path: Path  # absolute; relative ones begin at the manifest's folder
    text: str = ""  # reference text; empty if unknown
    duration: float | None = None  # seconds
    speaker: str | None = None
    offset: float = 0.0  # seconds from the beginning of the file to that of the utterance


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    # Unknown keys are allowed: other programs add their own.
    audio_filepath: str
    text: str = ""
    duration: float | None = None
    speaker: str | None = None
    offset: float = 0.0


def read_manifest(path: str | Path, check_files: bool = False) -> list[Utterance]:
    """Read the utterances of a manifest.

    Args:
        path: JSON lines with ``audio_filepath`` and, if known, ``text``, ``duration``, ``speaker`` and ``offset``.
            Blank lines and other keys are ignored.
        check_files: Whether to check that every audio file exists.

    Returns:
        At least one utterance, in the order of the lines.

    Raises:
        ManifestError: The manifest is missing, a directory or empty, or a line or an audio file is unusable.
    """
    path = Path(path)
    folder = path.parent.absolute()
    decoder = msgspec.json.Decoder(_Line)
    utterances: list[Utterance] = []
    lines: list[int] = []
    for number, line in enumerate(_content(path).split(b"\n"), start=1):
        if not line.strip():
            continue
        utterances.append(_utterance(line, decoder, folder, f"{path}:{number}"))
        lines.append(number)
    if not utterances:
        raise ManifestError(f"{path} is empty; wanted at least one line with audio_filepath; write one per recording")
    if check_files:
        missing = [index for index, utterance in enumerate(utterances) if not utterance.path.is_file()]
        if missing:
            first = missing[0]
            raise ManifestError(
                f"{path}:{lines[first]}: audio file {utterances[first].audio_filepath!r} does not exist "
                f"({len(missing)} of {len(utterances)} are missing); paths are relative to the manifest; correct them"
            )
    return utterances


def write_manifest(path: Path, utterances: Iterable[Utterance]) -> int:
    """Write a manifest atomically, with paths relative to its folder, and return the number of lines.

    Raises:
        UsageError: The file cannot be written.
    """
    folder = os.path.realpath(path.parent)
    lines = 0
    with replacing(path) as file:
        for utterance in utterances:
            line: dict[str, str | float] = {"audio_filepath": _relative(os.path.realpath(utterance.path), folder)}
            if utterance.duration is not None:
                line["duration"] = round(utterance.duration, 3)
            if utterance.speaker is not None:
                line["speaker"] = utterance.speaker
            if utterance.offset:
                line["offset"] = round(utterance.offset, 3)
            file.write(msgspec.json.encode({**line, "text": utterance.text}) + b"\n")
            lines += 1
    return lines


def _relative(path: str, folder: str) -> str:
    try:
        return os.path.relpath(path, folder)
    except ValueError:  # on another drive
        return path


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ManifestError(f"{path} does not exist; wanted a manifest (JSON lines); check the path") from None
    except IsADirectoryError:
        raise ManifestError(f"{path} is a directory; wanted a manifest (JSON lines); give the file inside it") from None
    except OSError as error:
        raise ManifestError(f"{path} cannot be read ({error.strerror}); wanted a manifest; check its mode") from None
    return content.removeprefix(b"\xef\xbb\xbf")


def _utterance(line: bytes, decoder: msgspec.json.Decoder[_Line], folder: Path, place: str) -> Utterance:
    try:
        fields = decoder.decode(line)
    except msgspec.ValidationError as error:
        raise ManifestError(f"{place}: {error}; wanted an object with audio_filepath and text; correct it") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"{place}: invalid JSON ({error}); wanted one object per line; correct it") from None
    if not fields.audio_filepath:
        raise ManifestError(f"{place}: audio_filepath is empty; wanted the path of a recording; fill it in")
    for key, seconds in (("duration", fields.duration), ("offset", fields.offset)):
        if seconds is not None and not 0.0 <= seconds < math.inf:
            raise ManifestError(f"{place}: {key} is {seconds}; wanted seconds, 0 or more; correct it or leave it out")
    return Utterance(
        audio_filepath=fields.audio_filepath,
        path=folder / fields.audio_filepath,
        text=fields.text,
        duration=fields.duration,
        speaker=fields.speaker,
        offset=fields.offset,
    )


def read_samples(utterance: Utterance, sample_rate: int) -> NDArray[np.float32]:
    """Read the samples of an utterance, which may be a part of its file, as float32 [n] in [-1, 1].

    Raises:
        AudioError: The file cannot be read.
    """
    samples = audio.read(utterance.path, sample_rate)
    start = round(utterance.offset * sample_rate)
    end = None if utterance.duration is None else start + round(utterance.duration * sample_rate)
    return samples[start:end]
