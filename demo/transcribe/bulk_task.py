"""What a worker of a bulk transcription does: a recording becomes a JSON line and, if wanted, a text file."""

from __future__ import annotations

import json
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgespeech.demo.transcribe.bulk_items import BulkItem, is_url
from edgespeech.demo.transcribe.rendering import Recording, render
from edgespeech.errors import AudioError
from edgespeech.runtime import formats
from edgespeech.runtime.audio import EACH, RawFormat, may_be_raw, parse_channel, read_blocks
from edgespeech.runtime.bundle import ACOUSTIC, Bundle, load_bundle
from edgespeech.runtime.dependencies import require
from edgespeech.runtime.files import replacing
from edgespeech.runtime.options import RecognizerOptions
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcription import Transcription

Floats = NDArray[np.float32]

_COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class TranscribeTask:
    """The recognizer of each worker, and what it makes of a recording; see `BulkRequest` for the fields."""

    bundle: Path | None
    options: RecognizerOptions
    text_format: str | None
    channel: str
    raw: str | None

    def open(self) -> Callable[[BulkItem], str]:
        """Load the models.

        Raises:
            EdgespeechError: The bundle, the language model or a setting is invalid.
        """
        recognizer = Recognizer(load_bundle(self.bundle), self.options)
        name = bundle_id(recognizer.bundle)

        def transcribe(item: BulkItem) -> str:
            with local_copy(item.path, item.file) as path:
                work = Transcription(recognizer.stream, self._blocks(item, path, recognizer.sample_rate))
                self._write_text(item, work, recognizer.options.nbest)
            return json.dumps(describe(item) | self._line(item, work) | {"bundle": name})

        return transcribe

    def _blocks(self, item: BulkItem, path: str, rate: int) -> Iterator[Floats]:
        channel = parse_channel(self.channel)
        if os.path.isdir(path):
            raise AudioError(f"{item.file} is a directory; wanted an audio file")
        raw = RawFormat.parse(self.raw) if self.raw is not None and may_be_raw(path) else None
        blocks = read_blocks(path, rate, channel=channel, raw=raw)
        length = None if item.length is None else round(item.length * rate)
        for block in part_of(blocks, round(item.offset * rate), length):
            yield block if channel == EACH else block[:, None]

    def _write_text(self, item: BulkItem, work: Transcription, nbest: int) -> None:
        """Transcribe the recording, and write the text file if one is wanted."""
        if item.text_file is None or self.text_format is None:
            deque(work, maxlen=0)
            return
        recording = Recording(
            file=item.file, work=work, channel=parse_channel(self.channel), nbest=nbest, shared=False, first=True,
            stopped=lambda: False,
        )  # fmt: skip
        with replacing(item.text_file, sync=False) as file:
            for piece in render(recording, self.text_format):
                file.write(piece.encode("utf-8", "backslashreplace"))

    def _line(self, item: BulkItem, work: Transcription) -> dict[str, object]:
        found: list[dict[str, object]] = [
            json.loads(formats.to_json(transcript, item.file)) for transcript in work.transcripts()
        ]
        if self.channel != EACH:
            return found[0]
        return {
            "file": item.file,
            "duration": found[0]["duration"],
            "channels": [{**one, "channel": number} for number, one in enumerate(found, start=1)],
        }


def describe(item: BulkItem) -> dict[str, object]:
    """Return the keys of a line that name the recording, or the part of it."""
    return {"file": item.file, **({"offset": item.offset} if item.offset else {})}


def bundle_id(bundle: Bundle) -> str:
    """Return the name of a bundle, and the beginning of the SHA-256 of its acoustic model."""
    return f"{bundle.manifest.name} {bundle.manifest.files[ACOUSTIC].sha256[:12]}"


def part_of(blocks: Iterator[Floats], start: int, length: int | None) -> Iterator[Floats]:
    """Yield the samples from ``start`` on, at most ``length``, of blocks [n] or [n, channels]."""
    position, end = 0, None if length is None else start + length
    for block in blocks:
        piece = block[max(0, start - position) : None if end is None else max(0, end - position)]
        position += len(block)
        if len(piece):
            yield piece
        if end is not None and position >= end:
            return


@contextmanager
def local_copy(path: str, name: str) -> Iterator[str]:
    """Return a path as it is, and for a URL that of a temporary copy.

    Raises:
        AudioError: The URL cannot be read.
        MissingDependencyError: fsspec is not installed.
    """
    if not is_url(path):
        yield path
        return
    require("fsspec", "ray")
    import fsspec  # type: ignore[import-untyped]

    with tempfile.NamedTemporaryFile(suffix=os.path.splitext(path)[1]) as copy:
        try:
            with fsspec.open(path, "rb") as remote:
                while content := remote.read(_COPY_BYTES):
                    copy.write(content)
        except (OSError, ValueError, ImportError) as error:
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise AudioError(f"{name} cannot be read ({reason}); correct the address, or copy the file here") from None
        copy.flush()
        yield copy.name
