"""The recognizer with a known output of the acoustic model: frames, times, segments, settings.

The model of these tests derives the label of a frame from its loudness, so that text and times are known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from edgespeech.errors import BundleError, LanguageModelError, UsageError
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.stream import Stream
from edgespeech.runtime.transcript import Event, Segment

Samples = NDArray[np.float32]
FRAME = 640
SURE = 0.98
TINY_LM = Path(__file__).parents[1] / "golden" / "tiny.bin"


class LoudnessModel:
    """Outputs label k for a frame of loudness k/64, ``delay`` frames later; the outputs before that are ``first``."""

    def __init__(self, labels: int, delay: int, first: int) -> None:
        self.labels, self.delay, self.first = labels, delay, first

    def initial_state(self, batch: int = 1) -> dict[str, Samples]:
        """Return the outputs that come before those of the first frame."""
        return {"delayed": np.full((batch, self.delay), self.first, np.float32)}

    def ending(self, state: dict[str, Samples], samples_left: int) -> dict[str, Samples]:
        """Return the state as it is: the outputs do not depend on where the recording ends."""
        return state

    def step(self, samples: Samples, state: dict[str, Samples]) -> tuple[Samples, dict[str, Samples]]:
        """Process one chunk of one stream."""
        levels = np.round(np.abs(samples[0]).reshape(-1, FRAME).max(axis=1) * 64)
        queue = np.concatenate([state["delayed"][0], levels.astype(np.float32)])
        output, delayed = queue[: len(levels)], queue[len(levels) :]
        probabilities = np.full((1, len(output), self.labels), (1.0 - SURE) / (self.labels - 1))
        probabilities[0, np.arange(len(output)), output.astype(int)] = SURE
        return np.log(probabilities).astype(np.float32), {"delayed": delayed[None]}


@pytest.fixture(scope="module")
def reader(tiny_bundle: Bundle) -> Callable[..., Recognizer]:
    """Return a function that makes recognizers with a `LoudnessModel`."""

    def make(delay: int = 3, **options: Any) -> Recognizer:
        facts = msgspec.structs.replace(tiny_bundle.manifest.audio, delay_frames=delay)
        manifest = msgspec.structs.replace(tiny_bundle.manifest, audio=facts)
        made = Recognizer(Bundle(tiny_bundle.folder, manifest), **options)
        model: Any = LoudnessModel(len(manifest.labels), delay, manifest.labels.index("z"))
        return Recognizer(made.bundle, made.options, parts=replace(made.parts, model=model))

    return make


def sound(recognizer: Recognizer, text: str, silence: int = 0) -> Samples:
    """Return one frame of sound and one of silence for each letter, and then more frames of silence."""
    labels = recognizer.bundle.manifest.labels
    frames = [value for letter in text for value in (labels.index(letter) / 64, 0.0)]
    loudness = np.repeat(np.array(frames + [0.0] * silence, np.float32), FRAME)
    return loudness * np.where(np.arange(len(loudness)) % 2, -1, 1).astype(np.float32)  # no offset


def push(recognizer: Recognizer, blocks: Iterable[ArrayLike], rate: int | None = None) -> list[Event]:
    stream = recognizer.stream(rate)
    return [event for block in blocks for event in stream.accept(block)] + stream.finish()


def finals(events: Iterable[Event]) -> list[Segment]:
    """Return the results that must not depend on how the audio arrived."""
    return [Segment(e.text, e.start, e.end, e.words, e.nbest) for e in events if e.type == "final"]


def cut(samples: NDArray[Any], size: int) -> list[NDArray[Any]]:
    return [samples[start : start + size] for start in range(0, len(samples), size)]


@pytest.mark.parametrize("kind", [str, Path])
def test_a_bundle_may_be_named_by_its_folder(tiny_bundle: Bundle, kind: Callable[[Path], str | Path]) -> None:
    with Recognizer(kind(tiny_bundle.folder)) as recognizer:
        assert recognizer.bundle.manifest == tiny_bundle.manifest
    with pytest.raises(BundleError, match="bundle nowhere does not exist; give the folder"):
        Recognizer("nowhere")


@pytest.mark.parametrize("delay", [0, 1, 3, 8, 31])
def test_words_have_the_times_at_which_they_were_said(reader: Callable[..., Recognizer], delay: int) -> None:
    recognizer = reader(delay)
    samples = sound(recognizer, "the cat sat")
    transcript = recognizer.transcribe((samples, 16000))
    assert transcript.text == "the cat sat"
    times = [(word.word, round(word.start / 0.04, 6), round(word.end / 0.04, 6)) for word in transcript.words]
    assert times == [("the", 0, 5), ("cat", 8, 13), ("sat", 16, 21)]
    assert all(word.confidence > 0.5 for word in transcript.words)


@pytest.mark.parametrize("delay", [0, 3, 31])
@pytest.mark.parametrize("extra", [1, 639, 640, 641])
def test_every_frame_and_the_silence_after_them_is_decoded(
    reader: Callable[..., Recognizer], delay: int, extra: int
) -> None:
    recognizer = reader(delay, endpoint_seconds=None)
    labels = recognizer.bundle.manifest.labels
    samples = np.append(sound(recognizer, "ab"), np.full(extra, labels.index("x") / 64, np.float32))
    counted = 0
    step = recognizer.parts.endpointer.step

    def count(log_probs: Samples, levels: Samples, state: Any) -> Any:
        nonlocal counted
        assert len(levels) == len(log_probs)
        counted += len(log_probs)
        return step(log_probs, levels, state)

    recognizer.parts.endpointer.step = count  # type: ignore[method-assign]
    transcript = recognizer.transcribe((samples, 16000))
    assert counted == math.ceil(len(samples) / FRAME) + round(0.3 / 0.04)
    assert transcript.text == "abx"
    last_frame = (len(samples) - extra) / 16000  # a second frame of the same label adds nothing
    assert transcript.words[0].end == min(last_frame + 0.04, len(samples) / 16000)


@pytest.mark.parametrize("late", [1, 5, 7])
def test_letters_output_after_the_recording_are_decoded(reader: Callable[..., Recognizer], late: int) -> None:
    recognizer = reader(3)
    blank = recognizer.bundle.manifest.blank
    model: Any = LoudnessModel(len(recognizer.decoder.labels), 3 + late, blank)
    recognizer = Recognizer(recognizer.bundle, parts=replace(recognizer.parts, model=model))
    samples = sound(recognizer, "the cat")
    transcript = recognizer.transcribe((samples, 16000))
    assert transcript.text == "the cat" and transcript.duration == len(samples) / 16000
    assert all(0.0 <= word.start < word.end <= transcript.duration for word in transcript.words)
    assert all(event.end <= transcript.duration for event in push(recognizer, [samples]))


def test_partials_grow_into_the_final(reader: Callable[..., Recognizer]) -> None:
    recognizer = reader()
    samples = sound(recognizer, "the cat  sat", silence=5)
    events = push(recognizer, cut(samples, 1280))
    partials, final = events[:-1], events[-1]
    assert {event.type for event in partials} == {"partial"}
    assert (final.type, final.text, final.committed, final.tentative) == ("final", "the cat sat", "the cat sat", "")
    texts = [event.text for event in partials]
    assert texts[0] == "t" and texts[-1] == "the cat sat"
    assert all(later.startswith(earlier) for earlier, later in zip(texts, texts[1:], strict=False))
    assert len(set(texts)) == len(texts)
    ends = [event.end for event in partials]
    assert ends == sorted(ends) and ends[-1] <= len(samples) / 16000
    assert all(event.latency_ms > 0.0 for event in events)


def test_a_partial_without_a_final_is_retracted(reader: Callable[..., Recognizer]) -> None:
    recognizer = reader(beta=-20.0)
    events = push(recognizer, cut(sound(recognizer, "a", silence=40), 1280))
    assert [(event.type, event.text) for event in events] == [("partial", "a"), ("partial", "")]


SPEECH: list[tuple[str, int]] = [("the cat", 30), (" sat", 30), (" on the mat", 0)]


def test_silence_ends_a_segment(reader: Callable[..., Recognizer]) -> None:
    recognizer = reader(nbest=2)
    pieces = [sound(recognizer, text, silence) for text, silence in SPEECH]
    transcript = recognizer.transcribe((np.concatenate(pieces), 16000))
    assert [segment.text for segment in transcript.segments] == ["the cat", "sat", "on the mat"]
    alone = [recognizer.transcribe((piece, 16000)).text for piece in pieces]
    assert [segment.text for segment in transcript.segments] == alone
    whole = reader(endpoint_seconds=None).transcribe((np.concatenate(pieces), 16000))
    assert [segment.text for segment in whole.segments] == ["the cat sat on the mat"]
    assert whole.text == transcript.text == transcript.nbest[0].text
    assert len(transcript.nbest) == 2 and len(whole.nbest) == 1
    spans = [(word.word, round(word.start, 6), round(word.end, 6)) for word in transcript.words]
    assert spans == [(word.word, round(word.start, 6), round(word.end, 6)) for word in whole.words]


@pytest.mark.parametrize("fast_partials", [True, False])
@pytest.mark.parametrize("delay", [0, 3, 8])
def test_the_final_comes_one_chunk_after_the_rule_at_most(
    reader: Callable[..., Recognizer], delay: int, fast_partials: bool
) -> None:
    recognizer = reader(delay, endpoint_seconds=0.4)
    samples = np.concatenate([sound(recognizer, text, 30) for text in ("the cat", "sat", "on")])
    stream, late = recognizer.stream(fast_partials=fast_partials), []
    for block in cut(samples, 160):
        late += [stream.seconds_processed - e.end for e in stream.accept(block) if e.type == "final"]
    assert len(late) == 3
    assert all(0.4 <= seconds + 1e-9 and seconds < 0.4 + recognizer.chunk_samples / 16000 for seconds in late)


def test_alternatives_have_the_times_of_the_recording(reader: Callable[..., Recognizer]) -> None:
    recognizer = reader(nbest=3)
    samples = np.concatenate([sound(recognizer, text, silence) for text, silence in SPEECH])
    before = 0.0
    for segment in recognizer.transcribe((samples, 16000)).segments:
        assert segment.nbest[0].words == segment.words
        assert (segment.start, segment.end) == (segment.words[0].start, segment.words[-1].end)
        for hypothesis in segment.nbest:
            first, last = hypothesis.frames[0] * 0.04, hypothesis.frames[-1] * 0.04
            assert before <= first <= hypothesis.words[0].start + 1e-6
            assert last + 0.04 >= hypothesis.words[-1].end - 1e-6
        before = segment.end


@given(cuts=st.lists(st.integers(0, 66000), max_size=8))
@settings(deadline=None, max_examples=20)
def test_endpoints_do_not_depend_on_the_pushes(reader: Callable[..., Recognizer], cuts: list[int]) -> None:
    recognizer = reader(endpoint_seconds=0.4)
    samples = np.concatenate([sound(recognizer, text, silence) for text, silence in SPEECH])
    events = push(recognizer, np.split(samples, sorted(cuts)))
    assert [event.text for event in events if event.type == "final"] == ["the cat", "sat", "on the mat"]
    assert finals(events) == list(recognizer.transcribe((samples, 16000)).segments)


def test_a_fixed_chunk_cannot_be_changed(cells_bundle: Bundle) -> None:
    with pytest.raises(
        UsageError, match="chunk of 160 ms: this bundle has a fixed one of 80 ms; export with --chunk-ms"
    ):
        Recognizer(cells_bundle, chunk_ms=160)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"chunk_ms": 50}, UsageError, "multiple of 40 ms"),
        ({"chunk_ms": 0}, UsageError, "multiple of 40 ms"),
        ({"chunk_ms": -40}, UsageError, "multiple of 40 ms"),
        ({"chunk_ms": math.nan}, UsageError, "multiple of 40 ms"),
        ({"chunk_ms": math.inf}, UsageError, "multiple of 40 ms"),
        ({"chunk_ms": 4e7}, UsageError, "at most 60 s"),
        ({"nbest": 0}, UsageError, "nbest is 0"),
        ({"beam_width": 0}, UsageError, "beam_width is 0"),
        ({"endpoint_seconds": -1.0}, UsageError, "endpoint"),
        ({"endpoint_seconds": math.inf}, UsageError, "endpoint"),
        ({"lm": TINY_LM, "alpha": 1000.0}, UsageError, "alpha is 1000.0"),
        ({"lm": TINY_LM, "beta": math.nan}, UsageError, "beta is nan"),
        ({"lm": TINY_LM, "use_lm": False}, UsageError, "clash"),
        ({"lm": ""}, LanguageModelError, "is not a file"),
        ({"lm": "nowhere.bin"}, LanguageModelError, "no language model at nowhere.bin"),
    ],
)
def test_invalid_settings_are_refused(
    tiny_bundle: Bundle, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        Recognizer(tiny_bundle, **options)


def test_hot_words_can_change_between_segments(reader: Callable[..., Recognizer]) -> None:
    recognizer = reader(lm=TINY_LM, alpha=1.0, unknown_score=-60.0, endpoint_seconds=0.4, hot_words={"zoo": 9.0})
    text = sound(recognizer, "zoo", 20)

    def final_text(stream: Stream) -> str:
        return " ".join(event.text for event in stream.accept(text) if event.type == "final")

    stream = recognizer.stream()
    assert final_text(stream) == "zoo"
    stream.accept(text[:FRAME])
    stream.set_hot_words({})  # this segment has begun
    assert final_text(stream) == "zoo"
    assert "zoo" not in final_text(stream)
    stream.set_hot_words({"Zoo": 9.0})
    with pytest.raises(UsageError, match="no é"):
        stream.set_hot_words({"ZOé": 9.0})
    stream.finish()
    fresh = recognizer.stream()
    fresh.set_hot_words({})  # nothing has been decoded: at once
    assert "zoo" not in final_text(fresh)
    assert recognizer.transcribe((text, 16000)).text == "zoo"


def test_a_closed_grammar_excludes_other_speech(reader: Callable[..., Recognizer]) -> None:
    recognizer = reader(grammar=["go on", "stop"], filler_score=-2.0)
    assert recognizer.decoder.lm is None
    assert recognizer.transcribe((sound(recognizer, "go on"), 16000)).text == "go on"
    assert recognizer.transcribe((sound(recognizer, "zebra"), 16000)).text == "<unknown>"
    with pytest.raises(UsageError, match="excludes hot words"):
        recognizer.stream().set_hot_words({"zebra": 1.0})
    with pytest.raises(UsageError, match="filler score -2 without a grammar"):
        reader(filler_score=-2.0)


def test_a_language_model_changes_the_words(reader: Callable[..., Recognizer]) -> None:
    recognizer = reader(lm=TINY_LM, alpha=2.0)
    assert recognizer.transcribe((sound(recognizer, "a ab"), 16000)).text == "a ab"
    assert recognizer.decoder.lm is not None
    assert (recognizer.decoder.alpha, recognizer.decoder.beta) == (2.0, 1.5)
    plain = reader()
    assert plain.decoder.lm is None and plain.decoder.beta == 0.0
