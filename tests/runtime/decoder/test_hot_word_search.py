"""Hot words in the search, against brute force over all alignments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from edgespeech.errors import UsageError
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.language_model import LanguageModel
from tests.runtime.decoder.ctc_examples import (
    ALPHABET,
    EXACT,
    GOLDEN,
    LETTERS,
    PIECES,
    all_alignments,
    best_cover,
    bigram_log_prob,
    random_log_probs,
    spoken,
)

pytestmark = pytest.mark.usefixtures("search")

LM = LanguageModel(GOLDEN / "tiny.bin")
BOOSTS = {"ba": 4.0, "a b": 2.5, "b": 1.0, "bb a": 3.0}
SAME = ("", "a", "b")


@pytest.mark.parametrize("labels", [LETTERS, PIECES])
@pytest.mark.parametrize("lm", [None, LM])
@pytest.mark.parametrize("seed", range(3))
def test_scores_equal_brute_force(labels: Sequence[str], lm: LanguageModel | None, seed: int) -> None:
    log_probs = random_log_probs(seed, 5, len(labels), peak=1.5)
    decoder = BeamSearchDecoder(labels, 0, lm, alpha=0.6, beta=0.3, unknown_score=-4.0, hot_words=BOOSTS, **EXACT)
    hypotheses = decoder.decode(log_probs)
    acoustic = all_alignments(log_probs)
    assert {h.labels for h in hypotheses} == set(acoustic)
    free = {word for phrase in BOOSTS for word in phrase.split()}
    for h in hypotheses:
        words = "".join(labels[label] for label in h.labels).split()
        hot_score = best_cover(words, BOOSTS)
        lm_score = bigram_log_prob(GOLDEN / "tiny.arpa", words, -4.0, free) if lm else 0.0
        assert h.hot_word_score == pytest.approx(hot_score)
        assert h.lm_score == pytest.approx(lm_score, abs=1e-5)
        expected = acoustic[h.labels] + 0.6 * lm_score + 0.3 * len(words) + hot_score
        assert h.score == pytest.approx(expected, abs=1e-5)
    assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)


def test_an_out_of_vocabulary_hot_word_is_recognised_only_as_a_whole_word() -> None:
    log_probs = spoken("a zebra ab", ALPHABET, 0.8)
    plain = BeamSearchDecoder(ALPHABET, 0, LM, alpha=1.0, unknown_score=-60.0)
    assert "zebra" not in plain.decode(log_probs)[0].text
    hot = plain.with_hot_words({"zebra": 6.0})
    best = hot.decode(log_probs)[0]
    assert best.text == "a zebra ab" and best.hot_word_score == 6.0
    assert [word.word for word in best.words] == ["a", "zebra", "ab"]
    incomplete = BeamSearchDecoder(ALPHABET, hot_words={"zebra": 6.0}).decode(spoken("a zeb ab", ALPHABET, 0.99))[0]
    assert incomplete.text == "a zeb ab" and incomplete.hot_word_score == 0.0
    inside = BeamSearchDecoder(ALPHABET, hot_words={"bra": 4.0}).decode(log_probs)[0]
    assert inside.text == "a zebra ab" and inside.hot_word_score == 0.0


def test_the_look_ahead_keeps_a_hot_word_in_a_narrow_beam_and_leaves_no_trace_without_it() -> None:
    log_probs = spoken("zebra", ALPHABET, 0.9)
    for frame, (right, wrong) in ((0, "zs"), (2, "ei"), (4, "bp")):
        log_probs[frame] = np.log(0.001)
        log_probs[frame, ALPHABET.index(wrong)] = np.log(0.8)
        log_probs[frame, ALPHABET.index(right)] = np.log(0.15)
    log_probs -= np.logaddexp.reduce(log_probs, axis=1, keepdims=True)
    hot = BeamSearchDecoder(ALPHABET, beam_width=2, hot_words={"zebra": 6.0})
    assert BeamSearchDecoder(ALPHABET, beam_width=2).decode(log_probs)[0].text == "sipra"
    assert hot.decode(log_probs)[0].text == "zebra"
    incomplete = np.concatenate([log_probs[:-4], spoken("xx", ALPHABET, 0.99)])
    (best, *_) = hot.decode(incomplete)
    assert best.hot_word_score == 0.0 and best.score == pytest.approx(best.acoustic_score)


def test_without_spaces_hot_words_match_whole_utterances_or_characters() -> None:
    log_probs = random_log_probs(1, 5, 3)
    boosts = {"ab": 3.0}
    for h in BeamSearchDecoder(SAME, hot_words=boosts, unit="word", **EXACT).decode(log_probs):
        assert h.hot_word_score == (3.0 if h.text == "ab" else 0.0)
    for h in BeamSearchDecoder(SAME, hot_words=boosts, **EXACT).decode(log_probs):
        assert h.hot_word_score == 3.0 * h.text.count("ab")


def test_other_hot_words_keep_the_settings_but_not_the_states() -> None:
    decoder = BeamSearchDecoder(LETTERS, 0, LM, alpha=2.0, beta=0.1, beam_width=3, frame_seconds=0.5)
    hot = decoder.with_hot_words({"b": 1.0})
    log_probs = random_log_probs(0, 20, 4)
    assert (hot.alpha, hot.beta, hot.options.frame_seconds) == (2.0, 0.1, 0.5)
    assert hot.with_hot_words({}).decode(log_probs) == decoder.decode(log_probs)
    with pytest.raises(UsageError, match="another decoder"):
        hot.step(log_probs, decoder.initial_state())
    with pytest.raises(UsageError, match="cannot be spelled"):
        decoder.with_hot_words({"zebra": 1.0})
