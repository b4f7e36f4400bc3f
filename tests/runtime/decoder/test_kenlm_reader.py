"""Our reader of KenLM binaries against the kenlm package: every kind of trie, and damaged files."""

from __future__ import annotations

import json
import logging
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespeech.errors import LanguageModelError, MissingDependencyError
from edgespeech.reference.language_model.kenlm_tools import find_tool
from edgespeech.reference.language_model.scoring import SentenceScorer
from edgespeech.runtime.bundle import DEFAULT_BUNDLE
from edgespeech.runtime.decoder import ngram_scores
from edgespeech.runtime.decoder.kenlm_reader import Model, State, murmur_hash
from edgespeech.runtime.decoder.kenlm_trie import KenlmTrie
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.decoder.ngram_scores import LN10, NGramScores
from edgespeech.runtime.decoder.vocabulary import read_stored_words
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.recognizer import Recognizer
from tests.runtime.decoder.arpa_examples import GOLDEN, VARIANTS, WORDS, build, random_arpa, random_sentences

BUNDLE = DEFAULT_BUNDLE / "lm.bin"
BINARIES = [GOLDEN / "tiny.bin", GOLDEN / "random_both.bin", GOLDEN / "random_compressed.bin", BUNDLE]
SMALL = BINARIES[:3]
MARKERS = ["<unk>", "<s>", "</s>", "<UNK>", "unknownword", ""]
ids = [path.name for path in BINARIES]


@pytest.fixture(scope="module")
def kenlm() -> Any:
    """The package that our reader must equal."""
    return pytest.importorskip("kenlm", reason="the reader is compared with the package kenlm, which is not installed")


@pytest.fixture
def without_kenlm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the package."""
    monkeypatch.setitem(sys.modules, "kenlm", None)
    ngram_scores._report_once.cache_clear()


def open_with_kenlm(kenlm: Any, path: Path) -> Any:
    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    return kenlm.Model(str(path), config)


def compare(kenlm: Any, ours: Model, theirs: Any, sentence: list[str], begin: bool) -> None:
    """Score the words one after the other with both, each from the state that its own last score left."""
    state, wanted_state = State(), kenlm.State()
    for model, start in ((ours, state), (theirs, wanted_state)):
        (model.BeginSentenceWrite if begin else model.NullContextWrite)(start)
    for word in sentence:
        after, wanted_after = State(), kenlm.State()
        found = ours.BaseFullScore(state, word, after)
        wanted = theirs.BaseFullScore(wanted_state, word, wanted_after)
        assert tuple(found) == (wanted.log_prob, wanted.ngram_length, wanted.oov), (sentence, word)
        assert ours.BaseScore(state, word, State()) == wanted.log_prob
        assert (word in ours) == (word in theirs)
        assert (after == state) == (wanted_after == wanted_state)
        state, wanted_state = after, wanted_after


def words_of(path: Path) -> list[str]:
    """Known words with the most frequent ones first, and others."""
    model = LanguageModel(path)
    assert model.vocabulary is not None
    known = np.array(list(model.vocabulary))[np.argsort(-model.unigrams, kind="stable")].tolist()
    return [*known[:200], *MARKERS, *known[200:]]


@pytest.mark.parametrize("path", BINARIES, ids=ids)
def test_random_sentences_have_kenlms_scores_and_states(kenlm: Any, path: Path) -> None:
    ours, theirs, words = Model(KenlmTrie(path)), open_with_kenlm(kenlm, path), words_of(path)
    assert ours.order == theirs.order
    for at, sentence in enumerate(random_sentences(words, 3000, seed=3)):
        compare(kenlm, ours, theirs, sentence.split(), begin=at % 2 == 0)


def test_real_sentences_have_kenlms_scores(kenlm: Any) -> None:
    ours, theirs = Model(KenlmTrie(BUNDLE)), open_with_kenlm(kenlm, BUNDLE)
    texts = [utterance.text for utterance in read_manifest(SAMPLE_CLIPS, check_files=False)]
    lengths: set[int] = set()
    for text in [*texts, "at the end of the day one of the most of them", "i do not know what to do"]:
        assert text
        compare(kenlm, ours, theirs, text.split(), begin=True)
        wanted = list(theirs.full_scores(text))
        assert [tuple(score) for score in ours.full_scores(text)] == wanted
        lengths.update(length for _, length, _ in wanted)
    assert lengths == {1, 2, 3, 4}


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_words_have_kenlms_scores(kenlm: Any, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(SMALL))
    # The package takes a zero byte for the end of a word; labels have none.
    letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    words = st.one_of(st.sampled_from([*WORDS, *MARKERS, "bab"]), st.text(letters))
    sentence = data.draw(st.lists(words, max_size=12))
    compare(kenlm, Model(KenlmTrie(path)), open_with_kenlm(kenlm, path), sentence, data.draw(st.booleans()))


@pytest.mark.parametrize("with_unknown", [True, False])
@pytest.mark.parametrize("order", [2, 3, 5])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_kind_of_trie_has_kenlms_scores(
    kenlm: Any, tmp_path: Path, variant: str, order: int, with_unknown: bool
) -> None:
    try:
        program = find_tool("build_binary")
    except MissingDependencyError as error:
        pytest.skip(f"small models are made by KenLM's build_binary: {error}")
    arpa = tmp_path / "random.arpa"
    arpa.write_text(random_arpa(order, seed=order, with_unknown=with_unknown), encoding="utf-8")
    path = build(program, variant, arpa, tmp_path / "random.bin")
    ours, theirs = Model(KenlmTrie(path)), open_with_kenlm(kenlm, path)
    longest = 0
    for sentence in random_sentences([*WORDS, *MARKERS], 300, seed=4):
        compare(kenlm, ours, theirs, sentence.split(), begin=True)
        longest = max(longest, *(score.ngram_length for score in ours.full_scores(sentence)))
    assert longest == order


def test_golden_scores_of_kenlm_are_equal_without_it() -> None:
    for name, sentences in json.loads((GOLDEN / "kenlm_scores.json").read_text(encoding="utf-8")).items():
        model = Model(KenlmTrie(GOLDEN / name))
        for sentence, wanted in sentences.items():
            found = [(np.float32(log_prob), *rest) for log_prob, *rest in model.full_scores(sentence)]
            assert found == [(np.float32(log_prob), *rest) for log_prob, *rest in wanted]


@pytest.mark.parametrize(
    ("text", "hashed"), [(b"", 0), (b"<unk>", 16902545233577457963), (b"eightfolded", 7728297894776551690)]
)
def test_the_hash_is_murmur_hash_64a(text: bytes, hashed: int) -> None:
    assert murmur_hash(text) == hashed


def test_states_are_equal_if_their_words_are() -> None:
    model = Model(KenlmTrie(GOLDEN / "tiny.bin"))
    begin, again, after, same = State(), State(), State(), State()
    model.BeginSentenceWrite(begin)
    model.BeginSentenceWrite(again)
    assert begin == again and hash(begin) == hash(again) and begin != State() and begin != "begin"
    model.BaseScore(begin, "b", after)
    model.BaseScore(after, "b", same)
    assert after == same != begin and len({begin, again, after, same}) == 2


def test_caches_that_are_full_change_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = random_sentences(WORDS, 200, seed=5)
    wanted = [list(Model(KenlmTrie(SMALL[1])).full_scores(sentence)) for sentence in sentences]
    for name in ("_CACHED_SCORES", "_CACHED_WORDS"):
        monkeypatch.setattr(f"edgespeech.runtime.decoder.kenlm_reader.{name}", 5)
    model = Model(KenlmTrie(SMALL[1]))
    assert [list(model.full_scores(sentence)) for sentence in sentences] == wanted
    assert len(model._scores) <= 5 and len(model._words) <= 5


@pytest.mark.parametrize("path", BINARIES, ids=ids)
def test_the_language_model_is_the_same_without_kenlm(
    kenlm: Any, path: Path, monkeypatch: pytest.MonkeyPatch, without_kenlm: None
) -> None:
    ours = LanguageModel(path)
    assert type(ours.begin()) is State
    ours_scorer = SentenceScorer(path)
    monkeypatch.setitem(sys.modules, "kenlm", kenlm)
    theirs = LanguageModel(path)
    assert type(theirs.begin()) is kenlm.State
    assert ours.vocabulary is not None and theirs.vocabulary is not None
    assert list(ours.vocabulary) == list(theirs.vocabulary)
    assert ours.unigrams.tolist() == theirs.unigrams.tolist()
    assert (ours.order, ours.unknown_score) == (theirs.order, theirs.unknown_score)
    scorer = SentenceScorer(path)
    for sentence in random_sentences(words_of(path), 50, seed=6):
        assert ours_scorer.score(sentence) == scorer.score(sentence)


@pytest.mark.parametrize("path", BINARIES, ids=ids)
def test_scores_without_context_are_those_of_kenlm(kenlm: Any, path: Path) -> None:
    ours, theirs, nothing = LanguageModel(path), open_with_kenlm(kenlm, path), kenlm.State()
    theirs.NullContextWrite(nothing)
    assert ours.vocabulary is not None and len(ours.vocabulary) == len(ours.unigrams)
    scores = [theirs.BaseScore(nothing, word, kenlm.State()) * LN10 for word in ours.vocabulary]
    assert ours.unigrams.tolist() == [max(score, ours.unknown_score) for score in scores]
    assert "_scores" not in vars(ours), "the package has not been used"


def test_sample_clips_have_the_same_texts_without_kenlm(without_kenlm: None) -> None:
    pytest.importorskip("onnxruntime", reason="the acoustic model needs onnxruntime, which has no wheels for musl")
    recognizer = Recognizer()
    wanted = json.loads((GOLDEN / "sample_clips.json").read_text(encoding="utf-8"))
    found = {name: recognizer.transcribe(SAMPLE_CLIPS.parent / name).text for name in wanted}
    assert found == wanted


@pytest.mark.parametrize(
    ("version", "advice"), [((3, 12), "pip install kenlm"), ((3, 13), "see CONTRIBUTING.md on kenlm for Python 3.13")]
)
def test_the_missing_package_is_logged_once_with_the_command(
    without_kenlm: None,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    version: tuple[int, int],
    advice: str,
) -> None:
    monkeypatch.setattr("sys.version_info", version)
    with caplog.at_level(logging.DEBUG):
        NGramScores(SMALL[0])
        NGramScores(SMALL[1])
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert "kenlm is not installed" in record.getMessage()
    assert record.getMessage().endswith(f"{advice} (compiles it with g++ and cmake)")


def test_a_package_that_does_not_load_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_kenlm: None, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "kenlm.py").write_text("raise ImportError('undefined symbol: _ZTV')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "kenlm")
    with caplog.at_level(logging.DEBUG):
        NGramScores(SMALL[0])
    assert "cannot be imported (undefined symbol: _ZTV)" in caplog.text


@pytest.mark.parametrize(("kind", "name"), [(0, "hash tables"), (1, "hash tables with rest costs")])
def test_other_kinds_of_binary_need_kenlm(without_kenlm: None, tmp_path: Path, kind: int, name: str) -> None:
    data = bytearray(SMALL[0].read_bytes())
    data[96] = kind
    path = tmp_path / "probing.bin"
    path.write_bytes(data)
    with pytest.raises(MissingDependencyError) as caught:
        LanguageModel(path)
    message = str(caught.value)
    assert f"of the kind {name}" in message and "build_binary trie" in message and "install kenlm" in message


def test_an_arpa_file_needs_kenlm(without_kenlm: None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(MissingDependencyError) as caught:
        LanguageModel(GOLDEN / "tiny.arpa")
    message = str(caught.value)
    assert "is an ARPA file" in message and "build_binary trie" in message
    assert message.endswith(ngram_scores.how_to_install_kenlm())
    assert not caplog.records


@pytest.mark.parametrize("content", [b"", b"this is text\n", bytes(range(256)) * 20, b"\\dat", b"RIFF\0\0\0\0WAVE"])
def test_other_files_are_refused(without_kenlm: None, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken"
    path.write_bytes(content)
    with pytest.raises(LanguageModelError, match="not a language model"):
        LanguageModel(path)


@pytest.mark.parametrize("path", SMALL, ids=ids[:3])
def test_a_file_cut_anywhere_is_refused(without_kenlm: None, tmp_path: Path, path: Path) -> None:
    data = path.read_bytes()
    cut = tmp_path / "cut.bin"
    for size in {*range(0, 420), *range(420, len(data), 97), len(data) - 1}:
        if size < len(data):
            cut.write_bytes(data[:size])
            with pytest.raises(LanguageModelError) as caught:
                LanguageModel(cut)
            assert str(cut) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("path", SMALL, ids=ids[:3])
def test_flipped_bits_are_an_error_or_a_score_but_no_crash(without_kenlm: None, tmp_path: Path, path: Path) -> None:
    chance, data = random.Random(7), path.read_bytes()
    sentences = random_sentences([*WORDS, "bab"], 5, seed=8)
    refused = 0
    for trial in range(600):
        broken = bytearray(data)
        for _ in range(chance.choice([1, 1, 3, 30])):
            at = chance.randrange(len(data) if trial % 2 else min(len(data), 600))
            broken[at] ^= 1 << chance.randrange(8)
        flipped = tmp_path / f"{trial}.bin"  # a new name: the others are still mapped into memory
        flipped.write_bytes(broken)
        try:
            model = LanguageModel(flipped)
        except (LanguageModelError, MissingDependencyError) as error:
            assert str(flipped) in str(error)
            refused += 1
        else:
            assert all(isinstance(score, float) for line in sentences for score, _ in model.full_scores(line))
    assert refused > 50


def test_huge_numbers_in_the_header_are_checked_against_the_file(without_kenlm: None, tmp_path: Path) -> None:
    data = SMALL[1].read_bytes()
    for at, size in ((108, 8), (116, 8), (124, 8), (132, 8), (88, 1), (140, 8)):
        for value in (0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1)):
            path = tmp_path / f"{at}-{value}.bin"
            path.write_bytes(data[:at] + value.to_bytes(size, "little") + data[at + size :])
            with pytest.raises(LanguageModelError, match="damaged or not a language model"):
                LanguageModel(path)


def test_kenlms_own_words_are_those_of_the_vocabulary(without_kenlm: None) -> None:
    stored = read_stored_words(SMALL[1])
    assert stored is not None
    words = stored.decode().split("\0")[:-1]
    assert words[0] == "<unk>" and set(words) - {"<unk>", "<s>", "</s>"} == set(WORDS)
    model = LanguageModel(SMALL[1])
    assert all(word in model for word in WORDS) and "unknownword" not in model and 3 not in model
