"""A library that ends the process at import becomes one line."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgespeech.demo.doctor import extras, imports
from edgespeech.demo.doctor import microphone as doctor_microphone
from edgespeech.demo.doctor import providers as doctor_providers
from edgespeech.demo.doctor.extras import check_kenlm
from edgespeech.demo.doctor.imports import find_crash, find_import_error
from edgespeech.demo.doctor.microphone import check_sound
from edgespeech.demo.doctor.providers import check_onnxruntime
from edgespeech.demo.doctor.report import Check
from edgespeech.runtime.bundle import load_bundle
from tests.demo.machine.recorded_machines import bare_host


def crashes(kind: str) -> str:
    return f"import os, signal; os.kill(os.getpid(), signal.{kind})"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("x = 1", None),
        ("raise ImportError('not this one')", None),
        (crashes("SIGILL"), "SIGILL"),
        (crashes("SIGSEGV"), "SIGSEGV"),
        (
            "import sys, os; print('no dot product', file=sys.stderr, flush=True); os.abort()",
            "SIGABRT): no dot product",
        ),
        ("import os; os._exit(3)", "exit code 3"),
    ],
)
def test_only_an_import_that_ends_the_process_is_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, words: str | None
) -> None:
    (tmp_path / "stand_in_library.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = find_crash("stand_in_library")
    assert found is None if words is None else found is not None and words in found and "\n" not in found
    error = "does not load: ImportError: not this one" if "ImportError" in code else found
    assert find_import_error("stand_in_library") == error


def test_an_import_that_hangs_or_cannot_be_tried() -> None:
    def hang(command: Any) -> Any:
        raise subprocess.TimeoutExpired(command, 1.0)

    def refuse(command: Any) -> Any:
        raise OSError("no more processes")

    assert "did not end" in (find_crash("json", hang) or "")
    assert find_crash("json", refuse) is None


def test_onnxruntime_is_imported_with_its_telemetry_disabled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import os; os._exit(0 if os.environ.get('ORT_DISABLE_TELEMETRY') == '1' else 9)"
    (tmp_path / "onnxruntime.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    assert find_crash("onnxruntime") is None


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> str:
    """Let every import end its process, as onnxruntime 1.21.0 does on a Raspberry Pi 4."""
    ended = subprocess.CompletedProcess([], -4, "", "")
    real = imports.find_crash
    for module in (extras, doctor_microphone, doctor_providers):
        monkeypatch.setattr(module, "find_crash", lambda name: real(name, lambda command: ended))
    return "its import ends the process (SIGILL)"


@pytest.mark.parametrize(
    ("topic", "state", "check", "fix"),
    [
        ("onnxruntime", "broken", lambda root: check_onnxruntime(bare_host(root)), "pip install 'onnxruntime!=1.21.0'"),
        ("kenlm", "broken", lambda root: check_kenlm(load_bundle()), "--no-binary :all: kenlm"),
        ("PortAudio", "missing", lambda root: check_sound(), "portaudio"),
    ],
)
def test_the_process_goes_on_and_names_the_library(
    dead: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    topic: str,
    state: str,
    check: Callable[[Path], Any],
    fix: str,
) -> None:
    monkeypatch.setattr(doctor_providers, "installed_version", {"onnxruntime": "1.21.0"}.get)
    found: list[Check] = list(check(tmp_path))
    assert [(one.topic, one.state) for one in found] == [(topic, state)]
    assert dead in found[0].found and fix in found[0].fix
