"""The checks of `edgespeech doctor` for optional parts: the compiled search, kenlm, extras and KenLM's programs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgespeech.demo.doctor import extras
from edgespeech.errors import MissingDependencyError
from edgespeech.runtime.bundle import Bundle, load_bundle
from edgespeech.runtime.decoder.native.library import SearchKind


def raise_error(error: Exception) -> None:
    raise error


def test_a_language_model_that_only_kenlm_reads_is_broken_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "LanguageModel", lambda path: raise_error(MissingDependencyError("no kenlm; run: pip")))
    (check,) = extras.check_kenlm(load_bundle())
    assert check.state == "broken" and "kenlm" in check.fix and "--no-lm" in check.fix


@pytest.mark.parametrize(
    ("version", "fix"), [((3, 12), "pip install kenlm"), ((3, 13), "see CONTRIBUTING.md on kenlm for Python 3.13")]
)
def test_without_kenlm_the_default_bundle_works_and_doctor_names_what_does_not(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], fix: str
) -> None:
    monkeypatch.setitem(sys.modules, "kenlm", None)
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    monkeypatch.setattr("sys.version_info", version)
    for bundle, use in (
        (load_bundle(), "the bundle's 4-gram model loads"),
        (tiny_bundle, "of the kind trie load"),
    ):
        (check,) = extras.check_kenlm(bundle)
        assert (check.state, check.fix) == ("missing", f"{fix} (compiles it with g++ and cmake)")
        assert use in check.found and "ARPA" in check.found


def test_the_search_that_runs_is_reported_with_what_compiles_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, state in ((SearchKind("native"), "ok"), (SearchKind("numpy", "it was not compiled"), "note")):
        monkeypatch.setattr(extras, "search_kind", lambda kind=kind: kind)
        (check,) = extras.check_search()
        assert (check.topic, check.state) == ("search", state)
        assert kind.reason in check.found and bool(check.fix) == (state == "note")
    assert "g++" in check.fix


def test_a_kenlm_that_does_not_load_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kenlm.py").write_text("raise ImportError('undefined symbol')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "kenlm", raising=False)
    (check,) = extras.check_kenlm(load_bundle())
    assert check.state == "missing" and "undefined symbol" in check.found and "pip uninstall kenlm" in check.fix


def test_missing_extras_have_their_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    monkeypatch.setattr(extras, "find_tool", lambda name: raise_error(MissingDependencyError(f"no {name}")))
    monkeypatch.setattr(extras, "can_decode_foreign", lambda: False)
    found = {check.topic: check for check in (*extras.check_extras(), *extras.check_kenlm_tools())}
    assert found["report"].fix == "pip install 'edgespeech[report]'"
    assert {check.state for check in found.values()} == {"missing"} and "lm build" in found
