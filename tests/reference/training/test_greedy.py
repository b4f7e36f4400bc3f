"""The best path and its error rates, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
import torch
from torch import Tensor, nn

from edgespeech.reference.data.batches import ClipDataset
from edgespeech.reference.data.clips import Clip
from edgespeech.reference.model.config import ModelConfig
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.model.labels import CHARACTERS, Labels
from edgespeech.reference.training.greedy import best_path, greedy_error_rates

LABELS = Labels(CHARACTERS)


def spoken(text: str) -> Tensor:
    """Log-probabilities whose best label is each character in turn; ``-`` is the blank."""
    scores = torch.full((len(text), len(LABELS)), -5.0)
    for frame, character in enumerate(text):
        scores[frame, LABELS.symbols.index("" if character == "-" else character)] = 0.0
    return scores.log_softmax(-1)


@pytest.mark.parametrize(
    ("path", "text"),
    [("", ""), ("---", ""), ("aab", "ab"), ("aa-ab", "aab"), ("-c-a-t-", "cat"), ("a  b", "a b"), ("a - b", "a  b")],
)
def test_best_path_merges_repeats_then_drops_blanks(path: str, text: str) -> None:
    assert best_path(spoken(path), LABELS) == text


class Parrot(nn.Module):
    """Says what it is told for recordings of each length, with rubbish behind the valid frames."""

    def __init__(self, sayings: dict[int, str]) -> None:
        """Take a path for each number of samples."""
        super().__init__()
        self.config = ModelConfig()
        self.labels = LABELS
        self.sayings = sayings

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Any batch."""
        assert not self.training
        texts = [self.sayings[length] for length in lengths.tolist()]
        longest = max(map(len, texts))
        return torch.stack([spoken(text.ljust(longest, "z")) for text in texts]), torch.tensor(list(map(len, texts)))


def test_error_rates_by_hand(tmp_path: Path) -> None:
    clips = []
    for samples, text in ((8000, "the cat"), (9000, "a dog"), (10000, "yes")):
        path = tmp_path / f"{samples}.wav"
        soundfile.write(path, np.zeros(samples), 16000)
        clips.append(Clip(path, samples / 16000, text, tuple(LABELS.encode(text))))
    model: Any = Parrot({8000: "the - cat-", 9000: "-a- -cog-", 10000: "-----"})
    rates = greedy_error_rates(cast(DeepSpeech2, model.train()), ClipDataset(clips, 16000), 60.0, torch.device("cpu"))
    assert rates.wer == pytest.approx(2 / 5)
    assert rates.cer == pytest.approx((1 + 3) / 15)
    assert rates.example == ("the cat", "the cat")
    expected = sum(
        float(
            nn.functional.ctc_loss(
                spoken(model.sayings[round(clip.seconds * 16000)])[:, None],
                torch.tensor([clip.targets]),
                torch.tensor([len(model.sayings[round(clip.seconds * 16000)])]),
                torch.tensor([len(clip.targets)]),
                reduction="sum",
            )
        )
        for clip in clips
    )
    assert rates.loss == pytest.approx(expected / 15, rel=1e-4)
