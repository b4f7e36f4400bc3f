"""The commands that measure figures of docs/live.md: what they count is what they say."""

# ruff: noqa: D102, D107  (what the stand-ins do is what the real things do)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgespeech.demo.experiments import noise as live_noise
from edgespeech.demo.experiments.endpoints import PAUSES, Patient, measure, spoken
from edgespeech.demo.experiments.noise import OpenGate
from edgespeech.runtime import audio
from edgespeech.runtime.decoder.hypothesis import Hypothesis, Word
from edgespeech.runtime.endpoint import Endpointer, EndpointRules, EndpointState
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.min_evidence import MinEvidence
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Event


def test_the_open_gate_counts_the_words_that_a_closed_one_lets_through() -> None:
    gate = OpenGate(MinEvidence(10.0))
    words = tuple(Word(word, 0.0, 1.0, 0.9) for word in ("yes", "please"))
    for evidence in (30.0, 19.0, 20.0):
        assert gate.passes(Hypothesis("yes please", words, 0.0, -5.0, 0.0, (), ()), -5.0 - evidence)
    assert gate.words == 4


def test_the_noise_table(tiny_bundle: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(live_noise, "SECONDS", 3)
    live_noise.main([], Recognizer(tiny_bundle, beam_width=4))
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["sound", "minutes", "open", "gate", "12"] and len(rows) == 3
    for row in rows:
        _, minutes, invented, passed = row.rsplit(maxsplit=3)
        assert minutes == "0.1" and float(invented) >= float(passed) >= 0.0


def test_clips_are_joined_with_pauses_between_them() -> None:
    sound, reference = spoken(SAMPLE_CLIPS, 2)
    said = {one.text: audio.read(one.path) for one in read_manifest(SAMPLE_CLIPS)}
    first, second = (text for text in said if text in reference)
    silence = len(sound) - len(said[first]) - len(said[second])
    assert reference in (f"{first} {second}", f"{second} {first}")
    assert 3 * PAUSES[0] <= silence / audio.SAMPLE_RATE <= 3 * PAUSES[1]
    assert 0.0 < float(np.abs(sound[:8000]).max()) < 0.01


class Late:
    """A stream, and its recognizer, whose finals come so many seconds after their ends."""

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


def test_a_row_of_the_endpoint_table() -> None:
    sound = np.zeros(6 * audio.SAMPLE_RATE, np.float32)
    late: Any = Late(1.5, 1.0, 1.2)
    assert measure(late, sound, "one one one two").split() == ["4", "1200", "ms", "1500", "ms", "25.0%"]
    never: Any = Late()
    assert measure(never, sound, "three").split() == ["1", *("at the end " * 2).split(), "0.0%"]


def test_patience_is_waiting_for_certain_outputs() -> None:
    rules, long_silence = EndpointRules(), EndpointState(spoke=True, silent_frames=24, at_blank=True)
    for kind, ends in ((Endpointer, True), (Patient, False)):
        assert kind(0.04, ("", "a"), 0, rules).may_end(long_silence, 8) is ends
