"""Training ends cleanly on signals, on errors in loader processes, and when the memory of a GPU is full."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from edgespeech.errors import ConfigError
from edgespeech.reference.model.checkpoint import load_plain
from edgespeech.reference.training.interruption import stop_on_signals
from edgespeech.reference.training.train import train
from edgespeech.reference.training.trainer import Trainer
from tests.reference.tones import configuration, write_tones


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write ten recordings and their manifest."""
    write_tones(tmp_path)
    return tmp_path


LOADER_SCRIPT = """
import sys
from pathlib import Path
import msgspec
from edgespeech.errors import AudioError
from edgespeech.reference.training import interruption, train as training
training.measure_features = lambda model, batches: None  # it would read the recording first
interruption.LOADER_GRACE_SECONDS = 1
folder = Path(sys.argv[1])
config = msgspec.json.decode((folder / "config.json").read_bytes(), type=training.TrainingConfig)
try:
    training.train(config, folder)
except AudioError as error:
    kept = error  # and with it the frames, and the loader process in them
    print(error)
"""


@pytest.mark.slow
def test_a_damaged_recording_in_a_loader_process_is_named_and_the_process_ends(folder: Path) -> None:
    (folder / "3.wav").write_bytes(b"RIFF garbage")
    (folder / "config.json").write_bytes(msgspec.json.encode(configuration(epochs=1, workers=1)))
    (folder / "run.py").write_text(LOADER_SCRIPT, encoding="utf-8")
    command = [sys.executable, str(folder / "run.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    last = done.stdout.splitlines()[-1]
    assert "3.wav" in last and "Traceback" not in last and "AudioError" not in last


def test_full_gpu_memory_is_reported_in_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.43 GiB. See documentation"
        )

    monkeypatch.setattr(Trainer, "step", full)
    with pytest.raises(ConfigError, match="Tried to allocate 2.00 GiB.*lower batch_seconds") as caught:
        train(configuration(epochs=1), folder)
    assert "\n" not in str(caught.value)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Handle SIGINT as in a terminal: a shell starts background jobs with it ignored."""
    outside = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, outside)


@pytest.mark.usefixtures("interruptible")
def test_the_first_signal_is_deferred_and_the_second_is_not() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signals() as signalled:
        assert not signalled()
        signal.raise_signal(signal.SIGINT)
        assert signalled()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_stops_between_batches(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edgespeech")
    step = Trainer.step

    def step_and_signal(*arguments: Any) -> torch.Tensor:
        signal.raise_signal(signal.SIGTERM)
        return step(*arguments)

    monkeypatch.setattr(Trainer, "step", step_and_signal)
    outcome = train(configuration(), folder)
    assert not outcome.finished and outcome.position.step == 1
    assert "continue with --resume" in caplog.messages[-1]
    assert load_plain(folder / "out" / "last.pt")["position"]["step"] == 1
