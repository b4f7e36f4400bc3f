"""Which recordings a request means, and the file that each is written to; checked before the first is read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from edgespeech.demo.transcribe.request import PIPE, SUBTITLES, TranscribeRequest
from edgespeech.errors import UsageError
from edgespeech.runtime.audio import is_audio, may_be_raw
from edgespeech.runtime.files import holds_content, make_folder, require_new, require_writable


@dataclass(frozen=True)
class Job:
    """A recording, as it was given or found in a folder, and the file for its text alone, if there is one."""

    file: str
    output: Path | None = None


def plan(request: TranscribeRequest) -> list[Job]:
    """Find all recordings and name their outputs.

    Raises:
        UsageError: A folder without audio files, subtitles of several recordings in one output, or an output that
            exists, cannot be written, or belongs to two recordings.
    """
    found = list(find_recordings(request.audio, request.recursive, request.raw is not None))
    files = {os.path.realpath(file) for file, _ in found if file != PIPE}
    if request.output_dir is None:
        if len(found) > 1 and request.format in SUBTITLES:
            raise UsageError(
                f"{len(found)} recordings and --format {request.format}: subtitles are for one recording at a time; "
                "give --output-dir for one file each"
            )
        jobs = [Job(file) for file, _ in found]
        if request.output is not None:
            _check_output(request.output, request, files)
            require_writable(request.output)
        return jobs
    names = output_names([name for _, name in found], request.format)
    outputs = [request.output_dir / name for name in names]
    jobs = [Job(file, output) for (file, _), output in zip(found, outputs, strict=True)]
    check_distinct(jobs)
    for output in outputs:
        _check_output(output, request, files)
    for folder in dict.fromkeys(output.parent for output in outputs):
        make_folder(folder)
        require_writable(folder / f"new.{request.format}")
    return jobs


def find_recordings(audio: Sequence[str], recursive: bool, with_raw: bool) -> Iterator[tuple[str, PurePath]]:
    """Yield each recording, and its name relative to the folder that was given.

    Raises:
        UsageError: A folder has no audio file in it.
    """
    for file in audio:
        if file == PIPE:
            yield file, PurePath("stdin")
        elif not (recursive and os.path.isdir(file)):
            yield file, PurePath(os.path.basename(os.path.normpath(file)))
        else:
            inside = list(_audio_files(file, with_raw))
            if not inside:
                raise UsageError(f"{file} has no audio file in it; give another folder")
            yield from ((path, PurePath(os.path.relpath(path, file))) for path in inside)


def _audio_files(folder: str, with_raw: bool) -> Iterator[str]:
    """Yield the files below a folder that begin as audio does, in the order of their names, except for hidden ones."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for name in sorted(files):
            path = os.path.join(here, name)
            if not name.startswith(".") and os.path.isfile(path):
                if is_audio(path) or (with_raw and may_be_raw(path)):
                    yield path


def output_names(names: Sequence[PurePath], ending: str) -> list[PurePath]:
    """Replace the endings; recordings that would get the same name, such as a.wav and a.mp3, keep their own too."""
    short = [name.with_name(f"{name.stem}.{ending}") for name in names]
    counts = Counter(str(name).casefold() for name in short)  # some file systems do not distinguish the cases
    return [
        one if counts[str(one).casefold()] == 1 else name.with_name(f"{name.name}.{ending}")
        for name, one in zip(names, short, strict=True)
    ]


def check_distinct(jobs: Sequence[Job]) -> None:
    """Check that no two recordings have the same output.

    Raises:
        UsageError: Two have.
    """
    files: dict[Path | None, str] = {}
    for job in jobs:
        if job.output in files:
            raise UsageError(
                f"{files[job.output]} and {job.file} would both be written to {job.output}; transcribe them into two "
                "folders"
            )
        files[job.output] = job.file


def _check_output(path: Path, request: TranscribeRequest, recordings: set[str]) -> None:
    if os.path.realpath(path) in recordings:
        raise UsageError(f"{path} is one of the recordings; give another file for the text")
    if not request.append:
        require_new(path, request.overwrite, can_append=request.format not in SUBTITLES)
    elif request.format in SUBTITLES and holds_content(path):
        raise UsageError(
            f"cannot append to {path}: subtitle times begin at zero with each recording; give --overwrite, another "
            "file, or another --format"
        )
