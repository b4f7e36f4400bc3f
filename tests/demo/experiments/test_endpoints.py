"""The endpoint experiment: its audio, its rows, and the endpointer it compares with."""

# ruff: noqa: D102  (the stand-ins do what the real things do)

from __future__ import annotations

from typing import Any

import numpy as np

from edgespeech.demo.experiments.endpoints import PAUSES, LateEndpointer, joined_speech, measure
from edgespeech.runtime import audio
from edgespeech.runtime.endpoint import Endpointer, EndpointRules, EndpointState
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.transcript import Event


def test_clips_are_joined_with_pauses_between_them() -> None:
    samples, reference = joined_speech(SAMPLE_CLIPS, 2)
    clips = {one.text: audio.read(one.path) for one in read_manifest(SAMPLE_CLIPS)}
    first, second = (text for text in clips if text in reference)
    silence = len(samples) - len(clips[first]) - len(clips[second])
    assert reference in (f"{first} {second}", f"{second} {first}")
    assert 3 * PAUSES[0] <= silence / audio.SAMPLE_RATE <= 3 * PAUSES[1]
    assert 0.0 < float(np.abs(samples[:8000]).max()) < 0.01


class Late:
    """A recognizer, and its stream, whose finals come the given seconds after their ends."""

    def __init__(self, *delays: float) -> None:
        self.seconds_processed = 0.0
        self.delays = list(delays)

    def stream(self) -> Late:
        return self

    def accept(self, samples: Any) -> list[Event]:
        self.seconds_processed += len(samples) / audio.SAMPLE_RATE
        events = [Event("partial", "no")]
        if self.delays and self.seconds_processed > 5.0:
            events.append(Event("final", "one", end=self.seconds_processed - self.delays.pop()))
        return events

    def finish(self) -> list[Event]:
        return [Event("final", "three", end=self.seconds_processed)]


def test_a_row_of_the_endpoint_table_has_delays_and_word_errors() -> None:
    silence = np.zeros(6 * audio.SAMPLE_RATE, np.float32)
    late: Any = Late(1.5, 1.0, 1.2)
    assert measure(late, silence, "one one one two") == ["4", "1200 ms", "1500 ms", "25.0%"]
    never: Any = Late()
    assert measure(never, silence, "three") == ["1", "at the end", "at the end", "0.0%"]


def test_the_late_endpointer_waits_for_certain_outputs() -> None:
    rules, long_silence = EndpointRules(), EndpointState(spoke=True, silent_frames=24, at_blank=True)
    for kind, ends in ((Endpointer, True), (LateEndpointer, False)):
        assert kind(0.04, ("", "a"), 0, rules).may_end(long_silence, 8) is ends
