"""`edgespeech.export` as a notebook uses it: a cheap import, one function, results returned, nothing printed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edgespeech.export as door
from edgespeech.reference.model.checkpoint import save_checkpoint
from edgespeech.runtime.bundle import Bundle, load_bundle
from edgespeech.runtime.recognizer import Recognizer


def test_all_names_can_be_imported() -> None:
    assert door.__all__ == ["ExportRequest", "ExportedBundle", "Parity", "export_checkpoint"]
    assert all(getattr(door, name).__doc__ for name in door.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'exported'; it has ExportRequest"):
        door.exported  # noqa: B018


def test_the_import_loads_neither_torch_nor_onnx() -> None:
    program = (
        "import sys, edgespeech.export as e; e.ExportRequest; print({'torch', 'onnx', 'onnxruntime'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_notebook_exports_a_checkpoint(
    tiny_model_factory: Callable[..., Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    save_checkpoint(tiny_model_factory(), tmp_path / "model.pt", {"name": "tiny"})
    bundle = door.export_checkpoint(
        str(tmp_path / "model.pt"), str(tmp_path / "bundle"), door.ExportRequest(form="cells", chunk_ms=80.0)
    )
    assert isinstance(bundle, Bundle) and bundle.manifest == load_bundle(tmp_path / "bundle").manifest
    assert (bundle.manifest.graph.form, bundle.manifest.graph.precision) == ("cells", "fp32")
    assert bundle.parity.chunks >= 10 and bundle.parity.worst < 1e-3
    assert Recognizer(bundle).sample_rate == 16000
    assert capfd.readouterr() == ("", "")
