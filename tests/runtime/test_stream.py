"""Streams of the tiny graph, whose text changes with every sample, so that it shows any effect of the pushes."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from edgespeech.errors import AudioError, UsageError
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.recognition import Steps
from edgespeech.runtime.recognizer import Recognizer, recording_chunk_ms
from edgespeech.runtime.transcript import Event, Segment, Transcript

Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def recognizer(tiny_bundle: Bundle) -> Recognizer:
    """Make a recognizer with the tiny graph."""
    return Recognizer(tiny_bundle, nbest=3, min_evidence=0.0)


def push(recognizer: Recognizer, blocks: Iterable[ArrayLike], rate: int | None = None) -> list[Event]:
    stream = recognizer.stream(rate)
    return [event for block in blocks for event in stream.accept(block)] + stream.finish()


def finals(events: Iterable[Event]) -> list[Segment]:
    """Return the results that must not depend on how the audio arrived."""
    return [Segment(e.text, e.start, e.end, e.words, e.nbest) for e in events if e.type == "final"]


def cut(samples: NDArray[Any], size: int) -> list[NDArray[Any]]:
    return [samples[start : start + size] for start in range(0, len(samples), size)]


@pytest.fixture(scope="module")
def clip(noise: Callable[[int], Samples]) -> Samples:
    """Make noise whose loudness changes, with an incomplete last frame."""
    loudness = np.repeat(np.array([0.05, 1.0, 0.3, 2.0, 0.6, 0.1], np.float32), 3500)[:19777]
    sound: Samples = np.clip(noise(19777) * loudness * 4.0, -1.0, 1.0)
    return sound


@pytest.mark.parametrize("size", [112, 640, 1280, 7777, 16000, 19777, 50000])
def test_ragged_pushes_equal_the_whole(recognizer: Recognizer, clip: Samples, size: int) -> None:
    whole = recognizer.transcribe((clip, 16000))
    assert len(whole.text) > 5
    assert finals(push(recognizer, cut(clip, size))) == list(whole.segments)


def test_sample_by_sample_equals_the_whole(recognizer: Recognizer, clip: Samples) -> None:
    short = clip[6000:9001]
    whole = recognizer.transcribe((short, 16000))
    assert whole.text
    assert finals(push(recognizer, cut(short, 1))) == list(whole.segments)


@given(cuts=st.lists(st.integers(0, 19777), max_size=12))
@settings(deadline=None, max_examples=20)
def test_any_pushes_equal_the_whole(recognizer: Recognizer, clip: Samples, cuts: list[int]) -> None:
    pieces = np.split(clip, sorted(cuts))
    assert finals(push(recognizer, pieces)) == list(recognizer.transcribe((clip, 16000)).segments)


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
@pytest.mark.parametrize("size", [1, 56, 441, 10007])
def test_ragged_pushes_at_other_rates(recognizer: Recognizer, clip: Samples, rate: int, size: int) -> None:
    samples = clip[: max(6000, 4000 * size)]
    whole = recognizer.transcribe((samples, rate))
    assert whole.text
    assert finals(push(recognizer, cut(samples, size), rate)) == list(whole.segments)


def test_integers_and_channels_give_the_same_result(recognizer: Recognizer, clip: Samples) -> None:
    whole = np.round(clip * 32767).astype(np.int16)
    wanted = finals(push(recognizer, cut(whole.astype(np.float32) / 32768, 1000)))
    assert finals(push(recognizer, cut(whole, 777))) == wanted
    assert finals(push(recognizer, cut(np.stack([whole, whole], axis=1), 777))) == wanted
    assert finals(push(recognizer, cut(whole.astype(np.int32) * 65536, 1280))) == wanted


def test_a_file_equals_its_samples(recognizer: Recognizer, clip: Samples, tmp_path: Path) -> None:
    stereo = np.stack([clip, clip], axis=1)
    soundfile.write(tmp_path / "clip.wav", stereo, 44100, subtype="FLOAT")
    from_file = recognizer.transcribe(tmp_path / "clip.wav")
    assert from_file.segments == recognizer.transcribe((stereo, 44100)).segments
    assert from_file.duration == pytest.approx(len(clip) / 44100, abs=1e-4)


def test_interleaved_streams_do_not_disturb_each_other(recognizer: Recognizer, clip: Samples) -> None:
    sounds = [clip, clip[::-1].copy()]
    alone = [finals(push(recognizer, cut(samples, 1000))) for samples in sounds]
    assert alone[0] != alone[1]
    streams = [recognizer.stream(), recognizer.stream()]
    events: list[list[Event]] = [[], []]
    for pieces in zip(*(cut(samples, 1000) for samples in sounds), strict=True):
        for found, stream, piece in zip(events, streams, pieces, strict=True):
            found += stream.accept(piece)
    for found, stream in zip(events, streams, strict=True):
        found += stream.finish()
    assert [finals(found) for found in events] == alone


@pytest.mark.parametrize("samples", [0, 1, 639, 640, 641])
def test_recordings_of_at_most_one_frame_are_accepted(recognizer: Recognizer, tmp_path: Path, samples: int) -> None:
    quiet = np.zeros(samples, np.float32)
    soundfile.write(tmp_path / "quiet.wav", quiet, 16000, subtype="FLOAT")
    found: list[Transcript] = [recognizer.transcribe((quiet, 16000)), recognizer.transcribe(tmp_path / "quiet.wav")]
    assert found[0].segments == found[1].segments
    assert [transcript.duration for transcript in found] == [samples / 16000] * 2
    assert all(word.end <= samples / 16000 for word in found[0].words)
    if not samples:
        assert found[0].text == "" and found[0].segments == () and found[0].nbest == () and found[0].rtf == 0.0


def test_a_finished_stream_refuses_more_audio(recognizer: Recognizer, clip: Samples) -> None:
    stream = recognizer.stream()
    stream.accept(clip)
    assert finals(stream.finish()) != []
    assert stream.finish() == []
    with pytest.raises(UsageError, match="the stream is finished"):
        stream.accept(clip)


@pytest.mark.parametrize("bad", [[math.nan], [math.inf], ["loud"], [[[0.0]]], [True]])
def test_invalid_samples_do_not_change_the_stream(recognizer: Recognizer, clip: Samples, bad: list[Any]) -> None:
    stream = recognizer.stream()
    events = stream.accept(clip[:5000])
    with pytest.raises(AudioError):
        stream.accept(bad)
    events += stream.accept(clip[5000:]) + stream.finish()
    assert finals(events) == list(recognizer.transcribe((clip, 16000)).segments)


@pytest.mark.parametrize("rate", [0, -1, 999, 10**9])
def test_an_invalid_rate_is_refused(recognizer: Recognizer, clip: Samples, rate: int) -> None:
    with pytest.raises(AudioError, match="sample rate"):
        recognizer.stream(rate)
    with pytest.raises(AudioError, match="sample rate"):
        recognizer.transcribe((clip, rate))


def test_committed_text_stays(recognizer: Recognizer, clip: Samples) -> None:
    committed = ""
    for event in push(recognizer, cut(clip, 1280)):
        assert event.committed + event.tentative == event.text
        assert event.text.startswith(committed)
        committed = "" if event.type == "final" else event.committed


def test_times_increase_and_lie_in_the_recording(recognizer: Recognizer, clip: Samples) -> None:
    transcript = recognizer.transcribe((clip, 16000))
    assert transcript.words
    times = [time for word in transcript.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert 0.0 <= times[0] and times[-1] <= transcript.duration == len(clip) / 16000
    assert transcript.rtf == transcript.seconds / transcript.duration > 0.0


def texts(recognizer: Recognizer, clip: Samples) -> Sequence[str]:
    return [segment.text for segment in recognizer.transcribe((clip, 16000)).segments]


@pytest.mark.parametrize("chunk_ms", [40, 120, 1000])
def test_another_chunk_gives_the_same_text(
    recognizer: Recognizer, tiny_bundle: Bundle, clip: Samples, chunk_ms: int
) -> None:
    other = Recognizer(tiny_bundle, chunk_ms=chunk_ms)
    assert other.chunk_samples == chunk_ms * 16
    assert texts(other, clip) == texts(recognizer, clip)


@pytest.mark.parametrize("count", [3000, 5121, 19777])
def test_long_chunks_compute_little_more_than_the_recording(
    recognizer: Recognizer, tiny_bundle: Bundle, clip: Samples, count: int
) -> None:
    facts = tiny_bundle.manifest.audio
    own = facts.chunk_samples
    other = Recognizer(tiny_bundle, chunk_ms=8 * own / 16, nbest=3, min_evidence=0.0)
    stream, given = other.stream(), []
    for steps in (stream.accept_steps(clip[:count]), stream.finish_steps()):
        with contextlib.suppress(StopIteration):
            wanted = next(steps)
            while True:
                given.append(wanted.samples.shape[1])
                wanted = steps.send(other.parts.model.step(wanted.samples, wanted.state))
    assert all(size % own == 0 and size <= 8 * own for size in given)
    assert sum(given) < count + facts.delay_frames * facts.frame_samples + 8 * own + 2 * own
    assert texts(other, clip[:count]) == texts(recognizer, clip[:count])


def test_recordings_have_chunks_of_whole_chunks_of_the_bundle(tiny_bundle: Bundle, cells_bundle: Bundle) -> None:
    chunk_ms = recording_chunk_ms(tiny_bundle)
    assert chunk_ms is not None and 1000 < chunk_ms <= 2400
    assert Recognizer(tiny_bundle, chunk_ms=chunk_ms).chunk_samples % tiny_bundle.manifest.audio.chunk_samples == 0
    assert not cells_bundle.manifest.audio.chunk_free and recording_chunk_ms(cells_bundle) is None


def test_the_unrolled_form_gives_the_same_text(recognizer: Recognizer, cells_bundle: Bundle, clip: Samples) -> None:
    assert texts(Recognizer(cells_bundle), clip) == texts(recognizer, clip)
    assert texts(Recognizer(cells_bundle, chunk_ms=80), clip) == texts(recognizer, clip)


@pytest.mark.parametrize("chunk_ms", [40, 80, 1000])
def test_fast_partials_are_early_and_change_no_final(tiny_bundle: Bundle, clip: Samples, chunk_ms: int) -> None:
    recognizer = Recognizer(tiny_bundle, min_evidence=0.0, chunk_ms=chunk_ms, endpoint_seconds=0.2)
    found: list[list[Event]] = []
    for fast in (False, True):
        stream = recognizer.stream(fast_partials=fast)
        found.append([event for block in cut(clip, 640) for event in stream.accept(block)] + stream.finish())
    assert finals(found[0]) == finals(found[1])
    first, fast_first = (next(event for event in events if event.type == "partial") for events in found)
    delay = tiny_bundle.manifest.audio.delay_frames * 0.04
    assert fast_first.end == pytest.approx(chunk_ms / 1000.0) and fast_first.end <= first.end + delay
    committed = ""
    for event in found[1]:
        assert event.committed + event.tentative == event.text and event.text.startswith(committed)
        committed = "" if event.type == "final" else event.committed


@pytest.fixture(scope="module")
def brisk(tiny_bundle: Bundle) -> Recognizer:
    """Make a recognizer with a narrow search and short segments."""
    return Recognizer(tiny_bundle, min_evidence=0.0, beam_width=4, endpoint_seconds=0.2)


@given(cuts=st.lists(st.integers(0, 19777), max_size=8))
@settings(deadline=None, max_examples=8)
def test_fast_partials_do_not_depend_on_the_pushes(brisk: Recognizer, clip: Samples, cuts: list[int]) -> None:
    found = []
    for pieces in ([clip], np.split(clip, sorted(cuts))):
        stream = brisk.stream(fast_partials=True)
        events = [event for block in pieces for event in stream.accept(block)] + stream.finish()
        found.append([(event.type, event.text, event.committed, event.start, event.end) for event in events])
    assert found[0] == found[1]
    assert sum(kind == "partial" for kind, *_ in found[0]) > 5


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_what_the_resampler_holds_counts_as_processed(tiny_bundle: Bundle, rate: int) -> None:
    stream = Recognizer(tiny_bundle).stream(rate)
    for block in range(1, 41):
        stream.accept(np.zeros(rate // 40, np.float32))
        assert stream.seconds_processed == pytest.approx(block / 40, abs=1e-3)
    stream.finish()
    assert stream.seconds_processed == pytest.approx(1.0, abs=1e-3)


def count_steps(recognizer: Recognizer, steps: Steps) -> int:
    count = 0
    try:
        wanted = next(steps)
        while True:
            count += 1
            wanted = steps.send(recognizer.parts.model.step(wanted.samples, wanted.state))
    except StopIteration:
        return count


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_the_model_computes_nothing_before_the_audio_that_a_stream_asks_for(
    recognizer: Recognizer, clip: Samples, rate: int
) -> None:
    stream, steps, position = recognizer.stream(rate), 0, 0
    while position < len(clip):
        too_few = max(0, math.ceil(stream.seconds_to_step * rate) - 1)
        assert not count_steps(recognizer, stream.accept_steps(clip[position : position + too_few]))
        position += too_few + 20
        steps += count_steps(recognizer, stream.accept_steps(clip[position - 20 : position]))
    chunks = len(clip) / rate * 16000 // recognizer.parts.chunk_samples
    assert chunks - 2 <= steps <= 2 * chunks, "an endpoint may take a second step for a chunk"
