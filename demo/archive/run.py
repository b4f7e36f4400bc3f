"""Recordings through the workers to summaries, in the order in which they were given."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from edgespeech.demo.archive.report import Summary
from edgespeech.demo.jobs.engine import Engine
from edgespeech.demo.jobs.progress import HoursProgress
from edgespeech.demo.jobs.task import Task
from edgespeech.errors import AudioError
from edgespeech.runtime.audio import stated_duration
from edgespeech.runtime.files import make_folder, require_writable

log = logging.getLogger(__name__)

Item = TypeVar("Item")


def clip_folder(manifest: Path, given: Path | None) -> Path:
    """Return the absolute folder for the clips of a manifest, which is created: by default beside it, with its name.

    Raises:
        UsageError: It cannot be created or written.
    """
    require_writable(manifest)
    folder = (given or manifest.with_name(f"{manifest.stem}_clips")).absolute()
    make_folder(folder)
    require_writable(folder / "new.flac")
    return folder


def run(task: Task[Item], items: Sequence[Item], names: Sequence[str], engine: Engine) -> list[Summary]:
    """Process all recordings, and log those that fail.

    Raises:
        AudioError: All fail; the message is that of the first.
        EdgespeechError: The task cannot be opened.
    """
    found: dict[int, Summary] = {}
    first = ""
    with HoursProgress(len(items), sum(stated_duration(name) or 0.0 for name in names)) as progress:
        for outcome in engine.run(task, items):
            if outcome.error is None:
                found[outcome.index] = Summary.from_json(outcome.result)
                progress.advance(found[outcome.index].seconds)
            else:
                first = first or outcome.error
                if len(items) > 1:
                    log.error("edgespeech: %s", outcome.error)
    if not found:
        raise AudioError(first)
    return [found[index] for index in sorted(found)]
