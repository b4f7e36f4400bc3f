"""The work of ``edgespeech record``: sentences, folder, input and view of a session."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgespeech.demo.live.keyboard import pressed_keys
from edgespeech.demo.record.sentences import choose_sentences, package_sentences, read_sentences, speaking_seconds
from edgespeech.demo.record.session import Input, Session, Summary
from edgespeech.demo.record.takes import Takes
from edgespeech.demo.record.view import choose_view
from edgespeech.errors import UsageError
from edgespeech.runtime.live.microphone import no_native_messages
from edgespeech.runtime.live.microphone_source import MicrophoneSource
from edgespeech.runtime.live.sources import Block, Replay
from edgespeech.runtime.recognizer import Recognizer

MAX_MINUTES = 120.0


@dataclass(frozen=True)
class RecordRequest:
    """A recording session.

    Attributes:
        output: Folder of the recordings.
        sentences: Text file with one sentence a line; None for those of the package.
        minutes: How much to read, together with what the folder has.
        speaker: Name of the speaker in the manifest.
        device: Microphone, as for `MicrophoneSource`.
        replays: Recordings that stand for the takes, one after another, in place of a microphone.
    """

    output: Path
    sentences: Path | None = None
    minutes: float = 6.0
    speaker: str = "me"
    device: str | None = None
    replays: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 < self.minutes <= MAX_MINUTES:
            raise UsageError(f"--minutes {self.minutes:g}; wanted more than 0, at most {MAX_MINUTES:g}; correct it")
        if self.device is not None and self.replays:
            raise UsageError("--device and --replay clash; choose one")


@dataclass(frozen=True)
class RecordedSession:
    """The end of a session: its summary, and the manifest with the length of all its recordings."""

    summary: Summary
    manifest: Path
    recordings: int
    seconds: float
    left: int  # sentences without a recording

    def __str__(self) -> str:
        total = f"{self.recordings} recording{'s' * (self.recordings != 1)}, {self.seconds / 60.0:.1f} minutes"
        if self.left:
            return f"{total}; {self.left} sentences are left: the same command goes on"
        return f"{total}, all sentences are recorded"


def record(recognizer: Recognizer, request: RecordRequest) -> RecordedSession:
    """Record sentences until the last one, Ctrl-C or the key for it; what is stored stays.

    Raises:
        EdgespeechError: The sentences, the folder, the microphone or a replayed file is unusable.
    """
    texts = package_sentences() if request.sentences is None else read_sentences(request.sentences)
    chosen = choose_sentences(texts, request.minutes)
    takes = Takes(request.output, request.speaker)
    view = choose_view()
    summary = Summary(0, 0, False)
    with contextlib.ExitStack() as stack:
        keys = stack.enter_context(pressed_keys(view.suspend))
        source = stack.enter_context(_open(request, recognizer.sample_rate))
        stack.callback(view.close)
        has_keys = _is_terminal() and not request.replays
        session = Session(
            recognizer,
            takes,
            view,
            Input(source, recognizer.sample_rate, keys, has_keys, ends_itself=bool(request.replays)),
        )
        sentences = takes.missing(chosen)
        minutes = sum(map(speaking_seconds, sentences)) / 60.0
        view.announce(f"{request.output}: {len(sentences)} sentences to read, about {minutes:.1f} minutes")
        with contextlib.suppress(KeyboardInterrupt):
            summary = session.run(sentences)
    return RecordedSession(summary, takes.manifest, len(takes), takes.seconds, len(takes.missing(chosen)))


class _Replays:
    """Recordings that are played one after another, each as one take."""

    def __init__(self, paths: tuple[Path, ...], sample_rate: int) -> None:
        self._paths, self._sample_rate = iter(paths), sample_rate

    def __call__(self) -> Iterator[Block] | None:
        path = next(self._paths, None)
        return None if path is None else iter(Replay(path, self._sample_rate, speed=0.0))


@contextlib.contextmanager
def _open(request: RecordRequest, sample_rate: int) -> Iterator[Callable[[], Iterator[Block] | None]]:
    if request.replays:
        yield _Replays(request.replays, sample_rate)
        return
    with no_native_messages(), contextlib.closing(MicrophoneSource(request.device, sample_rate)) as source:
        blocks = iter(source)
        yield lambda: blocks


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
