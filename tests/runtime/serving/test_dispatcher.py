"""Batch dispatch: every stream gets what it would get alone, and none suffers for another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.errors import AudioError, BundleError, EdgespeechError, UsageError
from edgespeech.runtime.audio import RawFormat
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.serving.dispatcher import Command, Dispatcher, Reply
from edgespeech.runtime.serving.settings import StreamParts, StreamSettings
from edgespeech.runtime.transcript import Event

Samples = NDArray[np.int16]
FLOATS = StreamSettings(RawFormat("f32le", 16000, 1))


class _RecordingDecoder:
    """A decoder that keeps the log-probabilities of each finished stream, bit by bit."""

    def __init__(self, decoder: Any) -> None:
        self._decoder, self.finished = decoder, set[bytes]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)

    def initial_state(self) -> Any:
        return _RecordedState(b"", self._decoder.initial_state())

    def step(self, rows: Any, state: Any) -> Any:
        partial, inner = self._decoder.step(rows, state.inner)
        return partial, _RecordedState(state.rows + rows.tobytes(), inner)

    def finish(self, state: Any, nbest: int) -> Any:
        self.finished.add(state.rows)
        return self._decoder.finish(state.inner, nbest)


class _RecordedState:
    """The rows of a segment so far, and the state of the real decoder."""

    def __init__(self, rows: bytes, inner: Any) -> None:
        self.rows, self.inner = rows, inner

    @property
    def frame(self) -> int:
        return int(self.inner.frame)


@pytest.fixture(scope="module")
def recognizer(tiny_bundle: Bundle) -> Recognizer:
    return Recognizer(tiny_bundle, min_evidence=0.0)


@pytest.fixture(scope="module")
def sounds(noise: Callable[[int], NDArray[np.float32]]) -> list[Samples]:
    """Make clips of several lengths and levels, one of them silent and one with the loudest noise."""
    clip = np.clip(noise(16000) * 0.5, -1.0, 1.0)
    clips = [clip, clip[::-1], clip[:9001] * 0.1, clip * 0.0, np.sign(clip), clip[3000:]]
    return [np.round(one * 32767).astype(np.int16) for one in clips]


def alone(recognizer: Recognizer, samples: Samples) -> list[Event]:
    stream = recognizer.stream()
    return timeless(stream.accept(samples) + stream.finish())


def timeless(events: Iterable[Event]) -> list[Event]:
    return [replace(event, latency_ms=0.0) for event in events]


def run(dispatcher: Dispatcher, commands: Sequence[Command], at_once: int = 1) -> list[Reply]:
    """Carry out commands, this many of which arrive before each step."""
    replies: list[Reply] = []
    for start in range(0, len(commands), at_once):
        for command in commands[start : start + at_once]:
            dispatcher.add(command)
        replies += dispatcher.step()
    while dispatcher.is_busy:
        replies += dispatcher.step()
    return replies


def talk(key: int, samples: Samples, size: int) -> list[Command]:
    """Make the commands of a client that sends pieces of this many bytes."""
    data = samples.tobytes()
    kinds: list[Any] = [("open", StreamSettings())]
    kinds += [("audio", data[start : start + size]) for start in range(0, len(data), size)] + [("finish", None)]
    return [Command(key, number, kind, what) for number, (kind, what) in enumerate(kinds)]


def interleave(talks: Sequence[list[Command]]) -> list[Command]:
    longest = max(map(len, talks))
    return [one[n] for n in range(longest) for one in talks if n < len(one)]


def events_of(replies: Iterable[Reply], key: int) -> list[Event]:
    return timeless(event for reply in replies if reply.key == key for event in reply.events)


@pytest.mark.parametrize(("size", "at_once", "max_batch"), [(640, 1, 16), (999, 7, 3), (5000, 50, 1), (32000, 6, 16)])
def test_each_stream_gets_what_it_gets_alone(
    recognizer: Recognizer, sounds: list[Samples], size: int, at_once: int, max_batch: int
) -> None:
    decoder: Any = _RecordingDecoder(recognizer.decoder)
    recording = Recognizer(recognizer.bundle, recognizer.options, parts=replace(recognizer.parts, decoder=decoder))
    wanted = [alone(recording, sound) for sound in sounds]
    rows_alone, decoder.finished = decoder.finished, set()
    commands = interleave([talk(key, sound, size) for key, sound in enumerate(sounds)])
    replies = run(Dispatcher(recording, max_batch), commands, at_once)
    assert [events_of(replies, key) for key in range(len(sounds))] == wanted
    assert any(event.type == "final" for events in wanted for event in events)
    assert decoder.finished == rows_alone  # the log-probabilities, bit by bit
    assert [(one.key, one.number) for one in sorted(replies, key=lambda one: (one.key, one.number))] == [
        (one.key, one.number) for one in sorted(commands, key=lambda one: (one.key, one.number))
    ]


def test_streams_that_wait_are_one_batch(recognizer: Recognizer, sounds: list[Samples]) -> None:
    dispatcher = Dispatcher(recognizer, max_batch=4)
    for key, sound in enumerate(sounds):
        for command in talk(key, sound, 10**6)[:2]:
            dispatcher.add(command)
    sizes = []
    while dispatcher.is_busy:
        list(dispatcher.step())
        sizes.append(dispatcher.last_batch)
    assert max(sizes) == 4 and sizes[0] == 4


def test_a_client_with_much_audio_takes_turns_with_the_others(recognizer: Recognizer, sounds: list[Samples]) -> None:
    dispatcher, hour = Dispatcher(recognizer, max_batch=1), np.tile(sounds[0], 60)
    for key, samples in ((1, hour), (2, sounds[0][:9600])):
        dispatcher.add(Command(key, 0, "open", StreamSettings()))
        dispatcher.add(Command(key, 1, "audio", samples.tobytes()))
    steps = 0
    while not any(reply.key == 2 and reply.number == 1 for reply in dispatcher.step()):
        steps += 1
        assert steps < 200, "the second stream waits for the whole hour of the first"
    assert dispatcher.is_busy


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e20])
def test_a_stream_that_fails_ends_alone(recognizer: Recognizer, sounds: list[Samples], bad: float) -> None:
    dispatcher = Dispatcher(recognizer)
    broken = [
        Command(9, 0, "open", FLOATS),
        Command(9, 1, "audio", np.array([0.1, bad], "<f4").tobytes()),
        Command(9, 2, "audio", bytes(4000)),
    ]
    replies = run(dispatcher, interleave([broken, talk(1, sounds[0], 999)]))
    assert isinstance(next(one.error for one in replies if one.key == 9 and one.number == 1), AudioError)
    assert isinstance(next(one.error for one in replies if one.key == 9 and one.number == 2), UsageError)
    assert events_of(replies, 1) == alone(recognizer, sounds[0])
    assert dispatcher.stream_count == 1


def test_a_fault_inside_one_stream_is_its_own(
    recognizer: Recognizer, sounds: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatcher = Dispatcher(recognizer)

    def stumble(data: bytes) -> Any:
        raise ZeroDivisionError("stumbled")

    broken = StreamSettings()
    object.__setattr__(
        broken, "format", type("Broken", (), {"sample_rate": 16000, "frame_bytes": 2, "decode": stumble})
    )
    commands = [Command(9, 0, "open", broken), Command(9, 1, "audio", bytes(100))]
    replies = run(dispatcher, interleave([commands, talk(1, sounds[0], 999)]))
    (error,) = (one.error for one in replies if one.error)
    assert "ZeroDivisionError" in str(error) and "open a new one" in str(error)
    assert events_of(replies, 1) == alone(recognizer, sounds[0])


def test_a_model_that_fails_is_reported_to_the_streams_of_the_batch(
    recognizer: Recognizer, sounds: list[Samples]
) -> None:
    class FailingModel:
        def __getattr__(self, name: str) -> Any:
            return getattr(recognizer.model, name)

        def step(self, samples: Any, state: Any) -> Any:
            raise BundleError("the acoustic graph failed")

    model: Any = FailingModel()
    failing = Recognizer(recognizer.bundle, recognizer.options, parts=replace(recognizer.parts, model=model))
    replies = run(Dispatcher(failing), interleave([talk(1, sounds[0], 64000), talk(2, sounds[1], 64000)]), 10)
    assert {one.key for one in replies if isinstance(one.error, BundleError)} == {1, 2}


def test_settings_that_are_invalid_are_refused_when_a_stream_opens(recognizer: Recognizer) -> None:
    dispatcher = Dispatcher(recognizer)
    (reply,) = run(dispatcher, [Command(1, 0, "open", StreamSettings(hot_words={"": 1.0}))])
    assert isinstance(reply.error, UsageError) and dispatcher.stream_count == 0


def test_a_closed_stream_is_gone_with_its_commands(recognizer: Recognizer, sounds: list[Samples]) -> None:
    dispatcher = Dispatcher(recognizer)
    for command in talk(1, sounds[0], 10**6):
        dispatcher.add(command)
    list(dispatcher.step())
    dispatcher.add(Command(1, 99, "close"))
    assert dispatcher.stream_count == 0 and not dispatcher.is_busy
    (late,) = run(dispatcher, [Command(1, 100, "audio", b"")])
    assert "closed" in str(late.error)


@pytest.mark.parametrize("encoding", ["s16le", "s16be", "f32le", "mulaw", "alaw", "u8", "s24le"])
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_any_encoding_may_be_cut_anywhere(recognizer: Recognizer, encoding: str, size: int) -> None:
    form = RawFormat(encoding, 16000, 2)
    data = np.random.default_rng(3).integers(0, 256, 4000 * form.frame_bytes // form.channels * 2).astype(np.uint8)
    if encoding == "f32le":
        data = np.frombuffer(np.random.default_rng(3).uniform(-1, 1, 8000).astype("<f4").tobytes(), np.uint8)
    elif encoding in ("s16be", "s16le", "s24le"):
        data = (data // 8).astype(np.uint8)
    whole = recognizer.stream()
    wanted = timeless(whole.accept(form.decode(data.tobytes())) + whole.finish())
    pieces = [data.tobytes()[start : start + size] for start in range(0, len(data), size)]
    commands = [Command(1, 0, "open", StreamSettings(form)), *(Command(1, 1, "audio", one) for one in pieces)]
    replies = run(Dispatcher(recognizer), [*commands, Command(1, 2, "finish")], 100)
    assert not any(one.error for one in replies)
    assert [e for e in events_of(replies, 1) if e.type == "final"] == [e for e in wanted if e.type == "final"]


def test_a_segment_ends_when_the_client_wants_it(recognizer: Recognizer, sounds: list[Samples]) -> None:
    commands = talk(1, sounds[0], 16000)
    commands.insert(2, Command(1, 50, "end_segment"))
    replies = run(Dispatcher(recognizer), commands)
    stream = recognizer.stream()
    stream.accept(sounds[0][:8000])
    wanted = [event.text for event in stream.end_segment() if event.type == "final"]
    found = [event.text for one in replies if one.number == 50 for event in one.events if event.type == "final"]
    assert found == wanted != []


def test_searches_are_kept_for_clients_that_ask_for_the_same_again(recognizer: Recognizer) -> None:
    maker = StreamParts(recognizer)
    names, commands = StreamSettings(hot_words={"ab": 3.0}), StreamSettings(grammar=["ab", "ba"])
    for settings in (names, commands):
        assert maker.make(settings).decoder is maker.make(replace(settings, nbest=3)).decoder
    others = [StreamSettings(hot_words={"ab": 4.0}), StreamSettings(grammar=["ab"]), StreamSettings()]
    decoders = {id(maker.make(settings).decoder) for settings in (names, commands, *others)}
    assert len(decoders) == 5


def test_a_grammar_of_a_client_has_the_label_priors_of_the_bundle(tiny_bundle: Bundle) -> None:
    labels = tiny_bundle.manifest.labels
    manifest = msgspec.structs.replace(tiny_bundle.manifest, label_priors=tuple([-3.0] * len(labels)))
    recognizer = Recognizer(Bundle(tiny_bundle.folder, manifest))
    decoder = StreamParts(recognizer).make(StreamSettings(grammar=["ab"])).decoder
    own = Recognizer(recognizer.bundle, grammar=["ab"]).decoder
    assert decoder.options.label_priors == own.options.label_priors == manifest.label_priors


def test_hot_words_change_between_segments(recognizer: Recognizer) -> None:
    dispatcher = Dispatcher(recognizer)
    commands = [Command(1, 0, "open", StreamSettings()), Command(1, 1, "hot_words", {"ab": 3.0})]
    replies = run(dispatcher, [*commands, Command(1, 2, "hot_words", {"": 3.0})])
    assert [type(one.error) for one in replies] == [type(None), type(None), UsageError]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"nbest": 0}, "1 to 20"),
        ({"nbest": 21}, "1 to 20"),
        ({"endpoint_seconds": -1.0}, "0 to 60"),
        ({"endpoint_seconds": float("nan")}, "0 to 60"),
        ({"grammar": ["a"], "hot_words": {"b": 1.0}}, "clash"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        StreamSettings(**settings)
    with pytest.raises(EdgespeechError, match="1 or more"):
        Dispatcher(None, 0)  # type: ignore[arg-type]
