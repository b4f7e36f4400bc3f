"""Thousands of recordings to text, by several workers, into JSON lines that can be continued."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from edgespeech.demo.jobs.engine import Engine
from edgespeech.demo.jobs.journal import Journal
from edgespeech.demo.jobs.progress import HoursProgress
from edgespeech.demo.jobs.task import Outcome, for_workers
from edgespeech.demo.transcribe.bulk_items import BulkItem, BulkRequest, find_items
from edgespeech.demo.transcribe.bulk_task import TranscribeTask, bundle_id, describe
from edgespeech.demo.transcribe.interruption import Interruption
from edgespeech.errors import AudioError, UsageError
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.options import RecognizerRequest

log = logging.getLogger(__name__)


def transcribe_in_bulk(request: BulkRequest, bundle: Bundle, recognizer: RecognizerRequest, engine: Engine) -> int:
    """Transcribe recordings, and write a line for each as soon as it ends, in any order.

    A recording that cannot be read gets a line with its error. After Ctrl-C, or if the process is killed, the output
    has all recordings that have ended, and a run with ``resume`` does the others.

    Returns:
        The exit code: 0, 2 if a recording could not be read to its end, 130 after Ctrl-C, 143 after SIGTERM.

    Raises:
        EdgespeechError: The request, the bundle or a setting is invalid, or the output cannot be written.
    """
    folder = None if recognizer.bundle is None else recognizer.bundle.absolute()
    task = TranscribeTask(folder, for_workers(recognizer.options), request.text_format, request.channel, request.raw)
    with Journal(request.output, request.resume, request.overwrite) as journal:
        items = find_items(request)
        finished, failed = _finished(journal, bundle_id(bundle), items)
        left = [item for item in items if item.key not in finished]
        if len(left) < len(items):
            log.info("%s has %d of %d files already", request.output, len(items) - len(left), len(items))
        with Interruption() as interruption, HoursProgress(len(left), _seconds(left)) as progress:
            done = 0
            for outcome in interruption.guard(engine.run(task, left)):
                line = _line(left[outcome.index], outcome)
                journal.write(json.dumps(line))
                done, failed = done + 1, failed + _has_failed(line)
                progress.advance(float(str(line.get("duration", left[outcome.index].seconds or 0.0))))
            summary = progress.line
    if left:
        log.info("%s: %s", request.output, summary)
    if failed:
        log.warning("edgespeech: %d of %d files have an error or damage", failed, len(items))
    if done < len(left):
        log.warning("edgespeech: stopped; %d more not read; continue with --resume", len(left) - done)
        return interruption.exit_code
    return AudioError.exit_code if failed else 0


def _finished(journal: Journal, bundle: str, items: Sequence[BulkItem]) -> tuple[set[tuple[str, float]], int]:
    """Return the keys of the recordings that the output has, and how many of them failed.

    Raises:
        UsageError: The output is that of another bundle, or of something else.
    """
    wanted = {item.key for item in items}
    found: set[tuple[str, float]] = set()
    failed = 0
    for line in journal.lines():
        if "file" not in line:
            raise UsageError(f"{journal.path} was not written by transcribe --jobs; give another file")
        if line.get("bundle", bundle) != bundle:
            raise UsageError(
                f"{journal.path} was written with the bundle {line['bundle']}, and this is {bundle}; give another file"
            )
        key = str(line["file"]), float(line.get("offset", 0.0))
        if key in wanted and key not in found:
            failed += _has_failed(line)
            found.add(key)
    return found, failed


def _line(item: BulkItem, outcome: Outcome) -> dict[str, object]:
    if outcome.error is not None:
        return describe(item) | {"error": outcome.error}
    line: dict[str, object] = json.loads(outcome.result)
    return line


def _has_failed(line: object) -> bool:
    return isinstance(line, dict) and any(
        key in one for one in (line, *line.get("channels", ())) for key in ("error", "damage")
    )


def _seconds(items: Sequence[BulkItem]) -> float:
    return sum(item.seconds or 0.0 for item in items)
