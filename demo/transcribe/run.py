"""Recordings to text, one after the other: the work of `edgespeech transcribe`."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgespeech.demo.transcribe.bar import AudioBar
from edgespeech.demo.transcribe.interruption import Interruption
from edgespeech.demo.transcribe.output import Output
from edgespeech.demo.transcribe.recordings import Job
from edgespeech.demo.transcribe.rendering import Recording, render
from edgespeech.demo.transcribe.request import PIPE, TranscribeRequest
from edgespeech.errors import AudioError
from edgespeech.runtime.audio import (
    EACH,
    RawFormat,
    may_be_raw,
    parse_channel,
    read_blocks,
    read_standard_input,
    stated_duration,
)
from edgespeech.runtime.formats import clock_time
from edgespeech.runtime.live.outputs import abandon_standard_output
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcription import Transcription

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]


def transcribe_recordings(
    recognizer: Recognizer, request: TranscribeRequest, jobs: Sequence[Job], show: Callable[[str], None]
) -> int:
    """Transcribe recordings, and write their text as it comes.

    A recording that cannot be read is logged, and so is one that is damaged, behind the text up to there. After Ctrl-C
    no more audio is read, the text so far is completed, and a line tells how far it goes.

    Args:
        recognizer: The recognizer.
        request: What is asked for.
        jobs: The recordings, from `edgespeech.demo.transcribe.recordings.plan`.
        show: Prints a piece of text on standard output at once.

    Returns:
        The exit code: 0, 2 if a recording could not be read to its end, 130 after Ctrl-C, 143 after SIGTERM.

    Raises:
        UsageError: An output cannot be written.
    """
    interruption = Interruption()
    try:
        with interruption, AudioBar([job.file for job in jobs]) as bar:
            one_file = request.output_dir is None
            run = _Run(recognizer, request, show, interruption, bar, shared=one_file and len(jobs) > 1)
            if not one_file:
                return run.transcribe(jobs, lambda job: run.output(job.output))
            with run.output(request.output) as one:
                return run.transcribe(jobs, lambda job: nullcontext(one))
    except BrokenPipeError:
        if interruption.signal is None:
            raise
        abandon_standard_output()  # Ctrl-C has ended the program behind the pipe too
        return interruption.exit_code


@dataclass(frozen=True)
class _Run:
    recognizer: Recognizer
    request: TranscribeRequest
    show: Callable[[str], None]
    interruption: Interruption
    bar: AudioBar
    shared: bool

    def output(self, path: Path | None) -> Output:
        return Output(path, self.show, self.request.overwrite, self.request.append)

    def transcribe(self, jobs: Sequence[Job], output: Callable[[Job], AbstractContextManager[Output]]) -> int:
        failed = False
        for number, job in enumerate(jobs, start=1):
            self.bar.begin()
            try:
                self._transcribe(job, output(job))
            except AudioError as error:
                log.error("edgespeech: %s", error)
                failed = True
            left = len(jobs) - number
            if self.interruption.cut or (self.interruption.signal is not None and left):
                log.warning("edgespeech: %s", self._describe_stop(job, left))
                return self.interruption.exit_code
        return AudioError.exit_code if failed else 0

    def _transcribe(self, job: Job, opened: AbstractContextManager[Output]) -> None:
        work = Transcription(self.recognizer.stream, self._blocks(job.file))
        with opened as output:
            recording = Recording(
                file=job.file,
                work=work,
                channel=parse_channel(self.request.channel),
                nbest=self.recognizer.options.nbest,
                shared=self.shared,
                first=output.empty,
                stopped=lambda: self.interruption.cut,
            )
            for piece in render(recording, self.request.format):
                output.write(piece)
        if output.path is not None:
            log.info("%s: %s of %s", output.path, clock_time(work.seconds_processed), job.file)
        if work.damage is not None:
            raise work.damage

    def _blocks(self, file: str) -> Iterator[Floats]:
        """Yield blocks, float32 [n, channels], and count them when they have been transcribed."""
        request, rate = self.request, self.recognizer.sample_rate
        channel = parse_channel(request.channel)
        raw = RawFormat.parse(request.raw) if request.raw is not None and may_be_raw(file) else None
        if file == PIPE:
            other = RawFormat(sample_rate=request.rate)
            blocks = read_standard_input(rate, raw=raw, other=other, channel=channel)
        elif os.path.isdir(file):
            raise AudioError(f"{file} is a directory; wanted an audio file; give the files inside it, or --recursive")
        else:
            blocks = read_blocks(file, rate, channel=channel, raw=raw)
        for block in self.interruption.guard(blocks):
            yield block if channel == EACH else block[:, None]
            self.bar.advance(len(block) / rate)

    def _describe_stop(self, job: Job, left: int) -> str:
        name = "standard input" if job.file == PIPE else job.file
        rest = f"; {left} more not read" if left else ""
        if not self.interruption.cut:
            return f"stopped after {name}{rest}"
        seconds = stated_duration(job.file)
        of = "" if seconds is None else f" of {clock_time(seconds)}"
        return f"stopped at {clock_time(self.bar.position)}{of} in {name}; the text up to there is complete{rest}"
