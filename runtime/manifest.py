"""Manifests: one utterance per line, as JSON in the style of NeMo."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import ManifestError, UsageError
from edgespeech.runtime import audio
from edgespeech.runtime.files import replacing
from edgespeech.runtime.foreign.tables import not_a_manifest

log = logging.getLogger(__name__)

# Recordings inside the package, of speakers that the default bundle was not trained on.
SAMPLE_CLIPS = Path(__file__).parent / "sample_clips" / "clips.jsonl"


@dataclass(frozen=True)
class Utterance:
    """A recording, or a part of one, and its text."""

    audio_filepath: str  # as written in the manifest
    path: Path  # absolute
    text: str = ""  # reference text; also empty if the manifest has none
    duration: float | None = None  # seconds
    speaker: str | None = None
    offset: float = 0.0  # seconds from the beginning of the file to that of the utterance
    # Whether the manifest has a text, which is empty for a recording without speech.
    has_text: bool = field(default=True, compare=False)
    line: int = field(default=0, compare=False)  # its number in the manifest, from 1; 0 if it is in none
    # How the text was made, by "kind" and further keys; None if nothing is known, as for transcribed speech.
    provenance: Mapping[str, str | float] | None = field(default=None, compare=False)


class _Text(msgspec.Struct, frozen=True, kw_only=True):
    # Unknown keys are allowed: other programs add their own.
    text: str | msgspec.UnsetType = msgspec.UNSET
    text_filepath: str | msgspec.UnsetType = msgspec.UNSET


class _Line(_Text, frozen=True, kw_only=True):
    audio_filepath: str
    duration: float | None = None
    speaker: str | None = None
    offset: float = 0.0
    provenance: Any = None


_TEXT_DECODER, _LINE_DECODER = msgspec.json.Decoder(_Text), msgspec.json.Decoder(_Line)
_OBJECT_BEGINS = re.compile(r'\s*\{\s*("|$)')
_JSON_NAME = re.compile(r"\.jsonl?(\.(gz|xz|bz2))?$", re.IGNORECASE)


def read_manifest(path: str | Path, check_files: bool = False) -> list[Utterance]:
    """Read the utterances of a manifest.

    Args:
        path: JSON lines with ``audio_filepath`` and, if known, ``text`` or ``text_filepath``, ``duration``,
            ``speaker`` and ``offset``. Blank lines and other keys are ignored. Relative paths are looked up in the
            manifest's folder first, then in the working folder.
        check_files: Whether to check that every audio file exists.

    Returns:
        At least one utterance, in the order of the lines.

    Raises:
        ManifestError: The manifest is missing, a directory or empty, or a line, a text or an audio file is unusable.
    """
    path = Path(path)
    files = _Files(path)
    utterances: list[Utterance] = []
    for number, line in enumerate(_content(path).split(b"\n"), start=1):
        if not line.strip():
            continue
        if not utterances and (reason := not_a_manifest(path, line)):
            raise ManifestError(f"{path}:{number}: invalid JSON, because the file is {reason}")
        utterances.append(_utterance(line, files, path, number))
    if not utterances:
        raise ManifestError(f"{path} is empty; wanted at least one line with audio_filepath; write one per recording")
    files.report()
    if check_files:
        missing = [utterance for utterance in utterances if not os.path.isfile(utterance.path)]
        if missing:
            first = missing[0]
            raise ManifestError(
                f"{path}:{first.line}: audio file {first.audio_filepath!r} does not exist "
                f"({len(missing)} of {len(utterances)} are missing); paths are relative to the manifest or to the "
                "working folder; correct them"
            )
    return utterances


def is_manifest(path: Path, first_line: str) -> bool:
    """Decide by its first line that is not blank whether a text file is a manifest; JSON by its name always is."""
    return _JSON_NAME.search(path.name) is not None or _OBJECT_BEGINS.match(first_line) is not None


def read_texts(lines: Iterable[str], path: Path) -> Iterator[str]:
    """Yield the texts of all lines of a manifest that is open already; ``audio_filepath`` is not needed.

    Raises:
        ManifestError: A line is not a JSON object, or has neither ``text`` nor ``text_filepath``.
    """
    files = _Files(path)
    for number, line in enumerate(lines, start=1):
        if line.strip():
            place = f"{path}:{number}"
            text = _read_text(_decode(line.encode(), _TEXT_DECODER, place), files, place)
            if text is None:
                raise ManifestError(
                    f"{place}: the line has no text; wanted JSON lines with 'text' or 'text_filepath'; add it"
                )
            yield text


def write_manifest(path: Path, utterances: Iterable[Utterance]) -> int:
    """Write a manifest atomically, with paths relative to its folder, and return the number of lines.

    Raises:
        UsageError: The file cannot be written, or the name of a recording is not UTF-8.
    """
    folder = os.path.realpath(path.parent)
    lines = 0
    with replacing(path) as file:
        for utterance in utterances:
            line: dict[str, Any] = {"audio_filepath": _relative(os.path.realpath(utterance.path), folder)}
            if utterance.duration is not None:
                line["duration"] = round(utterance.duration, 3)
            if utterance.speaker is not None:
                line["speaker"] = utterance.speaker
            if utterance.offset:
                line["offset"] = round(utterance.offset, 3)
            if utterance.has_text:
                line["text"] = utterance.text
            if utterance.provenance is not None:
                line["provenance"] = dict(utterance.provenance)
            try:
                file.write(msgspec.json.encode(line) + b"\n")
            except UnicodeEncodeError:
                name = ascii(line["audio_filepath"])
                raise UsageError(f"the file name {name} is not UTF-8, which a manifest must be; rename it") from None
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


class _Files:
    """Finds the files that a manifest names, and counts those that two folders have."""

    def __init__(self, manifest: Path) -> None:
        self._manifest = manifest
        self._folder, self._working_folder = manifest.parent.absolute(), Path.cwd()
        self._ambiguous: list[str] = []

    def find(self, name: str) -> Path:
        """Return the absolute path of a file, in the manifest's folder unless only the working folder has it."""
        given = os.path.expanduser(name)
        path, other = self._folder / given, self._working_folder / given
        if path != other and os.path.isfile(other):  # unlike `Path.is_file`, it is False for impossible names
            if not os.path.isfile(path):
                return other
            if not path.samefile(other):
                self._ambiguous.append(name)
        return path

    def report(self) -> None:
        """Log which files the manifest's folder and the working folder both have."""
        if self._ambiguous:
            log.warning(
                "%s: %d files such as %r are in its folder and also in the working folder; those in its folder "
                "are used", self._manifest, len(self._ambiguous), self._ambiguous[0],
            )  # fmt: skip


_Fields = TypeVar("_Fields", _Text, _Line)


def _decode(line: bytes, decoder: msgspec.json.Decoder[_Fields], place: str) -> _Fields:
    try:
        return decoder.decode(line)
    except msgspec.ValidationError as error:
        raise ManifestError(f"{place}: {error}; wanted an object with audio_filepath and text; correct it") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestError(f"{place}: invalid JSON ({error}); wanted one object per line; correct it") from None


def _read_text(fields: _Text, files: _Files, place: str) -> str | None:
    if fields.text is not msgspec.UNSET:
        return fields.text
    if fields.text_filepath is msgspec.UNSET:
        return None
    path = files.find(fields.text_filepath)
    try:
        return " ".join(path.read_text(encoding="utf-8-sig").split())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ManifestError(
            f"{place}: text_filepath {fields.text_filepath!r} cannot be read ({reason}); correct it"
        ) from None


def _utterance(line: bytes, files: _Files, manifest: Path, number: int) -> Utterance:
    place = f"{manifest}:{number}"
    fields = _decode(line, _LINE_DECODER, place)
    if not fields.audio_filepath:
        raise ManifestError(f"{place}: audio_filepath is empty; wanted the path of a recording; fill it in")
    if "\0" in fields.audio_filepath:
        raise ManifestError(f"{place}: audio_filepath has a zero byte, as no path has; correct it")
    for key, seconds in (("duration", fields.duration), ("offset", fields.offset)):
        if seconds is not None and not 0.0 <= seconds < math.inf:
            raise ManifestError(f"{place}: {key} is {seconds}; wanted seconds, 0 or more; correct it or leave it out")
    text = _read_text(fields, files, place)
    return Utterance(
        audio_filepath=fields.audio_filepath,
        path=files.find(fields.audio_filepath),
        text=text or "",
        duration=fields.duration,
        speaker=fields.speaker,
        offset=fields.offset,
        has_text=text is not None,
        line=number,
        provenance=_provenance(fields.provenance),
    )


def _provenance(found: Any) -> Mapping[str, str | float] | None:
    """Return what `write_manifest` wrote; other programs may mean something else by this key."""
    if not isinstance(found, dict) or not isinstance(found.get("kind"), str):
        return None
    return {key: value for key, value in found.items() if isinstance(value, (str, float, int))}


def read_samples(utterance: Utterance, sample_rate: int) -> NDArray[np.float32]:
    """Read the samples of an utterance, which may be a part of its file, as float32 [n] in [-1, 1].

    Raises:
        AudioError: The file cannot be read.
    """
    samples = audio.read(utterance.path, sample_rate)
    start = round(utterance.offset * sample_rate)
    end = None if utterance.duration is None else start + round(utterance.duration * sample_rate)
    return samples[start:end]
