"""One recognizer in several threads and forked processes, tasks of asyncio that are cancelled, and signals."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.runtime.audio.containers.parts import PartFile
from edgespeech.runtime.bundle import Bundle, load_bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest, read_samples
from edgespeech.runtime.recognizer import Recognizer

Samples = NDArray[np.float32]
posix = pytest.mark.skipif(os.name != "posix", reason="forks and signals of POSIX")
# Python warns of a fork while there are threads, of which the recognizer has none.
allow_fork = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


class Interrupted(BaseException):
    """What a handler of a signal raises, as KeyboardInterrupt is."""


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer(load_bundle(), beam_width=32)


@pytest.fixture(scope="module")
def clip() -> Samples:
    return read_samples(read_manifest(SAMPLE_CLIPS)[-1], 16000)


def text_of(recognizer: Recognizer, samples: Samples) -> str:
    return recognizer.transcribe((samples, 16000)).text


def forked(work: Callable[[], bool]) -> bool:
    """Do something in a forked process, and return whether it returned True there within a minute."""
    process = os.fork()
    if process == 0:
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return False


def test_threads_share_a_recognizer(recognizer: Recognizer, clip: Samples) -> None:
    sounds = [clip, clip[::-1].copy(), clip * np.float32(0.3), np.tile(clip, 2)]
    wanted = [text_of(recognizer, sound) for sound in sounds]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda sound: text_of(recognizer, sound), sounds * 4)) == wanted * 4
    assert len(set(wanted)) > 2


@posix
@allow_fork
def test_a_forked_process_uses_what_was_loaded_before(recognizer: Recognizer, clip: Samples) -> None:
    wanted = text_of(recognizer, clip)
    stream = recognizer.stream()
    stream.accept(clip[:8000])

    def go_on() -> str:
        return "".join(event.text for event in stream.accept(clip[8000:]) + stream.finish() if event.type == "final")

    assert forked(lambda: text_of(recognizer, clip) == wanted)
    assert forked(lambda: go_on() == wanted) and go_on() == wanted


@posix
@allow_fork
def test_a_recognizer_with_several_threads_is_refused_after_a_fork(tiny_bundle: Bundle, clip: Samples) -> None:
    recognizer = Recognizer(tiny_bundle, threads=2)
    text_of(recognizer, clip)

    def is_refused() -> bool:
        with pytest.raises(UsageError, match="do not survive a fork; make the recognizer afterwards, or threads=1"):
            text_of(recognizer, clip)
        return text_of(Recognizer(tiny_bundle, threads=2), clip) == wanted

    wanted = text_of(Recognizer(tiny_bundle), clip)
    assert forked(is_refused)
    text_of(recognizer, clip)


def test_a_task_that_is_cancelled_leaves_the_stream_to_whoever_waits_for_its_thread(
    recognizer: Recognizer, clip: Samples
) -> None:
    inside, go_on = threading.Event(), threading.Event()

    async def cancel() -> str:
        stream = recognizer.stream()
        events: list[Any] = []

        def accept() -> None:
            inside.set()
            assert go_on.wait(30)
            events.extend(stream.accept(clip))

        task = asyncio.create_task(asyncio.to_thread(accept))
        await asyncio.to_thread(inside.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        while not stream.seconds_processed:
            await asyncio.sleep(0.01)
        while True:
            try:
                events += stream.finish()
                return "".join(event.text for event in events if event.type == "final")
            except UsageError:  # the thread is still inside
                await asyncio.sleep(0.01)

    assert asyncio.run(cancel()) == text_of(recognizer, clip)


@posix
def test_a_handler_that_raises_spoils_the_stream_and_nothing_else(recognizer: Recognizer, clip: Samples) -> None:
    wanted, interrupted = text_of(recognizer, clip), 0

    def interrupt(number: int, frame: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for attempt in range(40):
            stream = recognizer.stream(fast_partials=True)
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.002 + 0.001 * attempt)
                stream.accept(np.tile(clip, 5))
                signal.setitimer(signal.ITIMER_REAL, 0.0)
            except Interrupted:
                interrupted += 1
                for use in (partial(stream.accept, clip), stream.finish, stream.end_segment):
                    with pytest.raises(UsageError, match="interrupted; begin a new one"):
                        use()
                stream.close()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted > 5
    assert text_of(recognizer, clip) == wanted


@pytest.mark.parametrize("call", range(1, 12))
def test_an_interruption_while_a_sound_file_calls_back_is_not_lost(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    read, calls = PartFile.readinto, 0

    def interrupt(file: PartFile, buffer: Any) -> int:
        nonlocal calls
        calls += 1
        if calls == call:
            raise Interrupted
        return read(file, buffer)

    monkeypatch.setattr(PartFile, "readinto", interrupt)
    hook, clip = sys.unraisablehook, read_manifest(SAMPLE_CLIPS)[0]
    try:
        samples = read_samples(clip, 16000)
    except Interrupted:
        assert calls == call
    else:
        assert calls < call and len(samples) > 100_000
    assert sys.unraisablehook is hook


_TRANSCRIBES = """
import sys
from edgespeech import Recognizer, load_bundle
recognizer = Recognizer(load_bundle(), beam_width=512)
print("ready", flush=True)
for _ in range(1000):
    recognizer.transcribe(sys.argv[1])
"""


@posix
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, -signal.SIGTERM)], ids=["SIGINT", "SIGTERM"]
)
def test_signals_end_a_program_in_the_middle_of_native_calls(number: int, code: int) -> None:
    command = [sys.executable, "-c", _TRANSCRIBES, str(read_manifest(SAMPLE_CLIPS)[0].path)]
    for _ in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stderr is not None
            try:
                assert process.stdout.readline() == "ready\n"
                time.sleep(0.1)
                process.send_signal(number)
                messages = process.stderr.read()
            finally:
                process.kill()
        assert process.returncode == code
        assert ("KeyboardInterrupt" in messages) == (number == signal.SIGINT)
