"""Batch dispatch: audio of any number of streams, one step of the model for all that have a chunk ready.

While the model computes, audio that arrives is gathered; as soon as it is free, everything that waits becomes the next
batch ("Deep Speech 2", section 7.1). The graph computes the rows of a batch independently, so that a stream gives the
same log-probabilities alone and beside others.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from edgespeech.errors import EdgespeechError, UsageError
from edgespeech.runtime.audio import RawDecoder
from edgespeech.runtime.recognition import ModelResult, ModelStep, Steps
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.serving.settings import StreamParts, StreamSettings
from edgespeech.runtime.stream import Stream
from edgespeech.runtime.transcript import Event

log = logging.getLogger(__name__)

# Batches of 16 take 0.59 ms per chunk of the default bundle, those of 64 0.57, and one alone 0.95: a larger batch only
# makes its first stream wait longer for the search of the others.
DEFAULT_MAX_BATCH = 16


@dataclass(frozen=True)
class Command:
    """An order to the stream ``key``, answered by one reply with the same numbers.

    Attributes:
        key: Number of the stream.
        number: Number of the command within the stream.
        kind: ``open`` (data: `StreamSettings`), ``audio`` (data: bytes in the stream's format), ``hot_words`` (data: a
            mapping), ``end_segment``, ``finish``, or ``close``, which has no reply.
        data: What belongs to the kind.
    """

    key: int
    number: int
    kind: Literal["open", "audio", "hot_words", "end_segment", "finish", "close"]
    data: Any = None


@dataclass(frozen=True)
class Reply:
    """The answer to a command.

    Attributes:
        key: Number of the stream.
        number: Number of the command within the stream.
        events: What follows from the command.
        error: Why it failed; the stream is closed then.
        seconds_to_step: Seconds of further audio without which there are no events.
    """

    key: int
    number: int
    events: tuple[Event, ...] = ()
    error: EdgespeechError | None = None
    seconds_to_step: float = 0.0


@dataclass
class _Job:
    """An open stream with its commands; ``steps`` is the present command while it waits for the model."""

    stream: Stream
    decoder: RawDecoder
    commands: deque[Command] = field(default_factory=deque)
    steps: Steps | None = None
    wanted: ModelStep | None = None


class Dispatcher:
    """Streams of one recognizer, each advanced by one step of the model at a time, in turns.

    Args:
        recognizer: The recognizer.
        max_batch: Largest number of streams in one step of the model.
    """

    def __init__(self, recognizer: Recognizer, max_batch: int = DEFAULT_MAX_BATCH) -> None:
        if max_batch < 1:
            raise UsageError(f"batches of {max_batch}; wanted 1 or more")
        self._recognizer, self._max_batch = recognizer, max_batch
        self._parts = StreamParts(recognizer)
        self._jobs: dict[int, _Job] = {}
        self._ready: dict[int, _Job] = {}  # with commands; in order of their turns
        self._replies: list[Reply] = []  # to commands that needed no step
        self.last_batch = 0

    @property
    def is_busy(self) -> bool:
        """Whether a command waits to be carried out."""
        return bool(self._ready or self._replies)

    @property
    def stream_count(self) -> int:
        """Number of streams that are open."""
        return len(self._jobs)

    def add(self, command: Command) -> None:
        """Take a command; it is carried out by `step`, after those of the same stream before it."""
        key = command.key
        if command.kind == "close":
            self._close(key)
        elif command.kind == "open":
            try:
                settings: StreamSettings = command.data
                parts = self._parts.make(settings)
                stream = Stream(parts, int(settings.format.sample_rate), settings.fast_partials)
                self._jobs[key] = _Job(stream, RawDecoder(settings.format))
                self._replies.append(Reply(key, command.number, seconds_to_step=stream.seconds_to_step))
            except EdgespeechError as error:
                self._replies.append(Reply(key, command.number, error=error))
        elif (job := self._jobs.get(key)) is None:
            closed = UsageError("the stream is closed; open a new one")
            self._replies.append(Reply(key, command.number, error=closed))
        else:
            job.commands.append(command)
            self._ready[key] = job

    def step(self) -> Iterator[Reply]:
        """Compute one batch, and yield the replies to the commands that are complete."""
        replies, self._replies = self._replies, []
        yield from replies
        for key, job in tuple(self._ready.items()):
            if job.wanted is None:
                yield from self._run(key, job, None)
        turn = [(key, job) for key, job in self._ready.items() if job.wanted is not None][: self._max_batch]
        self.last_batch = len(turn)
        if not turn:
            return
        for key, _ in turn:  # the others come first next time
            self._ready[key] = self._ready.pop(key)
        try:
            results = _batch(self._recognizer, [job.wanted for _, job in turn if job.wanted is not None])
        except EdgespeechError as error:
            for key, job in turn:
                yield self._fail(key, job, error)
            return
        for (key, job), result in zip(turn, results, strict=True):
            yield from self._run(key, job, result)

    def _run(self, key: int, job: _Job, result: ModelResult | None) -> Iterator[Reply]:
        """Carry out commands until one needs the model; ``result`` is what the present one waits for."""
        job.wanted = None
        while job.commands:
            try:
                if job.steps is None:
                    job.steps = _begin(job, job.commands[0])
                    job.wanted = next(job.steps)
                else:
                    assert result is not None
                    job.wanted = job.steps.send(result)
                return
            except StopIteration as stop:
                events: list[Event] = stop.value
                number = job.commands.popleft().number
                yield Reply(key, number, tuple(events), seconds_to_step=job.stream.seconds_to_step)
                job.steps = None
            except EdgespeechError as error:
                yield self._fail(key, job, error)
            except Exception as error:  # a fault of one stream must not end the others
                log.exception("stream %d failed", key)
                yield self._fail(key, job, EdgespeechError(f"the stream failed inside: {error!r}; open a new one"))
        self._ready.pop(key, None)

    def _fail(self, key: int, job: _Job, error: EdgespeechError) -> Reply:
        number = job.commands[0].number
        job.commands.clear()
        self._close(key)
        return Reply(key, number, error=error)

    def _close(self, key: int) -> None:
        self._ready.pop(key, None)
        if (job := self._jobs.pop(key, None)) is not None:
            job.steps = job.wanted = None
            job.stream.close()


def _begin(job: _Job, command: Command) -> Steps:
    stream = job.stream
    if command.kind == "audio":
        return stream.accept_steps(job.decoder.step(command.data))
    if command.kind == "end_segment":
        return stream.end_segment_steps()
    if command.kind == "finish":
        return stream.finish_steps()
    return _change_hot_words(stream, command.data)


def _change_hot_words(stream: Stream, hot_words: dict[str, float]) -> Steps:
    stream.set_hot_words(hot_words)
    return []
    yield


def _batch(recognizer: Recognizer, wanted: Sequence[ModelStep]) -> list[ModelResult]:
    """Compute one step for all; the rows are copied, so that no stream keeps the arrays of a whole batch alive."""
    if len(wanted) == 1:
        return [recognizer.model.step(wanted[0].samples, wanted[0].state)]
    samples = np.concatenate([one.samples for one in wanted])
    state = {name: np.concatenate([one.state[name] for one in wanted]) for name in wanted[0].state}
    log_probs, after = recognizer.model.step(samples, state)
    return [
        (log_probs[n : n + 1], {name: value[n : n + 1].copy() for name, value in after.items()})
        for n in range(len(wanted))
    ]
