"""The kernels are compiled, or None where they cannot be."""

from pathlib import Path

import pytest
import torch

from edgespeech.reference.kernels import native


def test_without_a_compiler_there_is_no_kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert native.compiled.__wrapped__("lstm_tiles") is None
    assert not list((tmp_path / "edgespeech").iterdir())


def test_without_amx_there_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert native.compiled.__wrapped__("masked_norm") is None
