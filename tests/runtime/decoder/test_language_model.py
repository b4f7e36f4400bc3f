"""The language model against an ARPA file that can be checked by hand, and files that are not language models."""

from __future__ import annotations

import itertools
import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from edgespeech.errors import LanguageModelError
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.decoder.vocabulary import Vocabulary, pack_texts

GOLDEN = Path(__file__).parents[2] / "golden"
ARPA = GOLDEN / "tiny.arpa"
BINARY = GOLDEN / "tiny.bin"  # build_binary trie tiny.arpa tiny.bin
needs_kenlm = pytest.mark.skipif(find_spec("kenlm") is None, reason="only the package kenlm reads ARPA files")
BOTH = [pytest.param(ARPA, marks=needs_kenlm), BINARY]
LN10 = math.log(10.0)


def sentence(model: LanguageModel, words: str) -> float:
    state, total = model.begin(), 0.0
    for word in words.split():
        log_prob, state, _ = model.score(state, word)
        total += log_prob
    return total + model.end(state)


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize(
    ("words", "log10"),
    [
        ("", -0.5 - 0.8),  # backoff of <s>, then </s>
        ("a", -0.2 - 0.3),
        ("a ab", -0.2 - 0.4 - 0.7),
        ("b a", -0.5 - 0.9 - 0.5 - 0.3),
        ("bab b", -0.5 - 1.1 - 0.4 - 0.9 - 0.2 - 0.8),
        ("a zebra a", -0.2 - 0.3 - 1.5 - 0.6 - 0.3),  # an unknown word: no context after it
    ],
)
def test_scores_are_natural_logarithms_with_sentence_markers(path: Path, words: str, log10: float) -> None:
    assert sentence(LanguageModel(path), words) == pytest.approx(log10 * LN10, abs=1e-5)


def test_score_reports_whether_the_word_is_known_and_keeps_the_state() -> None:
    model = LanguageModel(BINARY)
    state = model.begin()
    first = model.score(state, "a")
    assert first[2] and not model.score(state, "zebra")[2]
    assert model.score(state, "a")[0] == first[0]
    assert model.order == 2


@needs_kenlm
def test_unknown_words_stay_possible_in_a_model_without_unk(tmp_path: Path) -> None:
    text = ARPA.read_text().replace("ngram 1=7", "ngram 1=6").replace("-1.5\t<unk>\t0\n", "")
    (tmp_path / "no_unk.arpa").write_text(text)
    model = LanguageModel(tmp_path / "no_unk.arpa")
    log_prob, state, known = model.score(model.begin(), "zebra")
    assert not known
    assert log_prob == pytest.approx((-0.5 - 7.0) * LN10, abs=1e-4)
    assert model.score(state, "a")[0] == pytest.approx(-0.6 * LN10, abs=1e-5)


@pytest.mark.parametrize("path", BOTH)
def test_vocabulary_is_read_from_the_model(path: Path) -> None:
    vocabulary = LanguageModel(path).vocabulary
    assert vocabulary is not None
    assert len(vocabulary) == 4
    assert all(word in vocabulary for word in ("a", "b", "ab", "bab"))
    assert "<s>" not in vocabulary and "<unk>" not in vocabulary


def test_binary_without_words_has_no_vocabulary_unless_one_is_given(tmp_path: Path) -> None:
    data = bytearray(BINARY.read_bytes())
    data[100] = 0  # KenLM's flag for stored words
    bare = tmp_path / "bare.bin"
    bare.write_bytes(data[: data.rfind(b"<unk>\0")])
    words = tmp_path / "vocabulary.txt"
    words.write_text("a\nb\nab\n")
    assert LanguageModel(bare).vocabulary is None
    assert sentence(LanguageModel(bare), "a ab") == sentence(LanguageModel(BINARY), "a ab")
    for given in (words, ["a", "b", "ab"]):
        vocabulary = LanguageModel(bare, given).vocabulary
        assert vocabulary is not None and len(vocabulary) == 3 and not vocabulary.is_prefix("ba")


def test_the_vocabulary_finds_prefixes() -> None:
    vocabulary = Vocabulary(["tea", "team", "to", "</s>", "élan"])
    assert all(vocabulary.is_prefix(text) for text in ("", "t", "te", "tea", "team", "é"))
    assert not any(vocabulary.is_prefix(text) for text in ("teams", "tee", "u", "zz", "<"))
    assert "team" in vocabulary and "te" not in vocabulary
    assert vocabulary.spelled_with("ot") and not vocabulary.spelled_with("TEAMO")
    assert vocabulary.spelled("ot") == [False, False, True, False]
    assert vocabulary.spelled("teamolné") == [True] * 4 and not any(vocabulary.spelled("TEAMO"))
    assert not Vocabulary([]).is_prefix("")


def test_the_vocabulary_lists_the_letters_after_a_text() -> None:
    vocabulary = Vocabulary(["tea", "team", "teams", "tend", "to", "élan"])
    assert vocabulary.letters_after("te") == (["a", "n"], [0, 3], 4)
    assert vocabulary.letters_after("tea") == (["m"], [1], 3)
    assert vocabulary.letters_after("") == (["t", "é"], [0, 5], 6)
    assert vocabulary.letters_after("teams")[0] == [] and vocabulary.letters_after("x")[0] == []
    assert vocabulary.span("te") == (0, 4) and vocabulary.span("x") == (5, 5)
    assert list(vocabulary.with_words(["ten", "to"])) == ["tea", "team", "teams", "ten", "tend", "to", "élan"]
    assert vocabulary.with_words(["to"]) is vocabulary
    assert Vocabulary("ab").is_of_characters() and not vocabulary.is_of_characters()
    assert not Vocabulary([]).is_of_characters()


@pytest.mark.parametrize("path", BOTH)
def test_unigrams_are_those_of_the_file(path: Path) -> None:
    model = LanguageModel(path)
    assert model.vocabulary is not None and list(model.vocabulary) == ["a", "ab", "b", "bab"]
    assert model.unigrams == pytest.approx(np.array([-0.6, -1.0, -0.9, -1.1]) * LN10, abs=1e-5)
    assert model.unknown_score == pytest.approx(-1.5 * LN10)
    assert "ab" in model and "zebra" not in model and 3 not in model
    assert model.log_prob(model.begin(), "a") == model.score(model.begin(), "a")[0]


def one_line_error(path: Path, vocabulary: Path | None = None) -> str:
    with pytest.raises(LanguageModelError) as caught:
        LanguageModel(path, vocabulary)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    assert "no language model at" in one_line_error(tmp_path / "nothing.bin")
    assert "is not a file" in one_line_error(tmp_path)


@needs_kenlm
@pytest.mark.parametrize(
    "content",
    [b"", b"this is text\n", bytes(range(256)) * 20, ARPA.read_bytes()[:150], b"\\data\\\n", b"\\data\\\nngram 1=9\n"],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken"
    path.write_bytes(content)
    assert "damaged or not a language model" in one_line_error(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("size", [10, 50, 51, 87, 101, 110, 130, 200, 300, len(BINARY.read_bytes()) - 3])
def test_a_truncated_binary_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "cut.bin"
    path.write_bytes(BINARY.read_bytes()[:size])
    assert str(path) in one_line_error(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00"])
def test_a_broken_word_list_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vocabulary.txt"
    path.write_bytes(content)
    assert "word list" in one_line_error(BINARY, path)


@needs_kenlm
def test_loading_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    LanguageModel(ARPA)
    LanguageModel(BINARY)
    assert capfd.readouterr() == ("", "")


def test_words_are_added_to_a_vocabulary_and_packed() -> None:
    vocabulary = Vocabulary(["b", "<s>", "über", "ab", "b", "𝄞"])
    more = vocabulary.with_words(["c", "ab", "a\ud800"])
    assert list(more) == ["ab", "a\ud800", "b", "c", "über", "𝄞"] and vocabulary.with_words(["b"]) is vocabulary
    assert [vocabulary.index(word) for word in ("a", "ab", "c", "𝄞z")] == [0, 0, 2, 4]
    text, ends = more.packed
    words = [text[start:end] for start, end in itertools.pairwise([0, *ends.tolist()])]
    assert words == sorted(words) == [word.encode("utf-8", "surrogatepass") for word in more]
    assert more.letters == frozenset("abcüer𝄞\ud800") and pack_texts(())[0] == b""
