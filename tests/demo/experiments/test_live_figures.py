"""The experiments behind the figures on endpoints and noise measure what they print."""

# ruff: noqa: D102  (the stand-ins do what the real things do)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgespeech.demo.experiments import noise as noise_experiment
from edgespeech.demo.experiments.endpoints import PAUSES, LateEndpointer, joined_speech, measure
from edgespeech.demo.experiments.noise import AcceptAll
from edgespeech.runtime import audio
from edgespeech.runtime.decoder.hypothesis import Hypothesis, Word
from edgespeech.runtime.endpoint import Endpointer, EndpointRules, EndpointState
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.min_evidence import MinEvidence
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Event


def test_words_that_the_minimum_evidence_accepts_are_counted() -> None:
    counting = AcceptAll(MinEvidence(10.0))
    words = tuple(Word(word, 0.0, 1.0, 0.9) for word in ("yes", "please"))
    for evidence in (30.0, 19.0, 20.0):
        assert counting.passes(Hypothesis("yes please", words, 0.0, -5.0, 0.0, (), ()), -5.0 - evidence)
    assert counting.words == 4


def test_the_noise_table(tiny_bundle: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(noise_experiment, "SECONDS", 3)
    noise_experiment.main([], Recognizer(tiny_bundle, beam_width=4))
    _, head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["noise", "minutes", "without", "12", "nats"] and len(rows) == 3
    for row in rows:
        _, minutes, invented, accepted = row.rsplit(maxsplit=3)
        assert minutes == "0.1" and float(invented) >= float(accepted) >= 0.0


def test_clips_are_joined_with_pauses_between_them() -> None:
    sound, reference = joined_speech(SAMPLE_CLIPS, 2)
    said = {one.text: audio.read(one.path) for one in read_manifest(SAMPLE_CLIPS)}
    first, second = (text for text in said if text in reference)
    silence = len(sound) - len(said[first]) - len(said[second])
    assert reference in (f"{first} {second}", f"{second} {first}")
    assert 3 * PAUSES[0] <= silence / audio.SAMPLE_RATE <= 3 * PAUSES[1]
    assert 0.0 < float(np.abs(sound[:8000]).max()) < 0.01


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
    sound = np.zeros(6 * audio.SAMPLE_RATE, np.float32)
    late: Any = Late(1.5, 1.0, 1.2)
    assert measure(late, sound, "one one one two") == ["4", "1200 ms", "1500 ms", "25.0%"]
    never: Any = Late()
    assert measure(never, sound, "three") == ["1", "at the end", "at the end", "0.0%"]


def test_the_late_endpointer_waits_for_certain_outputs() -> None:
    rules, long_silence = EndpointRules(), EndpointState(spoke=True, silent_frames=24, at_blank=True)
    for kind, ends in ((Endpointer, True), (LateEndpointer, False)):
        assert kind(0.04, ("", "a"), 0, rules).may_end(long_silence, 8) is ends
