"""Tiny models and sounds that several tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.tiny_models import CELLS, TINY, make_tiny_model, write_cells_bundle, write_tiny_bundle

Samples = NDArray[np.float32]

# Before torch is imported: threads only make such small models slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Bundles that another environment wrote with `python -m tests.tiny_models FOLDER`, for one without torch.
WRITTEN_BUNDLES = os.environ.get("EDGESPEECH_TINY_BUNDLES")


@pytest.fixture(scope="session")
def noise() -> Callable[[int], Samples]:
    """Reproducible noise of a given number of samples."""
    return lambda samples: (np.random.default_rng(samples).standard_normal(samples) * 0.1).astype(np.float32)


TINY_SHAPES = [
    pytest.param({"cell": cell, "front_end": front_end, "label_set": labels}, id=f"{cell}-{front_end}-{labels}")
    for cell, front_end, labels in (
        ("gru", "1d", "characters"),
        ("lstm", "1d", "bigrams"),
        ("rnn", "1d", "characters"),
        ("gru", "2d", "bigrams"),
        ("lstm", "2d", "characters"),
        ("rnn", "2d", "bigrams"),
    )
]


@pytest.fixture(params=TINY_SHAPES)
def tiny_model(request: pytest.FixtureRequest) -> Any:
    """A small model of every kind, with weights and batch-norm statistics that are not the initial ones."""
    return make_tiny_model(**request.param)


@pytest.fixture(scope="session")
def tiny_model_factory() -> Callable[..., Any]:
    """`make_tiny_model`, for tests that choose the fields of `ModelConfig` themselves."""
    return make_tiny_model


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A bundle on disk: GRU, 1-D, characters, frames of 40 ms, chunks of 80 ms, no language model."""
    if WRITTEN_BUNDLES:
        from edgespeech.runtime.bundle import load_bundle

        return load_bundle(Path(WRITTEN_BUNDLES).absolute() / TINY)
    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / TINY)


@pytest.fixture(scope="session")
def cells_bundle(tiny_bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The model of `tiny_bundle` with its recurrence unrolled, so that the chunk is fixed."""
    if WRITTEN_BUNDLES:
        from edgespeech.runtime.bundle import load_bundle

        return load_bundle(Path(WRITTEN_BUNDLES).absolute() / CELLS)
    return write_cells_bundle(tmp_path_factory.mktemp("bundles") / CELLS, tiny_bundle)


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def edgespeech(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """The command line, in this process."""

    def run(*arguments: object) -> Outcome:
        from edgespeech.demo.cli import main

        monkeypatch.setattr("sys.argv", ["edgespeech", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), captured.out, captured.err)

    return run
