"""Word scores as labels arrive, by hand from tiny.arpa."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgespeech.runtime.language_model import LanguageModel
from edgespeech.runtime.word_scorer import WordScorer

GOLDEN = Path(__file__).parent.parent / "golden"
LM = LanguageModel(GOLDEN / "tiny.arpa")
LN10 = math.log(10.0)
LETTERS = ("", " ", "a", "b")


def test_unknown_words_are_charged_once_and_as_soon_as_they_are_known_to_be_unknown() -> None:
    scorer = WordScorer(LETTERS, LM, 0.5, 1.0, -8.0)
    context = scorer.begin()
    bonuses = []
    for label in (3, 3, 2, 1):  # "bba ": no word begins with "bb"
        context = scorer.extend(context, label)
        bonuses.append(context.bonus)
    word = (-0.5 - 1.5) * LN10 - 8.0  # backoff of <s>, <unk>, and the charge
    assert bonuses[:3] == pytest.approx([0.0, -4.0, -4.0])
    assert bonuses[3] == pytest.approx(0.5 * word + 1.0, abs=1e-5)
    not_a_word = scorer.extend(scorer.extend(scorer.extend(scorer.begin(), 3), 2), 1)  # "ba ", a prefix of "bab"
    assert not_a_word.bonus == pytest.approx(bonuses[3])


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
    context = scorer.begin()
    for label in path_labels:
        context = scorer.extend(context, label)
    lm_score, words = scorer.finish(context)
    assert words == 3
    assert lm_score == pytest.approx((-0.2 - 0.7 - 0.5 - 0.3) * LN10, abs=1e-5)
