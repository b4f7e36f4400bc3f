"""Expected word errors: their value, their gradient, and a training with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from edgespeech.errors import ConfigError
from edgespeech.reference.data.config import DataConfig
from edgespeech.reference.language_model.label_scores import label_scores
from edgespeech.reference.model.checkpoint import load_checkpoint
from edgespeech.reference.model.labels import BLANK, CHARACTERS, Labels
from edgespeech.reference.training.config import OptimisationConfig, TrainingConfig
from edgespeech.reference.training.train import train
from edgespeech.reference.training.word_risk import BEAM_WIDTH, WordRisk
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.bundle_decoder import bundle_decoder
from edgespeech.runtime.measure.word_errors import word_edit_distance
from edgespeech.runtime.options import RecognizerOptions
from tests.reference.adaptation.voices import texts_of, write_start, write_voice
from tests.reference.tones import configuration

pytestmark = pytest.mark.usefixtures("one_thread")
DEFAULT = load_bundle().folder
TEXTS = ("the cat sat on the mat", "go home", "she has seen it")
FRAMES = torch.tensor([60, 24, 44])


@pytest.fixture(scope="module")
def labels() -> Labels:
    return Labels(CHARACTERS)


def uncertain(labels: Labels, certainty: float = 4.5) -> Tensor:
    """Make log-probabilities [clips, frames, labels] of the texts, a letter in every other frame, with much noise."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn((len(TEXTS), int(FRAMES.max()), len(labels.symbols)), generator=generator)
    for clip, text in enumerate(TEXTS):
        for place, label in enumerate(labels.encode(text)):
            logits[clip, 2 * place, label] += certainty
            logits[clip, 2 * place + 1, BLANK] += certainty
        logits[clip, 2 * len(text) :, BLANK] += certainty
    return logits.log_softmax(-1)


def expected_by_hand(log_probs: Tensor, hypotheses: int) -> tuple[float, int]:
    """Return the expected errors per word, one clip and one hypothesis after the other, and the number of texts."""
    bundle = load_bundle()
    decoder = bundle_decoder(bundle, RecognizerOptions(beam_width=BEAM_WIDTH))
    given = {name: bundle.manifest.provenance[name] for name in ("blank_score", "prior_power")}
    shift = torch.from_numpy(label_scores(Labels(CHARACTERS), **given, lm=bundle.language_model_path))
    assert shift[BLANK] == given["blank_score"] and shift[CHARACTERS.index("z")] > 0.5
    total, texts = 0.0, 0
    for one, frames, text in zip(log_probs, FRAMES.tolist(), TEXTS, strict=True):
        rows = (one[:frames] + shift).log_softmax(-1)
        scores, errors = [], []
        for found in decoder.decode(rows.numpy(), hypotheses):
            targets = torch.tensor([found.labels])
            loss = functional.ctc_loss(
                rows[:, None], targets, torch.tensor([frames]), torch.tensor([targets.shape[1]]), reduction="sum"
            )
            scores.append(-loss + found.score - found.acoustic_score)
            errors.append(word_edit_distance(text, found.text))
        texts += len(errors)
        total += float((torch.stack(scores).softmax(0) * torch.tensor(errors)).sum()) if len(set(errors)) > 1 else 0.0
    return total / sum(len(text.split()) for text in TEXTS), texts


@pytest.mark.parametrize("hypotheses", [2, 8])
def test_the_risk_is_the_mean_of_the_errors_by_the_probabilities_of_the_texts(labels: Labels, hypotheses: int) -> None:
    log_probs = uncertain(labels)
    found = float(WordRisk(DEFAULT, labels, hypotheses).loss(log_probs, FRAMES, TEXTS))
    expected, texts = expected_by_hand(log_probs, hypotheses)
    assert texts == 3 * hypotheses and 0.005 < expected < 1.0
    assert found == pytest.approx(expected, rel=1e-4)


def test_a_step_against_the_gradient_makes_fewer_word_errors(labels: Labels) -> None:
    risk = WordRisk(DEFAULT, labels, 8)
    log_probs = uncertain(labels)
    risks = []
    for _ in range(12):
        logits = log_probs.requires_grad_()
        loss = risk.loss(logits, FRAMES, TEXTS)
        loss.backward()  # type: ignore[no-untyped-call]
        risks.append(float(loss.detach()))
        assert logits.grad is not None
        log_probs = (logits.detach() - 20.0 * logits.grad).log_softmax(-1)
    assert risks[-1] < 0.5 * risks[0]


def test_clips_without_a_choice_have_no_gradient(labels: Labels) -> None:
    log_probs = uncertain(labels, 40.0).requires_grad_()
    loss = WordRisk(DEFAULT, labels, 4).loss(log_probs, FRAMES, ("zzz " * 40,) * 3)
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0.0 and log_probs.grad is not None and not log_probs.grad.any()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("risk")
    write_start(folder)
    write_voice(folder, "mine", texts_of(8))
    return folder


def tuning(output: str) -> TrainingConfig:
    config = configuration(epochs=2, learning_rate=0.01)
    return msgspec.structs.replace(
        config,
        data=msgspec.structs.replace(config.data, train=("mine.jsonl",), search=str(DEFAULT)),
        optimisation=msgspec.structs.replace(config.optimisation, risk_weight=0.5, risk_hypotheses=4),
        start="out/best.pt",
        output=output,
    )


def test_a_stopped_training_goes_on_as_if_it_was_not(folder: Path) -> None:
    whole = train(tuning("whole"), folder)
    assert not train(tuning("parts"), folder, minutes=0.0).finished
    found = train(tuning("parts"), folder, resume=True)
    plain = msgspec.structs.replace(
        tuning("plain"),
        data=msgspec.structs.replace(tuning("plain").data, search=None),
        optimisation=msgspec.structs.replace(tuning("plain").optimisation, risk_weight=0.0),
    )
    one, two, without = (load_checkpoint(out.best)[0].state_dict() for out in (whole, found, train(plain, folder)))
    for name, value in one.items():
        assert torch.equal(value, two[name]), name
    assert not torch.equal(one["output.linear.weight"], without["output.linear.weight"])


def test_a_bundle_with_other_labels_is_rejected(labels: Labels) -> None:
    with pytest.raises(ConfigError, match="other labels"):
        WordRisk(DEFAULT, Labels((*labels.symbols, "ä")), 4)


@pytest.mark.parametrize(("data", "optimisation"), [({"search": "bundle"}, {}), ({}, {"risk_weight": 0.5})])
def test_half_a_configuration_is_rejected(data: dict[str, Any], optimisation: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="belong together"):
        TrainingConfig(DataConfig((), (), **data), "out", optimisation=OptimisationConfig(**optimisation))
