"""`verify --strict`: what a bundle may do is printed, and what is out of bounds is refused in one line."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgespeech.demo.bundles import strict, trial
from edgespeech.errors import BundleError, VerificationError
from edgespeech.runtime.bundle import ACOUSTIC, LANGUAGE_MODEL, Bundle, FileEntry, Manifest, write_bundle

GOLDEN = Path(__file__).parents[2] / "golden"
Command = Callable[..., Any]


@pytest.fixture
def folder(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    """Write the tiny bundle with a language model."""

    def describe(files: dict[str, FileEntry]) -> Manifest:
        return msgspec.structs.replace(tiny_bundle.manifest, files=files)

    content = {ACOUSTIC: tiny_bundle.acoustic_path, LANGUAGE_MODEL: GOLDEN / "tiny.bin"}
    return write_bundle(tmp_path / "bundle", content, describe).folder


def test_what_a_bundle_may_do_is_printed(edgespeech: Command, folder: Path) -> None:
    outcome = edgespeech("verify", "--strict", folder)
    assert (outcome.code, outcome.err) == (0, "")
    for words in (
        "reads 2 files of its folder, in bytes: acoustic.onnx ",
        "writes nothing; uses no network",
        " operators of ai.onnx 17: Add ",
        " weights in ",
        "states of ",
        "outputs 29 labels",
        "has a 2-gram language model with 4 words",
        "chunked equals whole",
        "the language model loads and fits the labels: 2-gram",
    ):
        assert words in outcome.out


@pytest.mark.parametrize("name", ["more.txt", ".hidden"])
def test_a_file_that_is_not_listed_is_refused(edgespeech: Command, folder: Path, name: str) -> None:
    (folder / name).write_text("x")
    outcome = edgespeech("verify", "--strict", folder)
    assert (outcome.code, outcome.out) == (2, "") and "is not listed in bundle.json" in outcome.err
    assert edgespeech("verify", folder).code == 0


def test_any_link_is_refused(edgespeech: Command, folder: Path) -> None:
    (folder / LANGUAGE_MODEL).rename(folder / "..lm")
    (folder / LANGUAGE_MODEL).symlink_to("..lm")
    outcome = edgespeech("verify", "--strict", folder)
    assert outcome.code == 2 and outcome.err.count("\n") == 1
    with pytest.raises(BundleError, match="is a link|is not listed"):
        list(strict.inspect_untrusted(folder))


def test_a_graph_that_is_not_what_it_says_fails_in_the_trial(
    edgespeech: Command, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    model = onnx.load(str(tiny_bundle.acoustic_path))
    for node in model.graph.node:
        node.output[:] = ["before" if name == "log_probs" else name for name in node.output]
    model.graph.initializer.append(numpy_helper.from_array(np.array(0.5, np.float32), "half"))
    model.graph.node.append(helper.make_node("Mul", ["before", "half"], ["log_probs"]))

    def describe(files: dict[str, FileEntry]) -> Manifest:
        return msgspec.structs.replace(tiny_bundle.manifest, files=files)

    folder = write_bundle(tmp_path / "bundle", {ACOUSTIC: model.SerializeToString()}, describe).folder
    outcome = edgespeech("verify", "--strict", folder)
    assert outcome.code == 1 and "not log-probabilities" in outcome.err


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (subprocess.CompletedProcess((), -signal.SIGSEGV, "", ""), "Segmentation fault; do not use the bundle"),
        (subprocess.CompletedProcess((), 3, "", ""), "exit code 3; do not use the bundle"),
        (subprocess.CompletedProcess((), 2, "", "one line\n"), "one line"),
    ],
)
def test_a_trial_that_ends_the_process_is_a_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, ended: Any, words: str
) -> None:
    monkeypatch.setattr("edgespeech.demo.bundles.strict.subprocess.run", lambda *_, **__: ended)
    with pytest.raises(VerificationError, match=words):
        list(strict.inspect_untrusted(folder))


def test_a_trial_that_does_not_end_is_a_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("trial", 1.0)

    monkeypatch.setattr("edgespeech.demo.bundles.strict.subprocess.run", wait)
    with pytest.raises(VerificationError, match="did not end; do not use the bundle"):
        list(strict.inspect_untrusted(folder))


@pytest.mark.parametrize(("error", "code"), [(MemoryError(), 1), (BundleError("no"), 2), (VerificationError("no"), 1)])
def test_the_exit_code_of_a_trial_tells_the_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(trial, "_limit", fail)
    assert trial.main() == code
    assert len(capsys.readouterr().err.splitlines()) == 1
