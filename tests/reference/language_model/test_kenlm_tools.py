"""Programs of KenLM: what they print, how they fail, and one that waits for itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from edgespeech.errors import LanguageModelError
from edgespeech.reference.language_model import kenlm_tools
from edgespeech.reference.language_model.kenlm_tools import run_tool


def test_what_a_program_prints_is_in_the_file(tmp_path: Path) -> None:
    run_tool([sys.executable, "-c", "print('a')"], tmp_path / "out")
    assert (tmp_path / "out").read_text() == "a\n"


def test_a_program_that_fails_is_one_line(tmp_path: Path) -> None:
    code = "import sys; print('first\\nlast', file=sys.stderr); sys.exit(3)"
    with pytest.raises(LanguageModelError, match=r"ended with 3: last$"):
        run_tool([sys.executable, "-c", code], tmp_path / "out")


@pytest.mark.skipif(os.name != "posix", reason="the state of a process on POSIX")
def test_a_program_that_waits_for_itself_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kenlm_tools, "STUCK_SECONDS", 2)
    with pytest.raises(LanguageModelError, match="did nothing for 2 s and was ended; free some space"):
        run_tool([sys.executable, "-c", "import threading; threading.Event().wait(300)"])


def test_a_program_that_computes_is_not_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kenlm_tools, "STUCK_SECONDS", 2)
    code = "import time\nend = time.process_time() + 2.0\nwhile time.process_time() < end: pass\nprint('done')"
    run_tool([sys.executable, "-c", code], tmp_path / "out")
    assert (tmp_path / "out").read_text() == "done\n"
