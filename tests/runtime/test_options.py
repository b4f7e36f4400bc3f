"""Options records: validated early, frozen, independent of the caller's objects, and equal to the keyword form."""

from __future__ import annotations

import dataclasses
import math
import pickle
from typing import Any

import pytest

from edgespeech.errors import UsageError
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.options import DecoderOptions
from edgespeech.runtime.options import RecognizerOptions
from edgespeech.runtime.recognizer import Recognizer

LABELS = ("", " ", "a", "b")
INVALID: list[tuple[str, Any]] = [
    ("beam_width", 0),
    ("alpha", math.nan),
    ("beta", math.inf),
    ("unknown_score", 1.0),
    ("filler_score", 0.0),
    ("symbol_mass", 0.0),
    ("frame_seconds", 0.0),
    ("nbest", 0),
    ("threads", 0),
    ("threads", 257),
    ("min_evidence", -1.0),
    ("min_evidence", math.inf),
    ("endpoint_seconds", 0.0),
    ("endpoint_seconds", math.nan),
    ("empty_seconds", -1.0),
    ("longest_seconds", math.inf),
]


@pytest.mark.parametrize(("name", "value"), INVALID)
def test_an_invalid_value_is_refused_when_the_record_is_made(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=rf"^{name} is .*; wanted "):
        RecognizerOptions(**{name: value})
    with pytest.raises(UsageError, match=rf"^{name} is "):
        dataclasses.replace(RecognizerOptions(), **{name: value})


def test_an_unknown_keyword_is_a_type_error(tiny_bundle: Bundle) -> None:
    settings: dict[str, Any] = {"beam_with": 3}
    for make in (DecoderOptions, RecognizerOptions):
        with pytest.raises(TypeError, match="beam_with"):
            make(**settings)
    with pytest.raises(TypeError, match="beam_with"):
        BeamSearchDecoder(LABELS, **settings)
    with pytest.raises(TypeError, match="beam_with"):
        Recognizer(tiny_bundle, **settings)


def test_a_record_cannot_be_changed() -> None:
    options: Any = RecognizerOptions(nbest=2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.nbest = 3


def test_the_record_and_the_keywords_make_the_same_recognizer(tiny_bundle: Bundle) -> None:
    settings: dict[str, Any] = {"beam_width": 7, "nbest": 2, "endpoint_seconds": 0.5, "min_evidence": 3.0}
    settings |= {"hot_words": {"ab": 2.0}, "chunk_ms": 40, "confidence_power": 2.0}
    made = Recognizer(tiny_bundle, RecognizerOptions(**settings)), Recognizer(tiny_bundle, **settings)
    mixed = Recognizer(
        tiny_bundle, RecognizerOptions(**{**settings, "nbest": 9, "beam_width": 1}), nbest=2, beam_width=7
    )
    for recognizer in (*made, mixed):
        assert recognizer.options == RecognizerOptions(**settings)
        parts = recognizer.parts
        assert parts.decoder.options == made[0].parts.decoder.options
        assert (parts.chunk_samples, parts.nbest, parts.min_evidence.nats_per_word) == (640, 2, 3.0)
        assert (parts.endpointer.rules.endpoint_seconds, parts.decoder.options.beam_width) == (0.5, 7)


def test_the_record_and_the_keywords_make_the_same_decoder() -> None:
    settings: dict[str, Any] = {"beam_width": 7, "beta": 0.5, "max_tentative": 20}
    record, keywords = (
        BeamSearchDecoder(LABELS, 0, None, DecoderOptions(**settings)),
        BeamSearchDecoder(LABELS, **settings),
    )
    assert record.options == keywords.options == DecoderOptions(**settings)
    assert record.beta == keywords.beta == 0.5


def test_a_grammar_from_an_iterator_is_read_once_and_kept() -> None:
    options = RecognizerOptions(grammar=iter(["go on", "stop"]))
    assert options.grammar == ("go on", "stop")
    assert dataclasses.replace(options, filler_score=-1.0).grammar == ("go on", "stop")
    assert RecognizerOptions(grammar="stop").grammar == ("stop",)


def test_a_recognizer_takes_a_grammar_from_an_iterator(tiny_bundle: Bundle) -> None:
    recognizer = Recognizer(tiny_bundle, grammar=iter(["go on", "stop"]))
    again = Recognizer(tiny_bundle, recognizer.options, filler_score=-3.0)
    assert again.options.grammar == recognizer.options.grammar == ("go on", "stop")


def test_changing_the_callers_hot_words_does_not_change_the_record() -> None:
    boosts = {"new york": 8.0}
    options = RecognizerOptions(hot_words=boosts)
    boosts["boston"] = 8.0
    assert options.hot_words == {"new york": 8.0}
    assert dataclasses.replace(options, nbest=2).hot_words == {"new york": 8.0}
    assert pickle.loads(pickle.dumps(options)) == options


def test_unset_fields_take_the_defaults_and_no_others() -> None:
    defaults = DecoderOptions(beam_width=3, alpha=0.1, beta=0.2, unknown_score=-1.0)
    chosen = RecognizerOptions(alpha=0.9, nbest=5).with_defaults(defaults)
    assert (chosen.beam_width, chosen.alpha, chosen.beta, chosen.unknown_score) == (3, 0.9, 0.2, -1.0)
    assert chosen.nbest == 5 and chosen.symbol_mass == DecoderOptions().symbol_mass
