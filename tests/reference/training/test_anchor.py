"""The pull to the model before: zero at the start, and less drift on its speech in training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from edgespeech.reference.data.batches import BatchMaker, ClipDataset
from edgespeech.reference.data.clips import usable_clips
from edgespeech.reference.data.config import DataConfig
from edgespeech.reference.model.checkpoint import load_checkpoint
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.training.anchor import Anchor
from edgespeech.reference.training.config import OptimisationConfig, TrainingConfig
from edgespeech.reference.training.train import train
from tests.reference.adaptation.voices import texts_of, write_start, write_voice
from tests.reference.tones import configuration

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model, an unusual voice, and other speech."""
    folder = tmp_path_factory.mktemp("anchor")
    write_start(folder)
    write_voice(folder, "mine", texts_of(12), unusual=True)
    write_voice(folder, "others", texts_of(6, seed=2))
    return folder


def speech_of(folder: Path, model: DeepSpeech2) -> ClipDataset:
    clips, _ = usable_clips([folder / "others.jsonl"], model.labels, model.config, DataConfig(train=(), dev=()))
    return ClipDataset(clips, 16000)


def tuning(weight: float) -> TrainingConfig:
    config = configuration(epochs=4, learning_rate=0.02)
    anchored = {"anchor": ("others.jsonl",) if weight else (), "train": ("mine.jsonl",), "anchor_seconds": 6.0}
    optimisation = {"frozen_statistics": True, "anchor_weight": weight}
    return msgspec.structs.replace(
        config,
        data=msgspec.structs.replace(config.data, **anchored),
        optimisation=msgspec.structs.replace(config.optimisation, **optimisation),
        start="out/best.pt",
        output=f"tuned{weight:g}",
    )


def test_the_divergence_is_that_of_the_frames_of_the_recordings(folder: Path) -> None:
    before, _ = load_checkpoint(folder / "out" / "best.pt")
    speech = speech_of(folder, before)
    anchor = Anchor(before, speech, 100.0)
    assert float(anchor.divergence(before, 1, CPU).detach()) == pytest.approx(0.0, abs=1e-6)
    after, _ = load_checkpoint(folder / "out" / "best.pt")
    with torch.no_grad():
        after.output.linear.bias.add_(torch.linspace(0.0, 2.0, len(after.output.linear.bias)))
    expected = []
    for index in range(len(speech)):
        batch = BatchMaker()([speech[0, index]])
        one, two = (
            (model(batch.samples, batch.lengths)[0][0].detach() / 2.0).log_softmax(-1) for model in (before, after)
        )
        expected.append(4.0 * torch.nn.functional.kl_div(two, one, reduction="none", log_target=True).sum(-1))
    found = float(anchor.divergence(after, 2, CPU).detach())
    assert found == pytest.approx(float(torch.cat(expected).mean()), rel=1e-4) and found > 1e-3


def test_every_batch_has_its_turn(folder: Path) -> None:
    before, _ = load_checkpoint(folder / "out" / "best.pt")
    anchor = Anchor(before, speech_of(folder, before), 2.0)
    with torch.no_grad():
        before.output.linear.bias[0] += 1.0
    turns = [[float(anchor.divergence(before, turn * 6 + step, CPU).detach()) for step in range(6)] for turn in (0, 1)]
    assert len(set(turns[0])) == 6 and sorted(turns[0]) == sorted(turns[1])
    assert turns[0] == [float(anchor.divergence(before, step, CPU).detach()) for step in range(6)]


def test_an_anchored_training_changes_the_outputs_on_other_speech_less(folder: Path) -> None:
    before, _ = load_checkpoint(folder / "out" / "best.pt")
    anchor = Anchor(before, speech_of(folder, before), 100.0)
    drift = []
    for weight in (0.0, 10.0):
        model, _ = load_checkpoint(train(tuning(weight), folder).best)
        drift.append(float(anchor.divergence(model, 0, CPU).detach()))
    assert 0.0 < drift[1] < 0.5 * drift[0]


def test_a_stopped_training_goes_on_as_if_it_was_not(folder: Path) -> None:
    whole = train(tuning(10.0), folder)
    parts = msgspec.structs.replace(tuning(10.0), output="parts")
    assert not train(parts, folder, minutes=0.0).finished
    found = train(parts, folder, resume=True)
    (one, two) = (load_checkpoint(outcome.best)[0].state_dict() for outcome in (whole, found))
    for name, value in one.items():
        assert torch.equal(value, two[name]), name


@pytest.mark.parametrize(
    ("data", "optimisation", "message"),
    [
        ({"anchor": ("a.jsonl",)}, {}, "belong together"),
        ({}, {"anchor_weight": 1.0}, "belong together"),
        ({"anchor": ("a.jsonl",)}, {"anchor_weight": 1.0}, "needs frozen_statistics"),
    ],
)
def test_half_a_configuration_is_rejected(data: dict[str, Any], optimisation: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingConfig(DataConfig((), (), **data), "out", optimisation=OptimisationConfig(**optimisation))
