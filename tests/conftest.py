"""Tiny models and sounds that several tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.tiny_models import (
    CELLS,
    PADDED_SHAPES,
    TINY,
    make_tiny_model,
    unpack_tiny_bundles,
    write_cells_bundle,
    write_tiny_bundle,
)

Samples = NDArray[np.float32]

# A shell starts background jobs with these ignored, and the processes that tests interrupt would inherit that.
for name, handler in (("SIGINT", signal.default_int_handler), ("SIGQUIT", signal.SIG_DFL), ("SIGHUP", signal.SIG_DFL)):
    if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_IGN:
        signal.signal(getattr(signal, name), handler)

# Before torch is imported: threads only make such small models slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")


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
] + [pytest.param(shape, id=name) for name, shape in PADDED_SHAPES.items()]


@pytest.fixture(params=TINY_SHAPES)
def tiny_model(request: pytest.FixtureRequest) -> Any:
    """A small model of every kind, with weights and batch-norm statistics that are not the initial ones."""
    return make_tiny_model(**request.param)


@pytest.fixture(scope="session")
def tiny_model_factory() -> Callable[..., Any]:
    """`make_tiny_model`, for tests that choose the fields of `ModelConfig` themselves."""
    return make_tiny_model


@pytest.fixture(scope="session")
def tiny_bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `tiny_bundle` and `cells_bundle`: exported now, or unpacked where torch or onnx is missing."""
    folder = tmp_path_factory.mktemp("bundles")
    if find_spec("torch") and find_spec("onnx"):
        write_cells_bundle(folder / CELLS, write_tiny_bundle(folder / TINY))
    else:
        unpack_tiny_bundles(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_bundle(tiny_bundles: Path) -> Any:
    """A bundle on disk: GRU, 1-D, characters, frames of 40 ms, chunks of 80 ms, no language model."""
    from edgespeech.runtime.bundle import load_bundle

    return load_bundle(tiny_bundles / TINY)


@pytest.fixture(scope="session")
def cells_bundle(tiny_bundles: Path) -> Any:
    """The model of `tiny_bundle` with its recurrence unrolled, so that the chunk is fixed."""
    from edgespeech.runtime.bundle import load_bundle

    return load_bundle(tiny_bundles / CELLS)


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
