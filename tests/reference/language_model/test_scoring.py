"""Sentence scores and perplexity, computed by hand from tiny.arpa, and the output of `lm info`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgespeech.errors import LanguageModelError
from edgespeech.reference.language_model.info import count_ngrams, inspect_language_model
from edgespeech.reference.language_model.scoring import SentenceScorer, spell

pytest.importorskip("kenlm")

GOLDEN = Path(__file__).parents[2] / "golden"
ARPA, BINARY = GOLDEN / "tiny.arpa", GOLDEN / "tiny.bin"
# log10: p(a | <s>) = -0.2, p(</s> | a) = -0.3
A = -0.5
# p(b | <s>) = -0.5 - 0.9, p(a | b) = -0.5, p(<unk> | a) = -0.3 - 1.5, p(</s> | <unk>) = -0.8
B_A_UNKNOWN = -1.4 - 0.5 - 1.8 - 0.8


def test_a_line_is_spelled_with_a_token_for_the_space() -> None:
    assert spell("ab c") == "a b \u2581 c"
    assert spell("ab c", with_spaces=False) == "a b c"
    assert spell("") == ""


@pytest.mark.parametrize("path", [ARPA, BINARY])
def test_sentences_are_scored_with_their_end(path: Path) -> None:
    scorer = SentenceScorer(path)
    assert scorer.score("a") == pytest.approx((A * math.log(10), 1, 0), rel=1e-5)
    assert scorer.score("b a nix") == pytest.approx((B_A_UNKNOWN * math.log(10), 3, 1), rel=1e-5)
    assert scorer.score("").tokens == 0 and not scorer.characters


def test_perplexity_counts_ends_and_unknown_words() -> None:
    found = SentenceScorer(ARPA).perplexity(["a", "", "b a nix"])
    assert found.perplexity == pytest.approx(10 ** (-(A + B_A_UNKNOWN) / 6), rel=1e-5)
    assert (found.tokens, found.unknown, found.lines) == (4, 1, 2)
    assert "25.00% out of vocabulary" in str(found)


def test_perplexity_without_a_line_is_an_error() -> None:
    with pytest.raises(LanguageModelError, match="no usable line"):
        SentenceScorer(ARPA).perplexity([""])


def test_an_unknown_word_has_a_finite_score_without_unk(tmp_path: Path) -> None:
    closed = tmp_path / "closed.arpa"
    lines = [line for line in ARPA.read_text().splitlines() if "<unk>" not in line]
    closed.write_text("\n".join(lines).replace("ngram 1=7", "ngram 1=6") + "\n")
    score = SentenceScorer(closed).score("nix")
    assert score.unknown == 1
    assert score.log_prob == pytest.approx((-7.0 - 0.8) * math.log(10), rel=1e-5)


def test_a_model_over_characters_is_recognised(tmp_path: Path) -> None:
    letters = tmp_path / "letters.arpa"
    letters.write_text(ARPA.read_text().replace("bab", "\u2581").replace("ab", "c"), encoding="utf-8")
    scorer = SentenceScorer(letters)
    assert scorer.characters
    assert scorer.score("ca b").tokens == 4  # c, a, the space, b
    assert inspect_language_model(letters).unit == "characters"


@pytest.mark.parametrize(("path", "kind"), [(ARPA, "ARPA text"), (BINARY, "trie")])
def test_the_header_has_kind_and_ngrams(path: Path, kind: str) -> None:
    found = inspect_language_model(path)
    assert (found.kind, found.order, found.vocabulary, found.unit) == (kind, 2, 4, "words")
    assert found.ngrams == count_ngrams(path) == (7, 6)
    assert found.size == path.stat().st_size and found.perplexity is None


def test_a_truncated_header_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "cut.bin").write_bytes(BINARY.read_bytes()[:100])
    with pytest.raises(LanguageModelError):
        count_ngrams(tmp_path / "cut.bin")


def test_info_prints_facts_and_perplexity(edgespeech: Callable[..., Any], tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("A!\n\nb a nix\n")
    outcome = edgespeech("lm", "info", BINARY, "--text", text)
    assert outcome.code == 0, outcome.err
    assert "| n-grams        | 7 / 6 " in outcome.out and "perplexity 6.8" in outcome.out
    found = json.loads(edgespeech("lm", "info", BINARY, "--text", text, "--json").out)
    assert found["perplexity"]["perplexity"] == pytest.approx(10 ** (-(A + B_A_UNKNOWN) / 6), rel=1e-4)
    outcome = edgespeech("lm", "info", BINARY, "--text", tmp_path / "none.txt")
    assert outcome.code == 2 and "none.txt cannot be read" in outcome.err
