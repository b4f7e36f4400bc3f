"""The bundles in the archive, which environments without torch test with, are those that are exported now."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import load_bundle
from tests.tiny_models import ARCHIVE, CELLS, TINY, unpack_tiny_bundles


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archived")
    unpack_tiny_bundles(folder)
    return folder


def test_the_archive_is_small(archived: Path) -> None:
    assert ARCHIVE.stat().st_size < 150_000
    assert {path.name for path in archived.iterdir()} == {TINY, CELLS}


@pytest.mark.parametrize("name", [TINY, CELLS])
def test_the_archive_is_up_to_date(archived: Path, tiny_bundles: Path, name: str) -> None:
    """`python -m tests.tiny_models` writes it again."""
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    old, new = load_bundle(archived / name), load_bundle(tiny_bundles / name)
    described = [msgspec.to_builtins(bundle.manifest) for bundle in (old, new)]
    assert described[0].pop("files").keys() == described[1].pop("files").keys()
    assert described[0] == described[1]
    samples = np.random.default_rng(3).standard_normal((1, 4 * old.manifest.audio.chunk_samples)).astype(np.float32)
    outputs = [AcousticModel(bundle).stream(samples * 0.1) for bundle in (old, new)]
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-5)
