"""Inputs that commands refuse before they begin their work."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest


def enter_with_bad_inputs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a folder the current one, with a text that is not a model, and a folder that must not be replaced."""
    (folder / "text.txt").write_text("no model\n")
    (folder / "full").mkdir()
    (folder / "full" / "thesis.txt").write_text("precious")
    monkeypatch.chdir(folder)


def forbid(monkeypatch: pytest.MonkeyPatch, module: ModuleType, *names: str) -> None:
    """Let the test fail if one of these functions of a module is called."""

    def fail(*_: object, **__: object) -> None:
        pytest.fail("the expensive part began")

    for name in names:
        monkeypatch.setattr(module, name, fail)
