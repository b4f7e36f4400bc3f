"""The life of a stream and of a recognizer: segments ended by the caller, closing, threads, and bytes as input."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.errors import AudioError, EdgespeechError, UsageError
from edgespeech.runtime import audio
from edgespeech.runtime.bundle import Bundle, load_bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.stream import Stream
from edgespeech.runtime.transcript import Event

Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def recognizer(tiny_bundle: Bundle) -> Recognizer:
    return Recognizer(tiny_bundle, min_evidence=0.0)


@pytest.fixture(scope="module")
def default() -> Recognizer:
    return Recognizer(load_bundle(), beam_width=64)


@pytest.fixture(scope="module")
def clips() -> list[Samples]:
    return [audio.read(utterance.path, 16000) for utterance in read_manifest(SAMPLE_CLIPS)[2:4]]


@pytest.fixture
def clip(noise: Callable[[int], Samples]) -> Samples:
    sound: Samples = np.clip(noise(16000) * 0.5, -1.0, 1.0)
    return sound


def finals(events: list[Event]) -> list[str]:
    return [event.text for event in events if event.type == "final"]


def pause(seconds: float) -> Samples:
    return np.random.default_rng(1).standard_normal(int(seconds * 16000)).astype(np.float32) * np.float32(3e-4)


@pytest.mark.parametrize("waited", [0.0, 0.1, 0.3, 0.6])
def test_a_segment_that_the_caller_ends_has_the_words_so_far(
    default: Recognizer, clips: list[Samples], waited: float
) -> None:
    first, second = clips
    by_rule = default.stream()
    wanted = finals(by_rule.accept(np.concatenate([first, pause(2.0), second])) + by_rule.finish())
    assert len(wanted) == 2
    stream = default.stream()
    found = [finals(stream.accept(np.concatenate([first, pause(waited)]))), finals(stream.end_segment())]
    found += [finals(stream.accept(np.concatenate([pause(2.0 - waited), second]))), finals(stream.end_segment())]
    assert found == [[], wanted[:1], [], wanted[1:]]
    assert finals(stream.accept(pause(1.0))) + finals(stream.finish()) == []


class CountingDecoder:
    """A decoder that counts the frames which it is given."""

    def __init__(self, decoder: Any) -> None:
        self._decoder, self.frames = decoder, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)

    def step(self, rows: Any, state: Any) -> Any:  # noqa: D102
        self.frames += len(rows)
        return self._decoder.step(rows, state)


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("sizes", [[16000], [1] * 5 + [639, 700, 5000], [3000, 200, 4000], [640] * 20, [0, 9000, 0]])
def test_each_frame_is_decoded_once_wherever_segments_end(
    recognizer: Recognizer, clip: Samples, sizes: list[int], rate: int
) -> None:
    def count(cut: bool) -> int:
        stream = recognizer.stream(rate)
        for piece in np.split(clip, np.cumsum(sizes)):
            stream.accept(piece)
            if cut:
                stream.end_segment()
                stream.end_segment()
        stream.finish()
        assert stream._recognition is not None
        return stream._recognition.frames_decoded

    assert count(cut=True) == count(cut=False) > 0


@pytest.mark.parametrize("seconds", np.arange(1.0, 7.0, 0.37).tolist())
def test_a_segment_that_the_caller_ends_has_the_text_of_a_recording_that_ends_there(
    default: Recognizer, clips: list[Samples], seconds: float
) -> None:
    for clip in clips:
        begin = clip[: int(seconds * 16000)]
        stream = default.stream()
        events = stream.accept(begin) + stream.end_segment()
        assert " ".join(finals(events)) == default.transcribe((begin, 16000)).text


def test_segments_that_the_caller_ends_do_not_change_the_acoustic_state(recognizer: Recognizer, clip: Samples) -> None:
    ended, alone = recognizer.stream(), recognizer.stream()
    for piece in np.split(clip, 5):
        ended.accept(piece)
        ended.end_segment()
        alone.accept(piece)
    ended.accept(clip)
    alone.accept(clip)
    ended.end_segment()
    alone.end_segment()
    # Both are at the beginning of a segment, with the same audio behind them.
    assert finals(ended.accept(clip) + ended.finish()) == finals(alone.accept(clip) + alone.finish())


def test_bytes_of_16_bit_samples_may_be_cut_anywhere(recognizer: Recognizer, clip: Samples) -> None:
    samples = np.round(clip * 32767).astype("<i2")
    data = samples.tobytes()
    whole, pieces = recognizer.stream(), recognizer.stream()
    wanted = finals(whole.accept(samples) + whole.finish())
    events = [event for start in range(0, len(data), 333) for event in pieces.accept_pcm16(data[start : start + 333])]
    assert finals(events + pieces.finish()) == wanted != []


@pytest.mark.parametrize("bad", [b"ab", bytearray(b"ab"), memoryview(b"ab")])
def test_bytes_as_samples_are_refused_with_what_to_do(recognizer: Recognizer, bad: Any) -> None:
    for use in (recognizer.stream().accept, lambda data: recognizer.transcribe((data, 16000))):
        with pytest.raises(AudioError, match=r"samples as bytes; wanted an array.*accept_pcm16"):
            use(bad)


@pytest.mark.parametrize("bad", [None, b"ab", np.zeros(10), [0.0], 5, (np.zeros(5),), {}])
def test_a_recording_without_a_rate_is_refused_with_what_to_do(recognizer: Recognizer, bad: Any) -> None:
    for use in (recognizer.transcribe, recognizer.transcribe_channels):
        with pytest.raises(UsageError, match=r"file or the pair \(samples, sample_rate\) as one argument"):
            use(bad)


def test_bytes_as_a_recording_are_refused_with_what_to_do(recognizer: Recognizer) -> None:
    with pytest.raises(UsageError, match=r"type bytes; wanted .*numpy.frombuffer\(data, dtype='<i2'\)"):
        recognizer.transcribe(b"RIFF")  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", ["16000", True, 0])
def test_a_rate_that_is_no_rate_is_refused(recognizer: Recognizer, rate: Any) -> None:
    with pytest.raises(AudioError, match="sample rate"):
        recognizer.stream(rate)


def test_a_closed_stream_gives_its_memory_back(recognizer: Recognizer, clip: Samples) -> None:
    with recognizer.stream() as stream:
        stream.accept(clip)
        state = weakref.ref(stream._recognition)
    gc.collect()
    assert state() is None
    assert stream.finish() == [] and stream.seconds_processed == 1.0
    stream.close()
    for use in (lambda: stream.accept(clip), stream.end_segment, lambda: stream.set_hot_words({})):
        with pytest.raises(UsageError, match="the stream is closed; begin a new one"):
            use()


def test_a_closed_recognizer_closes_its_streams_and_gives_its_memory_back(tiny_bundle: Bundle, clip: Samples) -> None:
    with Recognizer(tiny_bundle) as recognizer:
        stream = recognizer.stream()
        stream.accept(clip)
        model, decoder = weakref.ref(recognizer.model), weakref.ref(recognizer.decoder)
    gc.collect()
    assert model() is None and decoder() is None
    recognizer.close()
    for use in (lambda: stream.accept(clip), recognizer.stream, lambda: recognizer.transcribe((clip, 16000))):
        with pytest.raises(UsageError, match="closed"):
            use()


def test_two_threads_in_one_stream_are_refused(recognizer: Recognizer, clip: Samples) -> None:
    inside, go_on, decoder = threading.Event(), threading.Event(), recognizer.decoder

    class WaitingDecoder(CountingDecoder):
        def step(self, rows: Any, state: Any) -> Any:  # noqa: D102
            inside.set()
            assert go_on.wait(30)
            return super().step(rows, state)

    waiting: Any = WaitingDecoder(decoder)
    stream = Stream(replace(recognizer.parts, decoder=waiting), 16000)
    found: list[list[Event]] = []
    thread = threading.Thread(target=lambda: found.append(stream.accept(clip)))
    thread.start()
    assert inside.wait(30)
    for use in (lambda: stream.accept(clip), stream.end_segment, stream.finish, stream.close):
        with pytest.raises(UsageError, match="two threads use one stream at the same time"):
            use()
    go_on.set()
    thread.join()
    alone = recognizer.stream()
    assert (found[0] != []) and finals(found[0] + stream.finish()) == finals(alone.accept(clip) + alone.finish())


def test_threads_may_take_turns_and_asyncio_may_use_a_thread(recognizer: Recognizer, clip: Samples) -> None:
    async def recognise() -> list[Event]:
        stream = recognizer.stream()
        events: list[Event] = []
        for piece in np.split(clip, 5):
            events += await asyncio.to_thread(stream.accept, piece)
        return events + await asyncio.to_thread(stream.finish)

    async def both() -> list[list[Event]]:
        return list(await asyncio.gather(recognise(), recognise()))

    alone = recognizer.stream()
    wanted = finals(alone.accept(clip) + alone.finish())
    assert [finals(events) for events in asyncio.run(both())] == [wanted, wanted]


def test_steps_of_many_streams_can_be_one_batch(recognizer: Recognizer, clip: Samples) -> None:
    sounds = [clip, clip[::-1].copy(), clip * np.float32(0.3)]
    alone = []
    for sound in sounds:
        stream = recognizer.stream()
        alone.append([replace(event, latency_ms=0.0) for event in stream.accept(sound) + stream.finish()])
    streams = [recognizer.stream() for _ in sounds]
    events: list[list[Event]] = [[] for _ in sounds]
    for steps in (
        [s.accept_steps(x) for s, x in zip(streams, sounds, strict=True)],
        [s.finish_steps() for s in streams],
    ):
        results: dict[int, Any] = dict.fromkeys(range(len(steps)))
        while results:
            wanted = {}
            for index, result in results.items():
                try:
                    wanted[index] = steps[index].send(result)
                except StopIteration as stop:
                    events[index] += stop.value
            if wanted:
                samples = np.concatenate([one.samples for one in wanted.values()])
                states = [one.state for one in wanted.values()]
                state = {name: np.concatenate([one[name] for one in states]) for name in states[0]}
                rows, after = recognizer.model.step(samples, state)
            results = {
                index: (rows[n : n + 1], {name: value[n : n + 1] for name, value in after.items()})
                for n, index in enumerate(wanted)
            }
    assert [[replace(event, latency_ms=0.0) for event in found] for found in events] == alone


def test_every_error_is_of_the_package(recognizer: Recognizer) -> None:
    stream = recognizer.stream()
    for bad in (None, object(), {}, "abc", [None], [[[0.0]]], b""):
        with pytest.raises(EdgespeechError):
            stream.accept(bad)  # type: ignore[arg-type]
