"""The best path and its word errors, computed by hand."""

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
from edgespeech.reference.training.greedy import best_path, evaluate_greedy

LABELS = Labels(CHARACTERS)


def spoken(text: str) -> Tensor:
    """Make log-probabilities whose best label is each character in turn; ``-`` is the blank."""
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


class FixedPaths(nn.Module):
    """A model that emits a given path for each length of recording, and noise in the padding."""

    def __init__(self, paths: dict[int, str]) -> None:
        super().__init__()
        self.config = ModelConfig()
        self.labels = LABELS
        self.paths = paths

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Emit the paths of a batch."""
        assert not self.training
        texts = [self.paths[length] for length in lengths.tolist()]
        longest = max(map(len, texts))
        return torch.stack([spoken(text.ljust(longest, "z")) for text in texts]), torch.tensor(list(map(len, texts)))


def test_word_errors_and_loss_by_hand(tmp_path: Path) -> None:
    clips = []
    for samples, text in ((8000, "the cat"), (9000, "a dog"), (10000, "yes")):
        path = tmp_path / f"{samples}.wav"
        soundfile.write(path, np.zeros(samples), 16000)
        clips.append(Clip(path, samples / 16000, text, tuple(LABELS.encode(text))))
    model: Any = FixedPaths({8000: "the - cat-", 9000: "-a- -cog-", 10000: "-----"})
    result = evaluate_greedy(cast(DeepSpeech2, model.train()), ClipDataset(clips, 16000), 60.0, torch.device("cpu"))
    assert result.errors.wer == pytest.approx(2 / 5)
    assert result.errors.cer == pytest.approx((1 + 3) / 15)
    assert result.example == ("the cat", "the cat")
    expected = sum(
        float(
            nn.functional.ctc_loss(
                spoken(model.paths[round(clip.seconds * 16000)])[:, None],
                torch.tensor([clip.targets]),
                torch.tensor([len(model.paths[round(clip.seconds * 16000)])]),
                torch.tensor([len(clip.targets)]),
                reduction="sum",
            )
        )
        for clip in clips
    )
    assert result.loss == pytest.approx(expected / 15, rel=1e-4)
