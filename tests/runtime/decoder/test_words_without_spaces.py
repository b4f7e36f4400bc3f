"""Where no label contains a space, each character is a word: times, confidences, hot words, grammars, models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgespeech.errors import LanguageModelError
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.hypothesis import Hypothesis, Word, join_words
from edgespeech.runtime.decoder.language_model import LanguageModel
from tests.runtime.decoder.ctc_examples import EXACT, GOLDEN, Array, random_log_probs

pytestmark = pytest.mark.usefixtures("search")

LABELS = ("", "打", "开", "灯", "门")
SENTENCE = "打开灯打开门"


def spoken(text: str, likely: float = 0.9, pause: int = 2) -> Array:
    """Log-probabilities of a text, each label in one frame with ``pause`` blank ones before it."""
    rows = np.full((len(text) * (pause + 1), len(LABELS)), (1.0 - likely) / (len(LABELS) - 1))
    rows[:, 0] = likely
    for at, character in enumerate(text):
        rows[at * (pause + 1) + pause] = np.roll(rows[0], LABELS.index(character))
    return np.asarray(np.log(rows))


def best_of(text: str, likely: float = 0.9, **settings: Any) -> Hypothesis:
    return BeamSearchDecoder(LABELS, frame_seconds=0.1, **settings).decode(spoken(text, likely))[0]


def test_each_character_has_times_and_a_confidence_of_its_own() -> None:
    rows = spoken(SENTENCE)
    rows[5, 2] = rows[5, 3] = np.log(0.45)  # the second character may be the third label
    rows[5, [0, 1, 4]] = np.log(0.1 / 3)
    best = BeamSearchDecoder(LABELS, frame_seconds=0.1).decode(rows)[0]
    assert [word.word for word in best.words] == list(best.text) == list(SENTENCE)
    assert [word.start for word in best.words] == pytest.approx([0.2, 0.5, 0.8, 1.1, 1.4, 1.7])
    assert [word.end - word.start for word in best.words] == pytest.approx([0.1] * 6)
    confidences = [word.confidence for word in best.words]
    assert confidences[1] < 0.4 and min(confidences[:1] + confidences[2:]) > 0.75
    assert [word.joined for word in best.words] == [False, *[True] * 5] and join_words(best.words) == SENTENCE


def test_the_unit_word_keeps_a_text_whole() -> None:
    (whole,) = best_of(SENTENCE, unit="word").words
    assert whole.word == SENTENCE
    assert (whole.start, whole.end) == pytest.approx((0.2, 1.8))


def test_hot_words_are_found_within_a_text() -> None:
    rows = spoken("打开门")
    rows[8, 3], rows[8, 4] = np.log(0.3), np.log(0.55)
    decoder = BeamSearchDecoder(LABELS)
    assert decoder.decode(rows)[0].text == "打开门"
    boosted = decoder.with_hot_words({"开灯": 3.0}).decode(rows)[0]
    assert (boosted.text, boosted.hot_word_score) == ("打开灯", 3.0)


def test_beta_counts_characters() -> None:
    for one in BeamSearchDecoder(LABELS, beta=0.7, **EXACT).decode(random_log_probs(3, 4, len(LABELS))):
        assert one.score == pytest.approx(one.acoustic_score + 0.7 * len(one.words))
        assert len(one.words) == len(one.labels)


def test_a_grammar_keeps_its_phrases_together() -> None:
    decoder = BeamSearchDecoder(LABELS, grammar=["打开灯", "开门"], filler_score=-1.0)
    rows = spoken("门门门打开灯")
    partial, state = decoder.step(rows, decoder.initial_state())
    best = decoder.finish(state)[0]
    assert best.text == partial.text == "<unknown>打开灯"
    assert [word.word for word in best.words] == ["<unknown>", "打", "开", "灯"]
    assert decoder.decode(spoken("开门"))[0].text == "开门"


def test_committed_words_are_those_of_the_whole_text() -> None:
    text = SENTENCE * 30
    decoder = BeamSearchDecoder(LABELS, frame_seconds=0.1)
    state = decoder.initial_state()
    for chunk in np.split(spoken(text), 12):
        _, state = decoder.step(chunk, state)
    assert state.committed_labels > 100
    words = decoder.finish(state, 1)[0].words
    assert [word.word for word in words] == list(text) and words == decoder.decode(spoken(text), 1)[0].words
    assert all(0.75 < word.confidence <= 1.0 for word in words)


def test_a_model_over_words_is_refused() -> None:
    with pytest.raises(LanguageModelError, match="is over words, but no label contains a space"):
        BeamSearchDecoder(("", "a", "b"), lm=LanguageModel(GOLDEN / "tiny.bin"))


def test_words_are_joined_as_they_are_written() -> None:
    words = [
        Word("two", 0, 1, 1, "2,"),
        Word("three", 1, 2, 1, ""),
        Word("打", 2, 3, 1),
        Word("开", 3, 4, 1, joined=True),
    ]
    assert join_words(words) == "2, 打开" and join_words(words, plain=True) == "two three 打开"
    assert join_words(words[3:]) == "开" and join_words([]) == ""
