"""A day of audio through a live session whose microphone fails, and the same audio through a stream without faults."""

from __future__ import annotations

import contextlib
import time
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from edgespeech import Recognizer, load_bundle
from edgespeech.runtime.live.captions import CaptionedOutput, Captions
from edgespeech.runtime.live.outputs import Output
from edgespeech.runtime.live.save_file import SaveFile
from edgespeech.runtime.live.session import Controls, run_session
from edgespeech.runtime.live.sources import Block
from edgespeech.runtime.transcript import Event
from tests.soak.faulty_microphone import VirtualMicrophone, plan
from tests.soak.journal import Journal, Observer
from tests.soak.programme import PART_SAMPLES, PART_SECONDS, PARTS, RATE, blocks

BEAM_WIDTH = 64
WARM_SECONDS = 60  # of the programme before the part that is compared
_ANCHORS = 4096


def open_recognizer() -> Recognizer:
    """Make the recognizer of all runs."""
    return Recognizer(load_bundle(), beam_width=BEAM_WIDTH)


class _Watched:
    """A source that passes the blocks of a virtual microphone on, and notes when and in which state the session is."""

    device_seconds = None
    is_microphone = True
    sample_rate = RATE

    def __init__(self, microphone: VirtualMicrophone, observer: Observer, first_part: int) -> None:
        self._microphone, self._observer, self._next_part = microphone, observer, first_part + 1
        self.name, self.description = microphone.source.name, microphone.source.description
        self.counts, self.take_messages = microphone.source.counts, microphone.source.take_messages
        self.stop, self.close = microphone.source.stop, microphone.source.close
        self._starts, self._offsets = [0], [microphone.position]
        self._latencies: list[float] = []

    def __iter__(self) -> Iterator[Block]:
        given = 0
        for one, position in self._microphone.blocks():
            given += len(one.samples)
            if abs(position - given - self._offsets[-1]) > RATE // 200:
                self._starts.append(given - len(one.samples))
                self._offsets.append(position - given)
                del self._starts[:-_ANCHORS], self._offsets[:-_ANCHORS]
            began = time.perf_counter()
            yield one
            self._latencies.append((time.perf_counter() - began) * 1000.0)
            if position >= self._next_part * PART_SAMPLES:
                found = self._observer.note(self._next_part - 1, PART_SECONDS, np.array(self._latencies))
                print(f"part {found.part}: PSS {found.pss_mb:.1f} MB, {found.threads} threads, "
                      f"{found.descriptors} descriptors, p99 {found.p99_ms:.1f} ms, CPU {found.cpu_seconds:.0f} s",
                      flush=True)  # fmt: skip
                self._latencies.clear()
                self._next_part += 1

    def programme_seconds(self, stream_seconds: float) -> float:
        """Return where in the programme a moment of the stream is."""
        index = bisect_right(self._starts, stream_seconds * RATE) - 1
        return stream_seconds + self._offsets[max(index, 0)] / RATE


class _WordsOutput(Output):
    """Writes the words of each final, with their times in the programme, and the status messages."""

    def __init__(self, journal: Journal, source: _Watched, run: int) -> None:
        self._journal, self._source, self._run = journal, source, run

    def show(self, event: Event, source: str = "") -> None:
        if event.type == "final":
            place = self._source.programme_seconds
            words = [(word.word, round(place(word.start), 2), round(place(word.end), 2)) for word in event.words]
            self._journal.add("final", run=self._run, words=words)
        elif event.type == "status":
            self._journal.add("status", run=self._run, text=event.text)


def run_faulty(folder: Path, parts: int, part_faults: int = PART_SECONDS) -> None:
    """Go on with the parts that are missing in the journal, in one session; a signal ends it in good order."""
    journal = Journal(folder / "live.jsonl")
    observer = Observer(journal, [psutil.Process()], own=True)
    first = 1 + max((line["part"] for line in journal.of("measurement")), default=-1)
    if first >= parts:
        return
    journal.add("fault", run=observer.run, fault="start", start=first * PART_SECONDS, end=first * PART_SECONDS)

    def report(kind: str, start: int, end: int) -> None:
        journal.add("fault", run=observer.run, fault=kind, start=round(start / RATE, 2), end=round(end / RATE, 2))

    faults = [fault for part in range(first, parts) for fault in plan(part, part_faults)]
    recognizer = open_recognizer()
    begin, end = first * PART_SAMPLES - WARM_SECONDS * RATE, parts * PART_SAMPLES
    microphone = VirtualMicrophone(begin, end, faults, report, recognizer.chunk_samples)
    source = _Watched(microphone, observer, first)
    output = _WordsOutput(journal, source, observer.run)
    captioned = CaptionedOutput(output, Captions(folder / "captions.txt", overwrite=True))
    save = SaveFile(folder / "live.txt", append=True)
    with contextlib.closing(journal), recognizer:
        run_session(recognizer, [source], captioned, save=save, controls=Controls(signals=True))


def run_plain(folder: Path) -> None:
    """Give what each session received to a stream without a session, and write down its words, once."""
    journal = Journal(folder / "live.jsonl")
    firsts = {line["run"]: line["start"] // PART_SECONDS for line in journal.of("fault") if line["fault"] == "start"}
    lasts = {line["run"]: line["part"] for line in journal.of("measurement")}
    journal.close()
    for run, last in lasts.items():
        path = folder / f"plain-{run}-{last}.jsonl"
        if path.exists() and Journal(path).of("end"):
            continue
        path.unlink(missing_ok=True)
        plain, first = Journal(path), firsts[run]
        with contextlib.closing(plain), open_recognizer() as recognizer, recognizer.stream() as stream:
            faults = [fault for part in range(first, last + 1) for fault in plan(part)]
            begin, end = first * PART_SAMPLES - WARM_SECONDS * RATE, (last + 1) * PART_SAMPLES
            microphone = VirtualMicrophone(begin, end, faults, lambda *fault: None, recognizer.chunk_samples)
            for one, _ in microphone.blocks():
                for event in stream.accept(one.samples):
                    if event.words:
                        plain.add("final", run=run, words=[word.word for word in event.words])
            plain.add("end")


def run_reference(folder: Path, parts: int) -> None:
    """Write the segments of the programme without faults, once; parts repeat, so only the different ones are needed."""
    path = folder / f"reference-{min(parts, PARTS)}.jsonl"
    if path.exists() and Journal(path).of("end"):
        return
    path.unlink(missing_ok=True)
    journal, begin = Journal(path), -WARM_SECONDS
    with contextlib.closing(journal), open_recognizer() as recognizer, recognizer.stream() as stream:
        for samples in blocks(begin * RATE, (min(parts, PARTS) * PART_SECONDS + WARM_SECONDS) * RATE):
            for event in stream.accept(samples):
                if event.words:
                    words = [(one.word, round(one.start + begin, 2), round(one.end + begin, 2)) for one in event.words]
                    journal.add("final", words=words)
        journal.add("end")
