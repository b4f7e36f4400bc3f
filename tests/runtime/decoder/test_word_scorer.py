"""Word scores as labels arrive, by hand from tiny.arpa."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edgespeech.runtime.decoder.hot_words import HotWords
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.decoder.word_scorer import START, History, Place, WordScorer
from tests.runtime.decoder.ctc_examples import GOLDEN, LETTERS, LN10

LM = LanguageModel(GOLDEN / "tiny.arpa")


def walk(scorer: WordScorer, labels: Sequence[int]) -> tuple[History, Place]:
    history, place = scorer.begin(), START
    for label in labels:
        if scorer.crosses[label]:
            ending = scorer.end(place, label)
            history, place = scorer.cross(history, ending), ending.place
        else:
            place = scorer.follow(place, label)
    return history, place


def totals(scorer: WordScorer, labels: Sequence[int]) -> list[float]:
    """What each prefix of the labels has, its place included."""
    walked = [walk(scorer, labels[:length]) for length in range(1, len(labels) + 1)]
    return [scorer.bonus(history) + scorer.worth(place) for history, place in walked]


def test_a_word_is_paid_ahead_by_its_best_unigram_and_settled_when_it_ends() -> None:
    scorer = WordScorer(LETTERS, LM, 0.5, 1.0, -8.0)
    best = -0.6 * LN10  # "a", the best of all unigrams
    assert scorer.worth(START) == pytest.approx(0.5 * best)
    paid = totals(scorer, (3, 2, 3, 1))  # "bab ": b, ba (only bab begins so), bab, and then its bigram score
    assert paid[0] == pytest.approx(0.5 * -0.9 * LN10 + 1.0)  # b is the best word that begins with b
    assert paid[1] == paid[2] == pytest.approx(0.5 * -1.1 * LN10 + 1.0)
    assert paid[3] == pytest.approx(0.5 * (-0.5 - 1.1) * LN10 + 1.0 + 0.5 * best, abs=1e-5)


def test_unknown_words_are_charged_once_and_as_soon_as_they_are_known_to_be_unknown() -> None:
    scorer = WordScorer(LETTERS, LM, 0.5, 1.0, -8.0)
    paid = totals(scorer, (3, 3, 2, 1))  # "bba ": no word begins with "bb"
    charged = 0.5 * (-1.5 * LN10 - 8.0) + 1.0
    word = (-0.5 - 1.5) * LN10 - 8.0  # backoff of <s>, <unk>, and the charge
    assert paid[1:3] == pytest.approx([charged, charged])
    assert paid[3] == pytest.approx(0.5 * word + 1.0 + scorer.worth(START), abs=1e-5)
    assert totals(scorer, (3, 2, 1))[2] == pytest.approx(paid[3])  # "ba ", a prefix of "bab"


def test_hot_words_are_lent_on_the_way_earned_at_the_end_and_not_charged() -> None:
    scorer = WordScorer(LETTERS, LM, 1.0, 0.0, -8.0, HotWords({"bba": 6.0}))
    paid = totals(scorer, (3, 3, 2, 1))
    unknown = -1.5 * LN10
    assert paid[1:3] == pytest.approx([unknown + 4.0, unknown + 6.0])
    assert paid[3] == pytest.approx(unknown - 0.5 * LN10 + 6.0 + scorer.worth(START), abs=1e-5)
    torn = totals(scorer, (3, 3, 1))  # "bb " is no word: what was lent is taken back
    assert torn[2] == pytest.approx(unknown - 0.5 * LN10 - 8.0 + scorer.worth(START), abs=1e-5)


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
def test_words_end_wherever_a_label_holds_the_space(labels: Sequence[str], path_labels: Sequence[int]) -> None:
    scorer = WordScorer(labels, LM, 1.0, 0.5, -10.0)
    end = scorer.finish(*walk(scorer, path_labels))
    assert end.words == 3
    assert end.lm_score == pytest.approx((-0.2 - 0.7 - 0.5 - 0.3) * LN10, abs=1e-5)
