"""Written text of streams: the same however the sound is cut, never changed once shown, and plain without it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.runtime.bundle import Bundle, load_bundle
from edgespeech.runtime.decoder.hypothesis import Word, join_words
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest, read_samples
from edgespeech.runtime.options import RecognizerOptions
from edgespeech.runtime.punctuation.tagger import CONTEXT_WORDS
from edgespeech.runtime.punctuation.writing import WritingState
from edgespeech.runtime.recognizer import Recognizer, load_writer
from edgespeech.runtime.transcript import Event

RATE = 16_000
MAX_TAGGER_BYTES = 2_000_000
HOUR_SECONDS = 3600.0


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """The default bundle, which has a tagger."""
    return load_bundle()


@pytest.fixture(scope="module")
def recognizer(bundle: Bundle) -> Recognizer:
    """A recognizer that writes, with a narrow beam."""
    return Recognizer(bundle, written=True, beam_width=8, hot_words={"Wizard": 1.0})


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    """Three clips with silence that ends a segment between them."""
    clips = [read_samples(one, RATE) for one in read_manifest(SAMPLE_CLIPS)[:3]]
    return np.concatenate([part for clip in clips for part in (clip, np.zeros(2 * RATE, np.float32))])


def test_the_tagger_is_small(bundle: Bundle) -> None:
    assert bundle.punctuation_path is not None
    assert bundle.punctuation_path.stat().st_size < MAX_TAGGER_BYTES


def test_chunked_equals_whole_and_partials_stay_plain(recognizer: Recognizer, speech: NDArray[np.float32]) -> None:
    whole = recognizer.transcribe((speech, RATE))
    stream, events, position = recognizer.stream(), list[Event](), 0
    for size in np.random.default_rng(2).integers(100, 40_000, size=1000).tolist():
        events += stream.accept(speech[position : position + size])
        position += size
        if position >= len(speech):
            break
    events += stream.finish()
    finals = [event for event in events if event.type == "final"]
    assert [event.text for event in finals] == [segment.text for segment in whole.segments]
    assert len(finals) >= 3 and all(event.text == join_words(event.words) for event in finals)
    assert whole.text[0].isupper() and whole.text[-1] in ".,?!" or whole.text[-1].isalpha()
    partials = [event for event in events if event.type == "partial"]
    assert all(event.text == event.text.lower() and not event.committed for event in partials)


def test_the_words_are_those_of_plain_text(bundle: Bundle, recognizer: Recognizer, speech: NDArray[np.float32]) -> None:
    plain = Recognizer(bundle, beam_width=8, hot_words={"Wizard": 1.0}).transcribe((speech, RATE))
    written = recognizer.transcribe((speech, RATE))
    assert plain.text == " ".join(word.word for word in written.words)
    assert plain.words == tuple(replace(word, written=None) for word in written.words)


def test_an_hour_is_written_like_its_segments(bundle: Bundle) -> None:
    writer = load_writer(bundle, RecognizerOptions(written=True))
    sentences = ["so she came to the house and who was there", "nobody had seen him since", "is it you", "he said no"]

    def segments() -> Iterator[list[Word]]:
        for number in range(900):
            words = sentences[number * 7 % 4].split()
            yield [
                Word(word, 4.0 * number + 0.3 * at, 4.0 * number + 0.3 * at + 0.25, 0.9)
                for at, word in enumerate(words)
            ]

    state, shown = writer.initial_state(), []
    for number, words in enumerate(segments()):
        written, state = writer.step(words, state)
        assert len(state.context.words) <= CONTEXT_WORDS
        shown.append(join_words(written))
        if number % 100 == 50:  # the last segments alone give what the whole stream gave
            state_of_few = writer.initial_state()
            for few in list(segments())[number - 8 : number + 1]:
                again, state_of_few = writer.step(few, state_of_few)
            assert join_words(again) == shown[-1]
    assert len(set(shown)) < 20


@pytest.mark.slow
def test_an_hour_of_sound_is_written_like_its_segments(recognizer: Recognizer, speech: NDArray[np.float32]) -> None:
    stream, finals = recognizer.stream(), list[Event]()
    for _ in range(int(HOUR_SECONDS * RATE / len(speech))):
        finals += [event for event in stream.accept(speech) if event.type == "final"]
    finals += [event for event in stream.finish() if event.type == "final"]
    writer = recognizer.parts.writer
    assert writer is not None and len(finals) > HOUR_SECONDS / 20.0

    def write(event: Event, state: WritingState) -> tuple[str, WritingState]:
        words, after = writer.step([replace(word, written=None) for word in event.words], state)
        return join_words(words), after

    state = writer.initial_state()
    for number, final in enumerate(finals):
        text, state = write(final, state)
        assert text == final.text
        if number % 20 == 19:  # the segments of the last minute alone give the same
            few = writer.initial_state()
            for before in finals[number - 12 : number]:
                _, few = write(before, few)
            assert write(final, few)[0] == final.text


def test_a_stream_takes_hot_words_with_their_case(recognizer: Recognizer) -> None:
    stream = recognizer.stream()
    stream.set_hot_words({"McKenzie": 8.0})
    stream.finish()


def test_without_a_tagger_written_text_is_refused(tiny_bundle: Bundle) -> None:
    with pytest.raises(UsageError, match=r"has no punctuation\.onnx.*edgespeech punctuation add"):
        Recognizer(tiny_bundle, written=True)
    assert Recognizer(tiny_bundle).parts.writer is None


def test_numerals_without_written_text_are_refused() -> None:
    with pytest.raises(UsageError, match="numerals without written text"):
        RecognizerOptions(numerals=True)
