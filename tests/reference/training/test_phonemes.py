"""The phoneme head learns, resumes, is optimised like the output layer, and is not saved in checkpoints."""

from __future__ import annotations

import itertools
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from edgespeech.errors import CheckpointError, ConfigError
from edgespeech.reference.data.pronunciation import Pronunciations
from edgespeech.reference.model.checkpoint import load_checkpoint, load_plain
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.training.config import OptimisationConfig, TrainingConfig, read_training_config
from edgespeech.reference.training.phonemes import WithPhonemes
from edgespeech.reference.training.train import train
from edgespeech.reference.training.trainer import Trainer, build_optimisers
from tests.reference.tones import TEXTS, configuration, write_tones
from tests.reference.training.test_train import SCRIPT
from tests.tiny_models import PADDED_SHAPES

SOUNDS = {"a": "l oU", "b": "m i", "c": "h aI"}
PHONEMES = {"l", "oU", "m", "i", "h", "aI"}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write recordings of tones, and pronunciations of their words: two phonemes for every letter."""
    write_tones(tmp_path)
    words = ["".join(letters) for length in (1, 2, 3) for letters in itertools.product("abc", repeat=length)]
    lines = (f"{word}\t{' '.join(SOUNDS[letter] for letter in word)}\n" for word in words)
    (tmp_path / "sounds.tsv").write_text("".join(lines), encoding="utf-8")
    return tmp_path


def with_phonemes(weight: float = 0.5, **changes: Any) -> TrainingConfig:
    config = configuration(phoneme_layer=1, **changes)
    return msgspec.structs.replace(
        config,
        data=msgspec.structs.replace(config.data, pronunciations="sounds.tsv"),
        optimisation=msgspec.structs.replace(config.optimisation, phoneme_weight=weight),
    )


def wrapped(model: DeepSpeech2, folder: Path, layer: int = 1) -> WithPhonemes:
    return WithPhonemes(model, Pronunciations.read(folder / "sounds.tsv"), layer)


def test_the_head_does_not_change_the_outputs_of_the_model(tiny_model_factory: Any, folder: Path) -> None:
    model = tiny_model_factory().eval()
    network = wrapped(model, folder).eval()
    samples, lengths = torch.randn(2, 8000) * 0.1, torch.tensor([8000, 5000])
    with torch.no_grad():
        expected, frames = model(samples, lengths)
        log_probs, same, sounds = network(samples, lengths)
    assert torch.equal(expected, log_probs) and torch.equal(frames, same)
    assert sounds.shape == (2, expected.shape[1] + model.delay_frames, 1 + len(PHONEMES))
    assert torch.allclose(sounds.exp().sum(2), torch.ones(sounds.shape[:2]))
    assert not model.recurrents[0]._forward_hooks


def test_models_with_zeros_at_their_edges_have_a_head_too(tiny_model_factory: Any, folder: Path) -> None:
    network = wrapped(tiny_model_factory(**PADDED_SHAPES["gru-2d-reflect"]), folder)
    samples, lengths = torch.randn(2, 16000) * 0.1, torch.tensor([16000, 12000])
    _, frames, sounds = network(samples, lengths)
    assert sounds.shape[1] == int(frames.max()) + network.model.config.lookahead_frames
    loss = network.loss(sounds, frames, ("ab", "c"))
    loss.backward()  # type: ignore[no-untyped-call]
    assert 0.0 < float(loss.detach()) < 1e3


def test_clips_without_pronunciation_or_enough_frames_count_as_zero(tiny_model_factory: Any, folder: Path) -> None:
    network = wrapped(tiny_model_factory(), folder)
    frames = torch.tensor([10, 10, 2])
    total = 10 + network.model.delay_frames
    logits = torch.randn(3, total, len(network.pronunciations.symbols), requires_grad=True)
    loss = network.loss(logits.log_softmax(2), frames, ("ab", "ab unknown", "abc abc abc abc"))
    alone = network.loss(logits[:1].log_softmax(2), frames[:1], ("ab",))
    assert float(loss.detach()) == pytest.approx(float(alone.detach()) * 4 / (4 + 24))
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert bool(logits.grad[0].any()) and not bool(logits.grad[1:].any())
    none = network.loss(logits.log_softmax(2), frames, ("unknown",) * 3)
    none.backward()  # type: ignore[no-untyped-call]
    assert float(none.detach()) == 0.0


def test_the_optimisers_treat_the_head_like_the_output_layer(tiny_model_factory: Any, folder: Path) -> None:
    network = wrapped(tiny_model_factory(), folder)
    for kind in ("adamw", "muon"):
        optimisation = OptimisationConfig(optimiser=kind, weight_decay=0.1)
        adamw, *others = build_optimisers(network.model, optimisation, network.head)
        decayed, plain = ({id(p) for p in group["params"]} for group in adamw.param_groups)
        assert id(network.head.linear.weight) in decayed and id(network.head.linear.bias) in plain
        taken = [id(p) for one in (adamw, *others) for group in one.param_groups for p in group["params"]]
        assert sorted(taken) == sorted(map(id, network.parameters()))


def test_letters_and_phonemes_are_learnt_and_the_checkpoint_has_no_head(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edgespeech")
    losses: list[float] = []
    loss = WithPhonemes.loss

    def kept(*arguments: Any) -> Any:
        losses.append(float((value := loss(*arguments)).detach()))
        return value

    monkeypatch.setattr(WithPhonemes, "loss", kept)
    outcome = train(with_phonemes(epochs=12), folder)
    assert f"{len(PHONEMES)} phonemes; {len(TEXTS)} of {len(TEXTS)} clips have pronunciations" in caplog.messages
    steps = outcome.position.step // 12
    assert sum(losses[-steps:]) < 0.5 * sum(losses[:steps])
    model, _ = load_checkpoint(outcome.best)
    assert set(model.state_dict()) == set(load_plain(outcome.best)["weights"])


def test_a_step_returns_the_loss_of_the_letters(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    returned: list[float] = []
    step = Trainer.step

    def kept(*arguments: Any) -> torch.Tensor:
        loss = step(*arguments)
        returned.append(float(loss))
        return loss

    monkeypatch.setattr(Trainer, "step", kept)
    for config in (with_phonemes(epochs=1), configuration(epochs=1)):
        train(config, folder, minutes=0.0)
    assert returned[0] == pytest.approx(returned[1], rel=0.2)  # the head changes the random masks


def test_a_resumed_run_equals_an_uninterrupted_one(folder: Path) -> None:
    def state(config: TrainingConfig) -> dict[str, torch.Tensor]:
        saved = load_plain(folder / config.output / "last.pt")
        parts = {"model": saved["model"], "average": saved["average"], "head": saved["phonemes"]["head"]}
        return {f"{part} {name}": value for part, values in parts.items() for name, value in values.items()}

    config = with_phonemes(epochs=2)
    train(config, folder)
    broken = msgspec.structs.replace(config, output="broken")
    assert not train(broken, folder, minutes=0.0).finished
    while not train(broken, folder, resume=True, minutes=0.0).finished:
        pass
    expected, found = state(config), state(broken)
    assert any(name.startswith("head linear") for name in expected) and expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name


@pytest.mark.slow
def test_two_workers_train_together_when_a_batch_has_no_pronunciation(folder: Path) -> None:
    table = folder / "sounds.tsv"
    lines = table.read_text(encoding="utf-8").splitlines()
    others = (line if line.startswith("abc\t") else f"un{line}" for line in lines)
    table.write_text("\n".join(others), encoding="utf-8")
    (folder / "config.json").write_bytes(msgspec.json.encode(with_phonemes(epochs=2)))
    (folder / "run.py").write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(folder / "run.py"), str(folder)], env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert load_plain(folder / "out" / "last.pt")["phonemes"]["head"]["linear.weight"].isfinite().all()


def test_a_state_with_other_phonemes_or_none_is_rejected(folder: Path) -> None:
    def rejected(config: TrainingConfig, words: str) -> None:
        with pytest.raises(CheckpointError, match=words) as caught:
            train(config, folder, resume=True)
        assert "last.pt" in str(caught.value)

    config, plain = with_phonemes(epochs=1), configuration(epochs=1)
    train(plain, folder)
    rejected(config, "trained without phonemes, the configuration is with")
    train(config, folder)
    rejected(plain, "trained with phonemes, the configuration is without")
    table = folder / "sounds.tsv"
    table.write_text(table.read_text(encoding="utf-8").replace("aI", "eI"), encoding="utf-8")
    rejected(config, "other phonemes")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[optimisation]\nphoneme_weight = 0.3", "needs pronunciations"),
        ("pronunciations = 'p.tsv'", "need a phoneme_weight"),
        ("pronunciations = 'p.tsv'\n[optimisation]\nphoneme_weight = 0.3\nphoneme_layer = 5", "phoneme_layer 5"),
        ("pronunciations = 'p.tsv'\n[optimisation]\nphoneme_weight = 1.3", "phoneme_weight"),
    ],
)
def test_clashing_keys_are_named(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text('output = "out"\n[data]\ntrain = ["t"]\ndev = ["d"]\n' + text, encoding="utf-8")
    with pytest.raises(ConfigError, match=named):
        read_training_config(path)


def test_a_missing_table_is_reported_before_training(folder: Path) -> None:
    (folder / "sounds.tsv").unlink()
    with pytest.raises(ConfigError, match=r"sounds\.tsv"):
        train(with_phonemes(), folder)
    assert not (folder / "out").exists()
