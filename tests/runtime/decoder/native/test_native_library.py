"""Which search runs: the compiled one if it can, and why not otherwise; nothing but speed depends on it."""

from __future__ import annotations

import logging
from ctypes import CDLL
from pathlib import Path
from typing import Any

import pytest

from edgespeech.errors import UsageError
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.decoder.native import library, search
from edgespeech.runtime.decoder.native.library import SearchKind, search_kind
from tests.runtime.decoder.ctc_examples import GOLDEN, LETTERS, random_log_probs


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the library be loaded again."""
    library._load.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    library._load.cache_clear()


@pytest.fixture(autouse=True)
def no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(library.VARIABLE, raising=False)


@pytest.mark.usefixtures("native_search")
def test_the_compiled_search_is_the_default_and_numpy_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert search_kind() == SearchKind("native")
    assert BeamSearchDecoder(LETTERS).search_kind == SearchKind("native")
    assert BeamSearchDecoder(LETTERS, search="numpy").search_kind == SearchKind("numpy", "chosen")
    monkeypatch.setenv(library.VARIABLE, "numpy")
    assert BeamSearchDecoder(LETTERS).search_kind == SearchKind("numpy", "chosen by EDGESPEECH_SEARCH")
    assert BeamSearchDecoder(LETTERS, search="native").search_kind.name == "native"


def test_unknown_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="search is rust; wanted native or numpy"):
        BeamSearchDecoder(LETTERS, search="rust")
    monkeypatch.setenv(library.VARIABLE, "rust")
    with pytest.raises(UsageError, match="EDGESPEECH_SEARCH is 'rust'; wanted native or numpy"):
        BeamSearchDecoder(LETTERS)


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "was not compiled"), (b"not a library", "cannot be loaded"), (b"", "cannot be")]
)
def test_without_the_library_numpy_searches(
    loading: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "_search.so.1"
    if content is not None:
        path.write_bytes(content)
    loading.setattr(library, "FILE", path)
    decoder = BeamSearchDecoder(LETTERS)
    assert decoder.search_kind.name == "numpy" and reason in decoder.search_kind.reason
    assert "C++ compiler" in decoder.search_kind.reason and "\n" not in decoder.search_kind.reason
    assert decoder.decode(random_log_probs(0, 5, 4))
    with pytest.raises(UsageError, match=reason):
        BeamSearchDecoder(LETTERS, search="native")


@pytest.mark.usefixtures("native_search")
def test_a_library_of_other_sources_is_not_used(loading: pytest.MonkeyPatch) -> None:
    loading.setattr(library, "_VERSION", -1)
    assert "compiled from other sources" in search_kind().reason


@pytest.mark.usefixtures("native_search")
def test_where_python_hides_its_functions_numpy_searches(loading: pytest.MonkeyPatch) -> None:
    loading.setattr(library, "pythonapi", CDLL(str(library.FILE)))  # which has none of them
    assert search_kind().name == "numpy" and "PyCapsule_New" in search_kind().reason


@pytest.mark.usefixtures("native_search")
def test_language_models_of_other_kinds_are_searched_in_numpy(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lm = LanguageModel(GOLDEN / "tiny.bin")
    monkeypatch.setattr(search, "MAX_ORDER", 1)
    with caplog.at_level(logging.DEBUG):
        decoder = BeamSearchDecoder(LETTERS, 0, lm, search="native")
    assert decoder.search_kind == SearchKind("numpy", f"{lm.path} has the order 2, above 1")
    assert "beam search (numpy)" in caplog.text
    pytest.importorskip("kenlm", reason="only the package kenlm reads ARPA files")
    decoder = BeamSearchDecoder(LETTERS, 0, LanguageModel(GOLDEN / "tiny.arpa"))
    assert decoder.search_kind.name == "numpy" and "kind trie" in decoder.search_kind.reason
