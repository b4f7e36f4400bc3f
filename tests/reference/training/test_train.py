"""Training learns, stops, resumes and keeps its best checkpoint, on tones that stand for letters."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import soundfile  # type: ignore[import-untyped]
import torch

from edgespeech.errors import AudioError, CheckpointError, ConfigError
from edgespeech.reference.model.checkpoint import load_checkpoint, load_plain, save_atomically
from edgespeech.reference.model.labels import CHARACTERS
from edgespeech.reference.training.config import TrainingConfig
from edgespeech.reference.training.train import main, train
from edgespeech.reference.training.workers import Workers
from tests.reference.tones import TEXTS, configuration, write_tones

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write ten recordings and their manifest."""
    write_tones(tmp_path)
    return tmp_path


def history(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "out" / "history.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_loss_falls_and_the_best_checkpoint_is_kept(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edgespeech")
    outcome = train(configuration(epochs=12), folder)
    lines = history(folder)
    assert [line["epoch"] for line in lines] == list(range(1, 13))
    assert lines[-1]["dev_loss"] < 0.5 * lines[0]["dev_loss"]
    assert lines[-1]["dev_wer"] < 0.7
    assert outcome.finished and outcome.position.epoch == 12
    assert outcome.wer == pytest.approx(min(line["dev_wer"] for line in lines), abs=1e-5)
    model, provenance = load_checkpoint(outcome.best)
    assert provenance["name"] == "tones" and provenance["licence"] == "CC0"
    assert provenance["dev_wer"] == pytest.approx(outcome.wer, abs=1e-5)
    # Normalised features of the training speech: mean 0, deviation 1.
    assert float(model.features.mean.std()) > 0.1
    assert "train: 1 clips dropped: text with a character that no label has" in caplog.messages
    assert any(line.startswith("epoch 12/12: dev WER") for line in caplog.messages)
    assert caplog.messages[-1].startswith("done: best greedy WER on dev")
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["best.pt", "history.jsonl", "last.pt"]


def test_features_are_normalised_over_the_training_speech(folder: Path) -> None:
    train(configuration(epochs=1), folder)
    model, _ = load_checkpoint(folder / "out" / "best.pt")
    features = []
    for index in range(len(TEXTS)):
        samples, _ = soundfile.read(folder / f"{index}.wav", dtype="float32")
        features.append(model.features(torch.from_numpy(samples)[None])[0])
    frames = torch.cat(features, dim=1)
    assert float(frames.mean().abs()) < 0.5
    assert 0.6 < float(frames.std()) < 1.5


def test_resident_speech_trains_the_same_weights(folder: Path) -> None:
    config = configuration(epochs=2)
    train(config, folder)
    expected = weights(folder)
    resident = msgspec.structs.replace(config, data=msgspec.structs.replace(config.data, resident=True))
    train(resident, folder)
    for name, value in weights(folder).items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize(("every", "epochs"), [(1, [1, 2, 3, 4]), (3, [3, 4]), (9, [4])])
def test_dev_is_evaluated_every_nth_epoch_and_at_the_end(folder: Path, every: int, epochs: list[int]) -> None:
    train(configuration(epochs=4, evaluate_every=every), folder)
    assert [line["epoch"] for line in history(folder)] == epochs


def weights(folder: Path) -> dict[str, Any]:
    state = load_plain(folder / "out" / "last.pt")
    return {**state["model"], **{f"average {name}": value for name, value in state["average"].items()}}


def test_a_resumed_run_equals_an_uninterrupted_one(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edgespeech")
    config = configuration(epochs=2)
    whole = train(config, folder)
    expected, lines = weights(folder), history(folder)
    for path in (folder / "out").iterdir():
        path.unlink()
    outcome = train(config, folder, minutes=0.0)
    assert not outcome.finished
    assert (outcome.position.epoch, outcome.position.batch, outcome.position.step) == (0, 1, 1)
    for _ in range(whole.position.step + len(lines)):
        if outcome.finished:
            break
        caplog.clear()
        step = outcome.position.step
        outcome = train(config, folder, resume=True, minutes=0.0)
        assert outcome.finished or outcome.position.step == step + 1
        assert any(line.startswith("resuming at") and line.endswith(f"step {step}") for line in caplog.messages)
    assert outcome.position.step == whole.position.step == lines[-1]["step"]
    assert whole.position.step > 4
    for name, value in weights(folder).items():
        assert torch.equal(value, expected[name]), name
    timeless = [[{**line, "minutes": 0} for line in one] for one in (lines, history(folder))]
    assert timeless[0] == timeless[1]


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_trains(folder: Path, cell: str, precision: str) -> None:
    config = configuration(epochs=4, precision=precision, cell=cell)
    assert train(config, folder).finished
    losses = [line["dev_loss"] for line in history(folder)]
    assert losses[-1] < losses[0]
    weights = load_checkpoint(folder / "out" / "best.pt")[0].state_dict()
    assert {value.dtype for value in weights.values()} == {torch.float32}


def test_resuming_a_finished_run_trains_no_further(folder: Path) -> None:
    config = configuration(epochs=1)
    first = train(config, folder)
    again = train(config, folder, resume=True)
    assert again.finished and again.position == first.position
    assert len(history(folder)) == 1


def test_resume_without_a_state_starts_from_scratch(folder: Path) -> None:
    assert train(configuration(epochs=1), folder, resume=True).finished


def test_bigram_labels_come_from_the_texts(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / "all.jsonl").read_text(encoding="utf-8").splitlines()] * 5
    (folder / "all.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    outcome = train(configuration(epochs=1, label_set="bigrams"), folder)
    model, _ = load_checkpoint(outcome.best)
    assert model.labels.symbols == (*CHARACTERS, "ab", "ac", "ba", "ca", "cb")


def test_an_invalid_state_is_rejected(folder: Path) -> None:
    config = configuration(epochs=1)
    train(config, folder)
    path = folder / "out" / "last.pt"
    good = load_plain(path)
    other = msgspec.structs.replace(config, model=msgspec.structs.replace(config.model, hidden=8))

    def rejected(config: TrainingConfig, word: str) -> None:
        with pytest.raises(CheckpointError, match=word) as caught:
            train(config, folder, resume=True)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)

    rejected(other, r"another \[model\]")
    for change, word in (
        ({"labels": ["", "a"]}, "other labels"),
        ({"format": "edgespeech-checkpoint"}, "wanted a training state"),
        ({"position": {"epoch": 1, "colour": 2}}, "do not fit"),
        ({"model": {}}, "do not fit"),
        ({"optimisers": [{}]}, "do not fit"),
        ({"config": {}}, "do not fit"),
    ):
        save_atomically({**good, **change}, path)
        rejected(config, word)
    path.write_bytes(b"garbage")
    rejected(config, "damaged")


def test_a_damaged_recording_is_named_in_one_line(folder: Path) -> None:
    (folder / "3.wav").write_bytes(b"RIFF garbage")
    with pytest.raises(AudioError, match="3.wav") as caught:
        train(configuration(epochs=1), folder)
    assert "\n" not in str(caught.value)


def test_an_error_under_torchrun_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.getLogger("edgespeech"), "handlers", [])
    monkeypatch.setattr(sys, "argv", ["train", str(tmp_path / "no.toml")])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("edgespeech: ") and "no.toml" in error and error.count("\n") == 1


def test_a_missing_noise_folder_is_reported_before_training(folder: Path) -> None:
    config = configuration()
    config = msgspec.structs.replace(config, data=msgspec.structs.replace(config.data, noise=("nowhere",)))
    with pytest.raises(ConfigError, match="nowhere has no audio files"):
        train(config, folder)
    assert not (folder / "out").exists()


def test_a_single_worker_needs_no_process_group() -> None:
    workers = Workers()
    assert (workers.any(True), workers.any(False), workers.max(2.5)) == (True, False, 2.5)
    assert str(workers).startswith("1 worker on ")


SCRIPT = """
import logging
import sys
from pathlib import Path
import msgspec
from edgespeech.reference.training.config import TrainingConfig
from edgespeech.reference.training.train import train
from edgespeech.reference.training.trainer import Trainer
from edgespeech.reference.training.workers import Workers
folder = Path(sys.argv[1])
config = msgspec.json.decode((folder / "config.json").read_bytes(), type=TrainingConfig)
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
outcome = train(config, folder)
(folder / f"rank{Workers().rank}.txt").write_text(repr((outcome.position.step, outcome.position.trained_seconds)))
"""


@pytest.mark.slow
def test_two_workers_train_together(folder: Path, in_two_workers: Callable[[Path, Path], str]) -> None:
    config = configuration(epochs=8, budget_minutes=1.0)
    (folder / "config.json").write_bytes(msgspec.json.encode(config))
    (folder / "run.py").write_text(SCRIPT, encoding="utf-8")
    printed = in_two_workers(folder / "run.py", folder)
    assert printed.count("2 workers on cpu") == 1  # only the first one logs
    ranks = [(folder / f"rank{rank}.txt").read_text(encoding="utf-8") for rank in (0, 1)]
    assert ranks[0] == ranks[1]  # the learning rate depends on both
    lines = history(folder)
    assert [line["epoch"] for line in lines] == list(range(1, 9))
    assert lines[-1]["dev_loss"] < lines[0]["dev_loss"]
    load_checkpoint(folder / "out" / "best.pt")


RECIPE = """
output = "out"
[data]
train = ["all.jsonl"]
dev = ["all.jsonl"]
batch_seconds = 2.0
workers = 0
[model]
cell = "gru"
hidden = 8
layers = 1
lookahead_frames = 1
[[model.convolutions]]
channels = 8
kernel = 5
stride = 4
[optimisation]
epochs = 1
precision = "float32"
"""


@pytest.mark.slow
@pytest.mark.parametrize("rank", ["0", "1"])
def test_only_the_first_worker_of_torchrun_writes_lines_to_standard_error(folder: Path, rank: str) -> None:
    (folder / "run.toml").write_text(RECIPE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "edgespeech.reference.training.train", str(folder / "run.toml")],
        env={**os.environ, "RANK": rank, "CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")
    lines = done.stderr.splitlines()
    if rank == "0":
        assert any("1 worker on cpu" in line for line in lines)
        assert any(line.startswith("epoch 1/1: dev WER") for line in lines)
        assert lines[-1].startswith("done: best greedy WER on dev")
    else:
        assert lines == []
