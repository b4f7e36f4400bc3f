"""Word errors counted by hand, and bootstrap intervals compared with formulas."""

from __future__ import annotations

import numpy as np
import pytest

from edgespeech.runtime.measure.normalisation import scoring_text
from edgespeech.runtime.measure.word_errors import (
    align_and_count,
    character_error_rate,
    correct_words,
    difference_interval,
    wer_interval,
    word_edit_distance,
    word_error_rate,
)


def test_errors_match_a_count_by_hand() -> None:
    counted = align_and_count(
        ["the cat sat", "the cat", "on the mat", "one two three"],
        ["the bat sat down", "the bat", "on mat", "one to free"],
    )
    assert (counted.substitutions, counted.deletions, counted.insertions, counted.words) == (4, 1, 1, 11)
    assert counted.wer == pytest.approx(6 / 11) and counted.deletion_rate == pytest.approx(1 / 11)
    assert counted.utterance_errors.tolist() == [2, 1, 1, 2] and counted.utterance_words.tolist() == [3, 2, 3, 3]
    assert counted.substituted == {("cat", "bat"): 2, ("two", "to"): 1, ("three", "free"): 1}
    assert counted.deleted == {"the": 1} and counted.inserted == {"down": 1}


def test_an_empty_hypothesis_deletes_every_word() -> None:
    counted = align_and_count(["the cat sat"], [""])
    assert (counted.wer, counted.cer, counted.deletions, counted.utterance_errors.tolist()) == (1.0, 1.0, 3, [3])


def test_word_errors_of_chinese_are_character_errors() -> None:
    references, hypotheses = (
        list(map(scoring_text, texts)) for texts in (["今天天气很好。", "你好"], ["今天 天汽好", "你好吗"])
    )
    counted = align_and_count(references, hypotheses)
    assert (counted.substitutions, counted.deletions, counted.insertions, counted.words) == (1, 1, 1, 8)
    assert counted.wer == counted.cer == pytest.approx(3 / 8)


def test_rates_are_fractions() -> None:
    assert word_error_rate(["the cat sat", "on"], ["the bat sat", ""]) == 2 / 4
    assert character_error_rate(["cat"], ["bat"]) == pytest.approx(1 / 3)


def test_word_errors_are_the_levenshtein_distance() -> None:
    assert word_edit_distance("the cat sat", " the  bat sat down") == 2
    assert word_edit_distance("", "a b") == 2


def test_correct_words_are_aligned_with_the_same_word() -> None:
    assert correct_words("the cat sat down", "the bat sat on down").tolist() == [True, False, True, False, True]
    assert correct_words("the cat", "").tolist() == []


def sentences(wrong: list[bool]) -> tuple[list[str], list[str]]:
    """Sentences of four words, with one error in each bad one."""
    return ["one two three four"] * len(wrong), ["one two three " + ("door" if bad else "four") for bad in wrong]


def test_the_interval_of_utterances_is_binomial() -> None:
    random = np.random.default_rng(0)
    counted = align_and_count(*sentences(list(random.random(400) < 0.3)))
    interval = wer_interval(counted, [None] * 400)
    assert interval.resampled == "utterances"
    # 400 draws of 1/4 or 0 with probability 0.3: 1.96 x 0.25 x sqrt(0.3 x 0.7 / 400) to each side.
    assert interval.low < counted.wer < interval.high
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 0.25 * (0.3 * 0.7 / 400) ** 0.5, rel=0.15)
    assert wer_interval(counted, [None] * 400) == interval
    assert wer_interval(counted, [None] * 400, seed=1) != interval


def test_a_difference_is_resampled_in_pairs() -> None:
    random = np.random.default_rng(0)
    hard = random.random(400) < 0.5
    better, nobody = align_and_count(*sentences(list(hard))), [None] * 400
    # Wrong where the better one is, and in 20 of 400 utterances besides: 1.25 points, each known within the pair.
    worse = align_and_count(*sentences(list(hard | (np.cumsum(~hard) <= 20))))
    interval = difference_interval(worse, better, nobody)
    assert worse.wer - better.wer == pytest.approx(0.0125)
    assert 0.0 < interval.low < 0.0125 < interval.high
    alone = wer_interval(better, nobody)
    assert interval.high - interval.low < 0.5 * (alone.high - alone.low)
    assert difference_interval(better, worse, nobody) != interval
    by_speaker = difference_interval(worse, better, [f"speaker {index // 20}" for index in range(400)])
    assert by_speaker.resampled == "speakers" and by_speaker.high > interval.high


def test_different_speakers_widen_the_interval() -> None:
    counted = align_and_count(*sentences([index % 20 < 6 for index in range(400)]))
    alike = wer_interval(counted, [f"speaker {index // 20}" for index in range(400)])
    apart = wer_interval(counted, [f"speaker {index % 20}" for index in range(400)])
    assert alike.resampled == apart.resampled == "speakers"
    assert alike.high - alike.low < 1e-9 < 0.05 < apart.high - apart.low


@pytest.mark.parametrize("speakers", [["a", "b", "c", "d"] * 5, [*"abcdefghijklmnopqrs", None]])
def test_few_or_unknown_speakers_are_not_resampled(speakers: list[str | None]) -> None:
    assert wer_interval(align_and_count(*sentences([True, False] * 10)), speakers).resampled == "utterances"


def test_an_interval_prints_percent() -> None:
    assert str(wer_interval(align_and_count(*sentences([True] * 8)), [None] * 8)) == "25.0 to 25.0"
