"""Word scores as labels arrive, computed by hand from tiny.arpa."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edgespeech.runtime.decoder.hot_words import HotWords
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.decoder.word_scorer import START, History, PrefixState, WordScorer
from tests.runtime.decoder.ctc_examples import GOLDEN, LETTERS, LN10

LM = LanguageModel(GOLDEN / "tiny.bin")


def walk(scorer: WordScorer, labels: Sequence[int]) -> tuple[History, PrefixState]:
    history, state = scorer.begin(), START
    for label in labels:
        if scorer.ends_words[label]:
            ending = scorer.ending(state, label)
            history, state = scorer.end_words(history, ending), ending.state
        else:
            state = scorer.follow(state, label)
    return history, state


def totals(scorer: WordScorer, labels: Sequence[int]) -> list[float]:
    """Return the score of each prefix of the labels, look-ahead included."""
    walked = [walk(scorer, labels[:length]) for length in range(1, len(labels) + 1)]
    return [scorer.history_score(history) + scorer.lookahead_score(state) for history, state in walked]


def test_the_look_ahead_is_the_best_unigram_until_the_word_ends() -> None:
    scorer = WordScorer(LETTERS, LM, 0.5, 1.0, -8.0)
    best = -0.6 * LN10  # "a", the best of all unigrams
    assert scorer.lookahead_score(START) == pytest.approx(0.5 * best)
    scores = totals(scorer, (3, 2, 3, 1))  # "bab ": b, ba (only bab begins so), bab, and then its bigram score
    assert scores[0] == pytest.approx(0.5 * -0.9 * LN10 + 1.0)  # b is the best word that begins with b
    assert scores[1] == scores[2] == pytest.approx(0.5 * -1.1 * LN10 + 1.0)
    assert scores[3] == pytest.approx(0.5 * (-0.5 - 1.1) * LN10 + 1.0 + 0.5 * best, abs=1e-5)


def test_the_out_of_vocabulary_penalty_applies_once_and_as_early_as_possible() -> None:
    scorer = WordScorer(LETTERS, LM, 0.5, 1.0, -8.0)
    scores = totals(scorer, (3, 3, 2, 1))  # "bba ": no word begins with "bb"
    penalised = 0.5 * (-1.5 * LN10 - 8.0) + 1.0
    word = (-0.5 - 1.5) * LN10 - 8.0  # backoff of <s>, <unk>, and the penalty
    assert scores[1:3] == pytest.approx([penalised, penalised])
    assert scores[3] == pytest.approx(0.5 * word + 1.0 + scorer.lookahead_score(START), abs=1e-5)
    assert totals(scorer, (3, 2, 1))[2] == pytest.approx(scores[3])  # "ba ", a prefix of "bab"


def test_hot_words_add_their_boost_letter_by_letter_and_have_no_penalty() -> None:
    scorer = WordScorer(LETTERS, LM, 1.0, 0.0, -8.0, HotWords({"bba": 6.0}))
    scores = totals(scorer, (3, 3, 2, 1))
    unknown = -1.5 * LN10
    assert scores[1:3] == pytest.approx([unknown + 4.0, unknown + 6.0])
    assert scores[3] == pytest.approx(unknown - 0.5 * LN10 + 6.0 + scorer.lookahead_score(START), abs=1e-5)
    incomplete = totals(scorer, (3, 3, 1))  # "bb " is not the hot word: its look-ahead score is removed
    assert incomplete[2] == pytest.approx(unknown - 0.5 * LN10 - 8.0 + scorer.lookahead_score(START), abs=1e-5)


@pytest.mark.parametrize(
    ("labels", "path_labels"),
    [
        (("", "a", "b", " "), (1, 3, 2, 3, 1)),
        (("", "a", "b ", " "), (1, 3, 2, 1)),
        (("", "a b a", "a"), (1,)),
        (("", "a", " b", " a"), (1, 2, 3)),
        (("", "a b", " ", "a"), (1, 2, 3)),
    ],
)
def test_words_end_wherever_a_label_contains_a_space(labels: Sequence[str], path_labels: Sequence[int]) -> None:
    scorer = WordScorer(labels, LM, 1.0, 0.5, -10.0)
    end = scorer.finish(*walk(scorer, path_labels))
    assert end.words == 3
    assert end.lm_score == pytest.approx((-0.2 - 0.7 - 0.5 - 0.3) * LN10, abs=1e-5)
