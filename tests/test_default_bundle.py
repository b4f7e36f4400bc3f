"""The default bundle, samples to text: on speakers that it was not trained on, however the sound is cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgespeech.demo.bundles.inspect import verify_bundle
from edgespeech.runtime.bundle import DEFAULT_BUNDLE, Bundle, load_bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS, Utterance, read_manifest, read_samples
from edgespeech.runtime.measure.word_errors import normalise, word_error_rate
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Event, Segment, Transcript

MAX_BYTES = 25_000_000
# 0.247 is measured: this test looks for breakage, not for progress.
MAX_WER = 0.4
TEXTS = Path(__file__).parent / "golden" / "sample_clips.json"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """The default bundle, checked by its hashes."""
    return load_bundle()


@pytest.fixture(scope="module")
def recognizer(bundle: Bundle) -> Recognizer:
    """A recognizer with the bundle's own settings."""
    return Recognizer(bundle)


@pytest.fixture(scope="module")
def utterances() -> list[Utterance]:
    """The sample clips inside the package."""
    return read_manifest(SAMPLE_CLIPS, check_files=True)


@pytest.fixture(scope="module")
def transcripts(recognizer: Recognizer, utterances: list[Utterance]) -> list[Transcript]:
    """Transcripts of the sample clips."""
    return [recognizer.transcribe(utterance.path) for utterance in utterances]


def finals(events: list[Event]) -> list[Segment]:
    return [Segment(e.text, e.start, e.end, e.words, e.nbest) for e in events if e.type == "final"]


def test_it_has_a_language_model_and_says_where_it_comes_from(bundle: Bundle) -> None:
    assert bundle.language_model_path is not None
    assert bundle.manifest.provenance


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in DEFAULT_BUNDLE.iterdir()) < MAX_BYTES


def test_nothing_else_ships_beside_it(bundle: Bundle) -> None:
    assert {path.name for path in DEFAULT_BUNDLE.iterdir()} == {"bundle.json", *bundle.manifest.files}


def test_it_is_verified(bundle: Bundle) -> None:
    lines = list(verify_bundle(bundle))
    assert any("chunked equals whole" in line for line in lines) or not bundle.manifest.audio.chunk_free
    assert "language model" in lines[-1]


def test_it_recognises_unseen_speakers(transcripts: list[Transcript], utterances: list[Utterance]) -> None:
    references = [normalise(utterance.text) for utterance in utterances]
    hypotheses = [normalise(transcript.text) for transcript in transcripts]
    assert word_error_rate(references, hypotheses) < MAX_WER
    right = [set(said.split()) & set(text.split()) for said, text in zip(references, hypotheses, strict=True)]
    assert sum(map(bool, right)) > len(right) / 2
    assert len(set().union(*right)) >= 5


def test_the_texts_are_those_of_every_processor(transcripts: list[Transcript], utterances: list[Utterance]) -> None:
    """The same texts came out on x86-64 and on models of the Cortex-A72 and A76."""
    names = [utterance.path.name for utterance in utterances]
    assert dict(zip(names, (one.text for one in transcripts), strict=True)) == json.loads(TEXTS.read_text())


def test_words_have_times_within_the_recording(transcripts: list[Transcript]) -> None:
    for transcript in transcripts:
        times = [time for word in transcript.words for time in (word.start, word.end)]
        assert times and times == sorted(times)
        assert 0.0 <= times[0] and times[-1] <= transcript.duration
        assert all(0.0 <= word.confidence <= 1.0 for word in transcript.words)


@pytest.mark.parametrize("choose", [lambda random: 112, lambda random: int(random.integers(1, 9000)), lambda _: 16000])
def test_ragged_pushes_equal_transcribe(
    recognizer: Recognizer,
    utterances: list[Utterance],
    transcripts: list[Transcript],
    choose: Callable[[np.random.Generator], int],
) -> None:
    random = np.random.default_rng(0)
    for utterance, transcript in list(zip(utterances, transcripts, strict=True))[-2:]:
        samples, stream, events = read_samples(utterance, recognizer.sample_rate), recognizer.stream(), []
        while len(samples):
            size = choose(random)
            events += stream.accept(samples[:size])
            samples = samples[size:]
        assert finals(events + stream.finish()) == list(transcript.segments)


def test_a_stream_is_bit_for_bit_the_same_alone_and_beside_loud_neighbours(
    recognizer: Recognizer, utterances: list[Utterance]
) -> None:
    model, (first, second) = recognizer.model, (read_samples(one, recognizer.sample_rate) for one in utterances[:2])
    samples = first[: 10 * model.audio.chunk_samples]
    loud = np.clip(np.resize(second, samples.shape) * 50.0, -1.0, 1.0).astype(np.float32)
    alone = model.stream(samples[None])[0]
    for neighbours in (1, 4, 16):
        beside = model.stream(np.stack([*[loud] * neighbours, samples, loud]))[neighbours]
        np.testing.assert_array_equal(beside, alone)


def test_chunks_of_any_length_give_the_same_bits(recognizer: Recognizer, utterances: list[Utterance]) -> None:
    model = recognizer.model
    samples = read_samples(utterances[0], recognizer.sample_rate)[: 24 * model.audio.frame_samples]
    whole = model.stream(samples[None], len(samples))
    assert model.audio.chunk_free and np.ptp(whole, axis=1).max() > 1.0
    for frames in (1, 2, 3, 8, 12):
        np.testing.assert_array_equal(model.stream(samples[None], frames * model.audio.frame_samples), whole)
