"""A language model over characters, against brute force over all alignments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edgespeech.errors import LanguageModelError
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.language_model import LanguageModel
from tests.runtime.decoder.ctc_examples import EXACT, GOLDEN, LETTERS, all_alignments, bigram_log_prob, random_log_probs

pytestmark = pytest.mark.usefixtures("search")

pytest.importorskip("kenlm", reason="only the package kenlm reads ARPA files")

ARPA = GOLDEN / "tiny_characters.arpa"
LM = LanguageModel(ARPA)
WITHOUT_SPACE = ("", "a", "b", "ab")


@pytest.mark.parametrize("labels", [WITHOUT_SPACE, LETTERS, ("", "a", "c", "b ")])
@pytest.mark.parametrize(("alpha", "beta", "unknown_score"), [(1.0, 0.0, -10.0), (0.6, 0.4, -2.0)])
def test_scores_equal_brute_force(labels: Sequence[str], alpha: float, beta: float, unknown_score: float) -> None:
    log_probs = random_log_probs(7, 5, len(labels), peak=1.5)
    decoder = BeamSearchDecoder(labels, 0, LM, alpha=alpha, beta=beta, unknown_score=unknown_score, **EXACT)
    hypotheses = decoder.decode(log_probs)
    acoustic = all_alignments(log_probs)
    assert {h.labels for h in hypotheses} == set(acoustic)
    for h in hypotheses:
        characters = list(h.text.replace(" ", "▁"))
        lm_score = bigram_log_prob(ARPA, characters, unknown_score)
        assert h.lm_score == pytest.approx(lm_score, abs=1e-5)
        expected = acoustic[h.labels] + alpha * lm_score + beta * len(characters)
        assert h.score == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_chunked_equals_whole(seed: int) -> None:
    log_probs = random_log_probs(seed, 200, len(WITHOUT_SPACE), 2.0)
    decoder = BeamSearchDecoder(WITHOUT_SPACE, 0, LM, beam_width=8, max_tentative=20)
    state = decoder.initial_state()
    for chunk in np.split(log_probs, np.sort(np.random.default_rng(seed).integers(0, 200, size=9))):
        _, state = decoder.step(chunk, state)
    assert decoder.finish(state) == decoder.decode(log_probs)
    assert state.committed_labels > 0


def test_the_unit_is_derived_from_the_vocabulary_or_set_by_the_caller(tmp_path: Path) -> None:
    log_probs = random_log_probs(0, 4, len(LETTERS))
    found = BeamSearchDecoder(LETTERS, 0, LM).decode(log_probs)
    assert found == BeamSearchDecoder(LETTERS, 0, LM, unit="character").decode(log_probs)
    words = BeamSearchDecoder(LETTERS, 0, LM, unit="word").decode(log_probs)
    assert [h.lm_score for h in words] != [h.lm_score for h in found]
    without_words = LanguageModel(ARPA)
    without_words.vocabulary = None
    with pytest.raises(LanguageModelError, match="no label contains a space, .*--unit character") as caught:
        BeamSearchDecoder(WITHOUT_SPACE, 0, LanguageModel(GOLDEN / "tiny.arpa"))
    assert "\n" not in str(caught.value)
    explicit = BeamSearchDecoder(WITHOUT_SPACE, 0, without_words).decode(random_log_probs(0, 4, 4), 3)
    expected = BeamSearchDecoder(WITHOUT_SPACE, 0, LM).decode(random_log_probs(0, 4, 4), 3)
    assert [h.text for h in explicit] == [h.text for h in expected]
    assert [h.score for h in explicit] == pytest.approx([h.score for h in expected])


def test_models_that_do_not_match_the_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LanguageModelError, match="cannot spell any"):
        BeamSearchDecoder(("", "x", "y"), 0, LM)
    spaceless = tmp_path / "spaceless.arpa"
    spaceless.write_text(ARPA.read_text("utf-8").replace("▁", "c"), "utf-8")
    with pytest.raises(LanguageModelError, match="does not know ▁") as caught:
        BeamSearchDecoder(LETTERS, 0, LanguageModel(spaceless))
    assert "\n" not in str(caught.value)
