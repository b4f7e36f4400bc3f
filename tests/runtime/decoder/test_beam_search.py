"""The prefix beam search against sums over all alignments, a textbook search in dictionaries, and its invariants."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespeech.errors import DecodingError, LanguageModelError, UsageError
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.hypothesis import Hypothesis, Partial
from edgespeech.runtime.decoder.language_model import LanguageModel
from tests.runtime.decoder.ctc_examples import (
    EXACT,
    GOLDEN,
    LETTERS,
    LN10,
    PIECES,
    all_alignments,
    bigram_log_prob,
    random_log_probs,
    spoken,
)

pytestmark = pytest.mark.usefixtures("search")

LM = LanguageModel(GOLDEN / "tiny.bin")


@pytest.mark.parametrize("frames", range(7))
@pytest.mark.parametrize("labels", [LETTERS[:3], LETTERS])
@pytest.mark.parametrize("seed", range(3))
def test_scores_equal_the_sum_over_all_alignments(frames: int, labels: Sequence[str], seed: int) -> None:
    log_probs = random_log_probs(seed, frames, len(labels))
    expected = all_alignments(log_probs)
    hypotheses = BeamSearchDecoder(labels, **EXACT).decode(log_probs)
    assert {h.labels: h.acoustic_score for h in hypotheses} == pytest.approx(expected, abs=1e-6)
    scores = [h.score for h in hypotheses]
    assert scores == sorted(scores, reverse=True)
    assert scores == [h.acoustic_score for h in hypotheses]
    assert np.logaddexp.reduce(scores) == pytest.approx(0.0, abs=1e-9)


def test_repeated_characters_need_a_blank_between() -> None:
    log_probs = np.log([[0.1, 0.9], [0.1, 0.9], [0.1, 0.9]])
    scores = {h.text: math.exp(h.score) for h in BeamSearchDecoder(("", "a"), **EXACT).decode(log_probs)}
    assert scores == pytest.approx({"": 0.001, "aa": 0.9 * 0.1 * 0.9, "a": 1 - 0.001 - 0.081})


def test_impossible_labels_are_never_recognised() -> None:
    log_probs = np.array([[-0.6931, -0.6931, -np.inf], [-np.inf, 0.0, -np.inf], [-1.3863, -np.inf, -0.2877]])
    hypotheses = BeamSearchDecoder(("", "a", "b"), **EXACT).decode(log_probs)
    assert {h.text for h in hypotheses} == {"a", "ab"}
    assert all(math.isfinite(h.score) for h in hypotheses)


@pytest.mark.parametrize("labels", [LETTERS, PIECES])
@pytest.mark.parametrize(("alpha", "beta", "unknown_score"), [(1.0, 0.0, -10.0), (0.6, 1.2, -3.0), (2.0, -0.7, 0.0)])
def test_scores_with_a_language_model_equal_brute_force(
    labels: Sequence[str], alpha: float, beta: float, unknown_score: float
) -> None:
    log_probs = random_log_probs(7, 5, len(labels), peak=1.5)
    decoder = BeamSearchDecoder(labels, 0, LM, alpha=alpha, beta=beta, unknown_score=unknown_score, **EXACT)
    hypotheses = decoder.decode(log_probs)
    acoustic = all_alignments(log_probs)
    assert {h.labels for h in hypotheses} == set(acoustic)
    for h in hypotheses:
        words = "".join(labels[label] for label in h.labels).split()
        lm_score = bigram_log_prob(GOLDEN / "tiny.arpa", words, unknown_score)
        assert [word.word for word in h.words] == words
        assert h.acoustic_score == pytest.approx(acoustic[h.labels], abs=1e-6)
        assert h.lm_score == pytest.approx(lm_score, abs=1e-5)
        assert h.score == pytest.approx(acoustic[h.labels] + alpha * lm_score + beta * len(words), abs=1e-5)
    assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)


def test_the_language_model_changes_the_winner() -> None:
    log_probs = spoken("a b", LETTERS)
    log_probs[4] = np.log([0.05, 0.05, 0.4, 0.5])  # "a b" a little likelier than "a a"
    assert BeamSearchDecoder(LETTERS).decode(log_probs)[0].text == "a b"
    favours_a = LanguageModel(GOLDEN / "tiny.bin")
    favours_a.score = lambda state, word: (0.0 if word == "a" else -2.0, state, True)  # type: ignore[method-assign]
    favours_a.log_prob = lambda state, word: 0.0 if word == "a" else -2.0  # type: ignore[method-assign]
    decoder = BeamSearchDecoder(LETTERS, 0, favours_a, alpha=1.0, beta=0.0, search="numpy")  # calls these methods
    assert decoder.decode(log_probs)[0].text == "a a"


def test_beta_counts_words_without_a_language_model() -> None:
    hypotheses = BeamSearchDecoder(LETTERS, beta=2.0, **EXACT).decode(random_log_probs(3, 5, 4))
    assert any(len(h.words) == 2 for h in hypotheses)
    for h in hypotheses:
        assert h.score == pytest.approx(h.acoustic_score + 2.0 * len(h.text.split()))
        assert h.lm_score == 0.0


@given(seed=st.integers(0, 2**32 - 1), width=st.integers(1, 20), peak=st.floats(0.1, 8.0), frames=st.integers(0, 60))
@settings(deadline=None, max_examples=30)
def test_scores_are_finite_and_hypotheses_well_formed(seed: int, width: int, peak: float, frames: int) -> None:
    decoder = BeamSearchDecoder(PIECES, 0, LM, beam_width=width)
    hypotheses = decoder.decode(random_log_probs(seed, frames, len(PIECES), peak))
    assert 1 <= len(hypotheses) <= width
    assert len({h.labels for h in hypotheses}) == len(hypotheses)
    for h in hypotheses:
        assert all(map(math.isfinite, (h.score, h.acoustic_score, h.lm_score)))
        assert h.score == pytest.approx(h.acoustic_score + decoder.alpha * h.lm_score + decoder.beta * len(h.words))
        assert h.acoustic_score <= 1e-9
        assert h.text == "".join(PIECES[label] for label in h.labels)
        assert [word.word for word in h.words] == h.text.split()
        assert all(0 < word.confidence <= 1 and word.start < word.end for word in h.words)
        assert all(left < right for left, right in itertools.pairwise((-1, *h.frames, frames)))


@given(seed=st.integers(0, 2**32 - 1), order=st.permutations(range(5)))
@settings(deadline=None, max_examples=20)
def test_permuting_labels_permutes_nothing_else(seed: int, order: list[int]) -> None:
    log_probs = random_log_probs(seed, 40, 5, 2.0)
    expected = BeamSearchDecoder(PIECES, 0, LM, beam_width=10).decode(log_probs)
    labels = [PIECES[index] for index in order]
    actual = BeamSearchDecoder(labels, order.index(0), LM, beam_width=10).decode(log_probs[:, order])
    assert [h.text for h in actual] == [h.text for h in expected]
    assert [tuple(order[label] for label in h.labels) for h in actual] == [h.labels for h in expected]
    assert [h.frames for h in actual] == [h.frames for h in expected]
    assert [h.score for h in actual] == pytest.approx([h.score for h in expected], abs=1e-9)


@given(seed=st.integers(0, 2**32 - 1), width=st.integers(1, 30))
@settings(deadline=None, max_examples=20)
def test_no_narrow_beam_beats_the_widest_and_none_overstates_its_score(seed: int, width: int) -> None:
    log_probs = random_log_probs(seed, 5, 4, 1.5)
    exact = {h.labels: h for h in BeamSearchDecoder(LETTERS, 0, LM, **EXACT).decode(log_probs)}
    narrow = BeamSearchDecoder(LETTERS, 0, LM, **{**EXACT, "beam_width": width}).decode(log_probs)
    assert exact[narrow[0].labels].score <= max(h.score for h in exact.values())
    for h in narrow:
        assert h.score <= exact[h.labels].score + 1e-9


@pytest.mark.parametrize("lm", [None, LM])
def test_wider_beams_find_better_texts_on_average(lm: LanguageModel | None) -> None:
    """For a single utterance a wider beam may miss what a narrower one found by luck; only the widest cannot."""
    widths = (1, 2, 4, 8, 16, 1000)
    found: list[list[float]] = []
    for seed in range(40):
        log_probs = random_log_probs(seed, 5, 4, 1.5)
        exact = {h.labels: h.score for h in BeamSearchDecoder(LETTERS, 0, lm, **EXACT).decode(log_probs)}
        decoders = [BeamSearchDecoder(LETTERS, 0, lm, **{**EXACT, "beam_width": width}) for width in widths]
        found.append([exact[decoder.decode(log_probs, 1)[0].labels] for decoder in decoders])
        assert found[-1][-1] == max(exact.values())
    means = np.mean(found, axis=0)
    assert (np.diff(means) >= 0.0).all() and means[0] < means[-1]


def test_emission_frames_are_the_probability_peaks() -> None:
    log_probs = np.log(
        [
            [0.9, 0.09, 0.01],
            [0.5, 0.49, 0.01],
            [0.04, 0.95, 0.01],
            [0.7, 0.29, 0.01],
            [0.2, 0.01, 0.79],
            [0.9, 0.05, 0.05],
        ]
    )
    best = BeamSearchDecoder(("", "a", "b"), frame_seconds=0.04).decode(log_probs)[0]
    assert (best.text, best.frames) == ("ab", (2, 4))
    times = [(word.word, round(word.start, 2), round(word.end, 2), word.joined) for word in best.words]
    assert times == [("a", 0.08, 0.12, False), ("b", 0.16, 0.2, True)]
    (whole,) = BeamSearchDecoder(("", "a", "b"), frame_seconds=0.04, unit="word").decode(log_probs)[0].words
    assert whole.word == "ab"
    assert (whole.start, whole.end) == pytest.approx((0.08, 0.20))


@pytest.mark.parametrize("power", [1.0, 1.3])
def test_confidence_is_certainty_times_agreement(power: float) -> None:
    log_probs = np.log([[1e-9, 1e-9, 1.0, 1e-9], [1e-9, 1.0, 1e-9, 1e-9], [1e-9, 1e-9, 0.7, 0.3]])
    best = BeamSearchDecoder(LETTERS, confidence_power=power, **EXACT).decode(log_probs)[0]
    assert best.text == "a a"
    assert [word.confidence for word in best.words] == pytest.approx([1.0, 0.7**power * 0.7], abs=1e-6)


def test_certainty_is_the_geometric_mean_over_the_letters_of_a_word() -> None:
    log_probs = np.log([[0.1, 0.1, 0.8, 1e-9], [0.5, 1e-9, 1e-9, 0.5], [1.0, 1e-9, 1e-9, 1e-9]])
    best = next(
        h for h in BeamSearchDecoder(LETTERS, confidence_power=1.0, **EXACT).decode(log_probs) if h.text == "ab"
    )
    alone = BeamSearchDecoder(LETTERS, confidence_power=1e-9, **EXACT).decode(log_probs)
    agreement = next(h for h in alone if h.text == "ab").words[0].confidence
    assert best.words[0].confidence == pytest.approx((0.8 * 0.5) ** 0.5 * agreement)


def test_zero_frames_give_one_empty_hypothesis() -> None:
    nothing = np.zeros((0, 4), dtype=np.float32)
    (silent,) = BeamSearchDecoder(LETTERS).decode(nothing)
    assert silent == Hypothesis("", (), 0.0, 0.0, 0.0, (), ())
    (with_lm,) = BeamSearchDecoder(LETTERS, 0, LM, alpha=2.0).decode(nothing)
    assert with_lm.score == pytest.approx(2.0 * (-0.5 - 0.8) * LN10, abs=1e-5)
    decoder = BeamSearchDecoder(LETTERS)
    partial, state = decoder.step(nothing, decoder.initial_state())
    assert partial == Partial("", "", "")
    assert state.frame == 0


@pytest.mark.parametrize(
    ("log_probs", "words"),
    [
        (np.zeros(4), "1 axes"),
        (np.zeros((1, 2, 4)), "3 axes"),
        (np.zeros((3, 5)), "5 labels wide"),
        (np.full((3, 4), np.nan), "NaN"),
        (np.full((3, 4), 0.01), "positive"),
        (np.full((3, 4), 0.25), "positive"),
        (np.full((3, 4), -np.inf), "impossible"),
        ([["a", "b", "c", "d"]], "not numeric"),
    ],
)
def test_invalid_log_probabilities_are_refused(log_probs: npt.ArrayLike, words: str) -> None:
    with pytest.raises(DecodingError, match=words) as caught:
        BeamSearchDecoder(LETTERS).decode(log_probs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alpha", -0.1),
        ("alpha", math.nan),
        ("alpha", 1e9),
        ("beta", math.inf),
        ("unknown_score", 1.0),
        ("unknown_score", -math.inf),
        ("beam_width", 0),
        ("symbol_mass", 0.0),
        ("symbol_mass", 1.5),
        ("max_symbols", 0),
        ("beam_threshold", 0.0),
        ("max_tentative", 1),
        ("frame_seconds", 0.0),
        ("confidence_power", 0.0),
        ("unit", "syllable"),
        ("blank", 4),
        ("blank", -1),
    ],
)
def test_settings_out_of_range_are_refused(name: str, value: object) -> None:
    options: dict[str, Any] = {"lm": LM, name: value}
    with pytest.raises(UsageError, match=f"{name} is") as caught:
        BeamSearchDecoder(LETTERS, **options)
    assert "\n" not in str(caught.value)


def test_nbest_limits_the_hypotheses() -> None:
    decoder = BeamSearchDecoder(LETTERS)
    log_probs = random_log_probs(0, 10, 4)
    everything = decoder.decode(log_probs)
    assert decoder.decode(log_probs, nbest=3) == everything[:3]
    with pytest.raises(UsageError, match="nbest"):
        decoder.decode(log_probs, nbest=0)


def test_a_batch_equals_its_utterances_one_by_one() -> None:
    decoder = BeamSearchDecoder(PIECES, 0, LM, beam_width=8)
    batch = [random_log_probs(seed, frames, len(PIECES)) for seed, frames in enumerate((30, 0, 7))]
    assert decoder.decode_batch(batch, nbest=2) == [decoder.decode(log_probs, nbest=2) for log_probs in batch]
    assert decoder.decode_batch([]) == []


def test_a_state_of_another_decoder_is_refused() -> None:
    state = BeamSearchDecoder(LETTERS, 0, LM).initial_state()
    with pytest.raises(UsageError, match="another decoder"):
        BeamSearchDecoder(LETTERS, 0, LM).step(random_log_probs(0, 3, 4), state)


@pytest.mark.parametrize(
    ("letters", "fraction", "refused"), [("abx", 1.0, False), ("b", 0.55, False), ("a", 0.4, True)]
)
def test_a_language_model_with_too_few_words_that_can_be_spelled_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, letters: str, fraction: float, refused: bool
) -> None:
    pytest.importorskip("kenlm", reason="only the package kenlm reads ARPA files")
    unigrams = {"a": 0.4, "b": 0.55, "ab": 0.05}
    lines = [
        f"{math.log10(p):.4f}\t{word}\t0" for word, p in {**unigrams, "<s>": 1e-9, "</s>": 1e-9, "<unk>": 1e-9}.items()
    ]
    counts = f"\\data\\\nngram 1={len(lines)}\nngram 2=1\n"
    (tmp_path / "lm.arpa").write_text(
        counts + "\n\\1-grams:\n" + "\n".join(lines) + "\n\n\\2-grams:\n-0.3\ta b\n\n\\end\\\n"
    )
    lm = LanguageModel(tmp_path / "lm.arpa")
    assert lm.spelled_fraction(letters) == pytest.approx(fraction, abs=1e-3)
    if refused:
        with pytest.raises(LanguageModelError, match="can spell 40% of the language model's running words, wanted 50%"):
            BeamSearchDecoder(("", " ", *letters), 0, lm)
    else:
        BeamSearchDecoder(("", " ", *letters), 0, lm)
        assert ("only 55 % of the language model's running words" in caplog.text) == (fraction < 0.95)


def test_labels_that_do_not_match_the_language_model_are_refused() -> None:
    with pytest.raises(LanguageModelError, match="no label contains a space"):
        BeamSearchDecoder(("", "a", "b"), 0, LM)
    with pytest.raises(LanguageModelError, match="cannot spell any"):
        BeamSearchDecoder(("", " ", "A", "B"), 0, LM)
    with pytest.raises(UsageError, match="labels"):
        BeamSearchDecoder(("",))
