"""The compiled reader of KenLM tries against the language model in Python, through the scores of whole sentences."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest

from edgespeech.errors import LanguageModelError
from edgespeech.runtime.bundle import DEFAULT_BUNDLE
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.hypothesis import Hypothesis
from edgespeech.runtime.decoder.language_model import UNKNOWN_WORD, LanguageModel
from tests.runtime.decoder.arpa_examples import GOLDEN, WORDS, random_sentences
from tests.runtime.decoder.ctc_examples import Array, random_log_probs

pytestmark = pytest.mark.usefixtures("native_search")

LABELS = ("", " ", *"abcdefghijklmnopqrstuvwxyzü'")
SMALL = [GOLDEN / "tiny.bin", GOLDEN / "random_both.bin", GOLDEN / "random_compressed.bin"]
BINARIES = [*SMALL, DEFAULT_BUNDLE / "lm.bin"]
ids = [path.name for path in BINARIES]


def certain(text: str) -> Array:
    """Make log-probabilities that leave nothing but this text."""
    rows = np.full((2 * len(text), len(LABELS)), -200.0)
    rows[1::2, 0] = 0.0
    rows[np.arange(len(text)) * 2, [LABELS.index(letter) for letter in text]] = 0.0
    return rows


def score_in_python(lm: LanguageModel, words: list[str], penalty: float) -> float:
    """Score a sentence with the kenlm package, or with our reader where it is missing."""
    total, state = 0.0, lm.begin()
    assert lm.vocabulary is not None
    for word in words:
        known_beginning = lm.vocabulary.is_prefix(word)
        log_prob, state, known = lm.score(state, word if known_beginning else UNKNOWN_WORD)
        total += log_prob + (0.0 if known else penalty)
    return total + lm.end(state)


@pytest.mark.parametrize("path", BINARIES, ids=ids)
def test_sentences_have_the_scores_of_the_language_model(path: Path) -> None:
    lm = LanguageModel(path)
    assert lm.vocabulary is not None
    frequent = ["the", "of", "and", "to", "in", "he", "that", "was", "it", "his"] if path.parent != GOLDEN else WORDS
    words = [word for word in [*frequent, *list(lm.vocabulary)[::97], "qqq", "zz'z"] if set(word) <= set(LABELS)]
    decoder = BeamSearchDecoder(LABELS, 0, lm, alpha=1.0, beta=0.0, unknown_score=-3.0, beam_width=1, search="native")
    assert decoder.search_kind.name == "native"
    for sentence in random_sentences(words, 150, seed=8):
        (found,) = decoder.decode(certain(sentence), 1)
        assert found.text == sentence
        assert found.lm_score == pytest.approx(score_in_python(lm, sentence.split(), -3.0), abs=1e-9)


@pytest.mark.parametrize("path", SMALL, ids=ids[:3])
def test_flipped_bits_are_an_error_or_a_score_but_no_crash(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kenlm", None)  # the package does not check damaged files
    content, chance = path.read_bytes(), random.Random(7)
    log_probs = random_log_probs(9, 60, len(LABELS), 3.0)
    decoded = 0
    for index in range(60):
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 20)):
            at = chance.randrange(100, len(damaged))
            damaged[at] ^= 1 << chance.randrange(8)
        (tmp_path / f"{index}.bin").write_bytes(damaged)
        try:
            lm = LanguageModel(tmp_path / f"{index}.bin")
            decoder = BeamSearchDecoder(LABELS, 0, lm, beam_width=30, search="native")
        except LanguageModelError:
            continue
        found: list[Hypothesis] = decoder.decode(log_probs)
        decoded += bool(found) and decoder.search_kind.name == "native"
    assert decoded > 5
