"""The recordings of a bulk transcription, longest first, and the text file of each, checked before all work."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from edgespeech.demo.transcribe.recordings import Job, check_distinct, find_recordings, output_names
from edgespeech.demo.transcribe.request import PIPE
from edgespeech.errors import UsageError
from edgespeech.runtime.audio import MIX, RawFormat, parse_channel, stated_duration
from edgespeech.runtime.files import make_folder, require_new, require_writable
from edgespeech.runtime.manifest import read_manifest

log = logging.getLogger(__name__)

TEXT_FORMATS = ("txt", "srt", "vtt", "tsv")
_HEADER_THREADS = 8


@dataclass(frozen=True)
class BulkRequest:
    """Recordings to transcribe by several workers into one file of JSON lines.

    Attributes:
        audio: Paths or URLs of files, and of folders if ``recursive``.
        manifest: Manifest of further recordings, or parts of them; None for none.
        output: JSON lines, one for each recording.
        text_format: One of `TEXT_FORMATS` for a text file of each recording too; None for none.
        output_dir: Folder for the text files; None to write them beside the recordings.
        recursive: Whether the audio files below folders are transcribed.
        resume: Whether an output that exists is continued.
        overwrite: Whether outputs that exist are replaced.
        channel: ``mix``, ``each`` or the number of a channel, from 1.
        raw: Format of files that end in .raw or .pcm, as ``FORMAT:RATE:CHANNELS``.

    Raises:
        UsageError: Settings that exclude each other, or an invalid channel or format.
    """

    audio: tuple[str, ...]
    output: Path
    manifest: Path | None = None
    text_format: str | None = None
    output_dir: Path | None = None
    recursive: bool = False
    resume: bool = False
    overwrite: bool = False
    channel: str = MIX
    raw: str | None = None

    def __post_init__(self) -> None:
        parse_channel(self.channel)
        if self.raw is not None:
            RawFormat.parse(self.raw)
        if not self.audio and self.manifest is None:
            raise UsageError("no recording; give files, folders with --recursive, or --manifest")
        if PIPE in self.audio:
            raise UsageError(
                "standard input (-) cannot be shared among workers; leave out --jobs, --resume and --engine"
            )
        if self.output_dir is not None and self.text_format is None:
            raise UsageError(
                f"--output-dir {self.output_dir} without text files; give --format {'|'.join(TEXT_FORMATS)} too"
            )
        for folder in self.audio:
            if os.path.isdir(folder) and not self.recursive:
                raise UsageError(f"{folder} is a directory; give the files inside it, or --recursive")


@dataclass(frozen=True)
class BulkItem:
    """A recording, or a part of one.

    Attributes:
        file: Its name, as given or found.
        path: Its absolute path, or a URL.
        seconds: How long it is by the manifest or its header; None if it does not say.
        offset: Seconds from the beginning of the file.
        length: Seconds from the offset to the end of the part; None for the end of the file.
        text_file: File for its text; None for none.
    """

    file: str
    path: str
    seconds: float | None = None
    offset: float = 0.0
    length: float | None = None
    text_file: Path | None = None

    @property
    def key(self) -> tuple[str, float]:
        """What distinguishes it from all others, also in the output."""
        return self.file, self.offset


def find_items(request: BulkRequest) -> list[BulkItem]:
    """Find all recordings, once each, the longest first, and check their text files.

    Raises:
        UsageError: A folder without audio files, or a text file that exists, cannot be written or belongs to two.
        ManifestError: The manifest is invalid.
    """
    found = [*_given(request), *_listed(request)]
    items = list({item.key: item for item in found}.values())
    if len(items) < len(found):
        log.info("%d of %d recordings are named more than once", len(found) - len(items), len(found))
    with ThreadPoolExecutor(_HEADER_THREADS) as pool:
        items = list(pool.map(_with_seconds, items))
    if request.text_format is not None:
        items = _with_text_files(items, request)
    # What is not known may be long.
    return sorted(items, key=lambda item: -(float("inf") if item.seconds is None else item.seconds))


def is_url(file: str) -> bool:
    """Decide whether a name is a URL, such as s3://bucket/a.wav, and not a path."""
    scheme, separator, _ = file.partition("://")
    return bool(separator) and scheme.isalnum() and not os.path.exists(file)


def _given(request: BulkRequest) -> Iterator[BulkItem]:
    for file, _ in find_recordings(request.audio, request.recursive, request.raw is not None):
        yield BulkItem(file, file if is_url(file) else os.path.abspath(file))


def _listed(request: BulkRequest) -> Iterator[BulkItem]:
    for one in read_manifest(request.manifest) if request.manifest is not None else ():
        path = one.audio_filepath if is_url(one.audio_filepath) else str(one.path)
        yield BulkItem(one.audio_filepath, path, one.duration, one.offset, one.duration)


def _with_seconds(item: BulkItem) -> BulkItem:
    if item.seconds is not None or is_url(item.path):
        return item
    with suppress(Exception):  # a file that no reader expects gets its error from the worker
        return replace(item, seconds=stated_duration(item.path))
    return item


def _with_text_files(items: Sequence[BulkItem], request: BulkRequest) -> list[BulkItem]:
    """Name a text file for each recording: beside it, or in the folder for them.

    Raises:
        UsageError: As for `find_items`.
    """
    for item in items:
        if item.offset or (request.output_dir is None and is_url(item.path)):
            what = "a part of a file" if item.offset else "no local file"
            raise UsageError(
                f"{item.file} is {what}; --format {request.text_format} is for whole local files; leave it out"
            )
    ending = str(request.text_format)
    if request.output_dir is None:
        outputs = [Path(name) for name in output_names([PurePath(item.path) for item in items], ending)]
    else:
        outputs = [request.output_dir / name for name in output_names(_names(items, request), ending)]
    check_distinct([Job(item.file, output) for item, output in zip(items, outputs, strict=True)])
    for folder in dict.fromkeys(output.parent for output in outputs):
        make_folder(folder)
        require_writable(folder / f"new.{ending}")
    for output in outputs:
        require_new(output, request.overwrite or request.resume)
    return [replace(item, text_file=output.absolute()) for item, output in zip(items, outputs, strict=True)]


def _names(items: Sequence[BulkItem], request: BulkRequest) -> list[PurePath]:
    """Return the names of the recordings relative to the folders that were given."""
    given = dict(find_recordings(request.audio, request.recursive, request.raw is not None))
    return [given.get(item.file) or PurePath(os.path.basename(item.path)) for item in items]
