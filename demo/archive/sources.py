"""Names of recordings and of the clips that are cut from them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from edgespeech.demo.transcribe.bulk_items import is_url
from edgespeech.runtime.files import printable_name

_MAX_NAME = 60


def local_path(audio: str) -> str:
    """Return an absolute path, or a URL as it is."""
    return audio if is_url(audio) else os.path.abspath(audio)


def source_name(audio: str) -> str:
    """Return the name of a recording in characters that a manifest can hold."""
    return printable_name(audio if is_url(audio) else os.path.basename(audio))


def clip_path(folder: Path, audio: str, recording: int, clip: int) -> Path:
    """Return the file of a clip, which is named after its recording."""
    stem = re.sub(r"[^\w.-]+", "_", os.path.splitext(source_name(audio).rsplit("/", 1)[-1])[0])[:_MAX_NAME]
    return folder / f"{recording:04d}-{stem}-{clip:05d}.flac"
