"""N-grams read as arrays give the scores of the readers that look them up one by one."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from edgespeech.errors import LanguageModelError, MissingDependencyError
from edgespeech.reference.language_model.kenlm_tools import find_tool
from edgespeech.reference.language_model.ngrams import read_ngrams
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.decoder.language_model import LanguageModel
from tests.runtime.decoder.arpa_examples import GOLDEN, VARIANTS, WORDS, build, random_arpa, random_sentences

SENTENCES = random_sentences([*WORDS, "unknown"], 60, seed=4)


def expected(path: Path, sentences: list[str]) -> list[float]:
    model = LanguageModel(path)
    return [score * math.log(10.0) for sentence in sentences for score, _ in model.full_scores(sentence)]


@pytest.mark.parametrize("name", ["tiny.bin", "random_both.bin", "random_compressed.bin", "tiny_characters.bin"])
def test_scores_are_those_of_the_runtime(name: str) -> None:
    model = read_ngrams(GOLDEN / name)
    sentences = [*SENTENCES, "a b", "b a ab bab", ""]
    assert model.score(model.tokens(sentences)) == pytest.approx(expected(GOLDEN / name, sentences), abs=1e-4)


@pytest.mark.parametrize("variant", sorted(VARIANTS))
@pytest.mark.parametrize("order", [2, 3, 5])
def test_scores_are_those_of_kenlm_in_every_format(variant: str, order: int, tmp_path: Path) -> None:
    kenlm = pytest.importorskip("kenlm")
    try:
        program = find_tool("build_binary")
    except MissingDependencyError as error:
        pytest.skip(str(error))
    arpa = tmp_path / "random.arpa"
    arpa.write_text(random_arpa(order, seed=order), encoding="utf-8")
    path = build(program, variant, arpa, tmp_path / "random.bin")
    model, other = read_ngrams(path), kenlm.Model(str(path))
    scores = [one[0] for line in SENTENCES for one in other.full_scores(line)]
    assert model.score(model.tokens(SENTENCES)) / math.log(10.0) == pytest.approx(scores, abs=1e-4)
    assert len(model.orders) == order
    for found in model.orders[1:]:
        assert np.all(np.diff(found.ends * len(model.words) + found.first) > 0)


def test_the_model_of_the_default_bundle_is_read() -> None:
    path = load_bundle().language_model_path
    assert path is not None
    model = read_ngrams(path)
    sentences = ["the cat sat on the mat", "it was the best of times", "xyzzy and the rest of it"]
    assert model.score(model.tokens(sentences)) == pytest.approx(expected(path, sentences), abs=1e-4)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"no model", "does not begin like a KenLM binary|ends after 8 bytes"),
        (GOLDEN / "tiny_probing.bin", "stores n-grams as hash tables, .*build it again with 'build_binary trie'"),
    ],
)
def test_other_files_are_refused_in_one_line(content: bytes | Path, words: str, tmp_path: Path) -> None:
    path = tmp_path / "lm.bin"
    path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    with pytest.raises(LanguageModelError, match=words) as found:
        read_ngrams(path)
    assert "\n" not in str(found.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LanguageModelError, match="cannot be read"):
        read_ngrams(tmp_path / "lm.bin")


def test_damage_is_refused_or_read_but_never_another_error(tmp_path: Path) -> None:
    content, random = (GOLDEN / "random_both.bin").read_bytes(), np.random.default_rng(0)
    path, refused = tmp_path / "lm.bin", 0
    for _ in range(150):
        damaged = np.frombuffer(content, np.uint8).copy()
        damaged[random.integers(100, len(content), 3)] = random.integers(256)
        path.write_bytes(damaged.tobytes())
        try:
            read_ngrams(path)
        except LanguageModelError:
            refused += 1
    assert refused > 20
