"""Closed grammars: only the phrases and the mark for other speech are recognised."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespeech.errors import UsageError
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.grammar import UNKNOWN, Grammar, read_grammar
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.decoder.word_times import Span
from tests.runtime.decoder.ctc_examples import (
    ALPHABET,
    EXACT,
    GOLDEN,
    LETTERS,
    all_alignments,
    best_cover,
    random_log_probs,
    spoken,
)

pytestmark = pytest.mark.usefixtures("search")

COMMANDS = ["turn left", "turn right", "stop", "go on"]


def test_each_run_of_other_speech_becomes_one_mark() -> None:
    grammar = Grammar(["a b", "c"])
    words = [Span(word, index, index, 1, -1.0) for index, word in enumerate("aa a b x y c xx".split())]
    applied = grammar.apply(words)
    assert [span.word for span in applied] == [UNKNOWN, "a", "b", UNKNOWN, "c", UNKNOWN]
    assert (applied[3].first, applied[3].last) == (3, 4)
    assert grammar.apply([]) == []
    assert [span.word for span in grammar.apply([Span("x", 0, 0), Span("c", 1, 1), Span("y", 2, 2)])] == ["c"]


@pytest.mark.parametrize("seed", range(3))
def test_scores_equal_brute_force(seed: int) -> None:
    log_probs = random_log_probs(seed, 5, len(LETTERS), 1.5)
    phrases = ["ab", "b a"]
    acoustic = all_alignments(log_probs)
    best: dict[str, float] = {}
    for labels, score in acoustic.items():
        words = "".join(LETTERS[label] for label in labels).split()
        cost = -1.5 * (
            len("".join(words)) - best_cover(words, {phrase: len(phrase.replace(" ", "")) for phrase in phrases})
        )
        text = " ".join(span.word for span in Grammar(phrases).apply([Span(word, 0, 0) for word in words]))
        best[text] = max(best.get(text, -np.inf), score + cost)
    hypotheses = BeamSearchDecoder(LETTERS, grammar=phrases, filler_score=-1.5, whole_phrases=False, **EXACT).decode(
        log_probs
    )
    assert {h.text: h.score for h in hypotheses} == pytest.approx(best, abs=1e-6)
    assert len(hypotheses) == len(best)
    for h in hypotheses:
        assert h.score == pytest.approx(h.acoustic_score + h.hot_word_score, abs=1e-9)


def test_a_phrase_may_need_labels_that_are_unlikely_in_every_frame() -> None:
    log_probs = np.log(np.array([[0.4, 0.595, 0.005], [0.994, 0.003, 0.003]]))  # blank, a, b
    labels = ("", "a", "b")
    decoder = BeamSearchDecoder(labels, grammar=["b"], filler_score=-20.0)
    assert decoder.decode(log_probs, 2)[0].text == ""
    texts = [hypothesis.text for hypothesis in decoder.decode(log_probs, 9)]
    assert "b" in texts
    chosen = BeamSearchDecoder(labels, grammar=["b"], filler_score=-20.0, symbol_mass=0.99)
    assert "b" not in [hypothesis.text for hypothesis in chosen.decode(log_probs, 9)]


@pytest.mark.parametrize("command", [*COMMANDS, "stop go on"])
def test_commands_are_recognised_with_their_times(command: str) -> None:
    decoder = BeamSearchDecoder(ALPHABET, grammar=COMMANDS, frame_seconds=0.1)
    (best, *_) = decoder.decode(spoken(command, ALPHABET, 0.6))
    assert best.text == command and best.hot_word_score == 0.0
    expected = [len(list(group)) for blank, group in itertools.groupby(command, key=" ".__eq__) if not blank]
    assert [word.word for word in best.words] == command.split()
    assert [round((word.end - word.start) / 0.1) for word in best.words] == [2 * length - 1 for length in expected]


def test_an_unclear_command_is_corrected_and_other_speech_rejected() -> None:
    decoder = BeamSearchDecoder(ALPHABET, grammar=COMMANDS)
    unclear = spoken("turn wight", ALPHABET, 0.7)
    unclear[10, ALPHABET.index("r")] = np.log(0.2)
    assert decoder.decode(unclear)[0].text == "turn right"
    (other, *_) = decoder.decode(spoken("some other words", ALPHABET, 0.9))
    assert other.text == UNKNOWN
    assert [(word.word, round(word.start, 2)) for word in other.words] == [(UNKNOWN, 0.0)]
    assert other.words[0].confidence > 0.9
    assert decoder.decode(spoken("please stop now", ALPHABET, 0.9))[0].text == "<unknown> stop <unknown>"
    strict = BeamSearchDecoder(ALPHABET, grammar=COMMANDS, filler_score=-20.0)
    assert strict.decode(spoken("stob", ALPHABET, 0.9))[0].text == "stop"
    assert decoder.decode(np.log(np.full((10, len(ALPHABET)), 1e-3) + 0.9 * np.eye(len(ALPHABET))[0]))[0].text == ""


@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 150), max_size=8), peak=st.floats(0.5, 5.0))
@settings(deadline=None, max_examples=20)
def test_only_the_grammar_is_recognised_and_chunked_equals_whole(seed: int, cuts: list[int], peak: float) -> None:
    log_probs = random_log_probs(seed, 150, len(LETTERS), peak)
    decoder = BeamSearchDecoder(LETTERS, grammar=["ab", "b a", "b"], beam_width=12, max_tentative=20)
    state = decoder.initial_state()
    for chunk in np.split(log_probs, sorted(cuts)):
        partial, state = decoder.step(chunk, state)
        assert set(partial.text.split()) <= {"ab", "a", "b", UNKNOWN} and partial.committed == ""
    hypotheses = decoder.finish(state)
    assert hypotheses == decoder.decode(log_probs)
    assert len({h.text for h in hypotheses}) == len(hypotheses)
    for h in hypotheses:
        assert set(h.text.split()) <= {"ab", "a", "b", UNKNOWN}
        assert [word.word for word in h.words] == h.text.split()


def test_settings_that_clash_or_are_invalid_are_refused() -> None:
    lm = LanguageModel(GOLDEN / "tiny.bin")
    for options, message in (
        ({"lm": lm}, "excludes"),
        ({"beta": 1.0}, "excludes"),
        ({"hot_words": {"a": 1.0}}, "excludes"),
        ({"grammar": []}, "no phrases"),
        ({"grammar": [" "]}, "no letters"),
        ({"grammar": ["c"]}, "cannot be spelled"),
        ({"filler_score": 0.0}, "filler_score is 0"),
        ({"filler_score": -21.0}, "filler_score is -21"),
        ({"filler_score": float("nan")}, "filler_score is nan"),
    ):
        with pytest.raises(UsageError, match=message) as caught:
            BeamSearchDecoder(LETTERS, **{"grammar": ["a"], **options})  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="excludes hot words"):
        BeamSearchDecoder(LETTERS, grammar=["a"]).with_hot_words({"a": 1.0})


def test_a_grammar_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "commands.txt"
    path.write_text("# lights\nturn on\n\nturn off\n")
    assert read_grammar(path) == ["turn on", "turn off"]
    path.write_text("\n")
    with pytest.raises(UsageError, match="contains no phrases"):
        read_grammar(path)
