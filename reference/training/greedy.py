"""Greedy word errors of a torch model: the quick evaluation during training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from edgespeech.reference.data.batches import BatchMaker, BucketSampler, ClipDataset
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.model.labels import BLANK, Labels
from edgespeech.runtime.measure.word_errors import WordErrors, align_and_count


@dataclass(frozen=True)
class GreedyResult:
    """Word errors, CTC loss in nats per label, and the reference and hypothesis of one clip."""

    errors: WordErrors
    loss: float
    example: tuple[str, str]


def best_path(log_probs: Tensor, labels: Labels) -> str:
    """Return the text of the most probable alignment of [frames, labels]: repeats merged, blanks dropped."""
    path = torch.unique_consecutive(log_probs.argmax(-1)).tolist()
    return labels.decode(index for index in path if index != BLANK)


@torch.no_grad()
def evaluate_greedy(
    model: DeepSpeech2, dataset: ClipDataset, batch_seconds: float, device: torch.device
) -> GreedyResult:
    """Transcribe clips by the best path and count the errors; the model is put into evaluation mode."""
    model.eval()
    make = BatchMaker()
    references, hypotheses = [], []
    loss, labels = 0.0, 0
    for batch in BucketSampler([clip.seconds for clip in dataset.clips], batch_seconds).batches(0):
        items = make([dataset[0, index] for index in batch])
        log_probs, frames = model(items.samples.to(device), items.lengths)
        loss += float(
            torch.nn.functional.ctc_loss(
                log_probs.transpose(0, 1), items.targets.to(device), frames, items.target_lengths,
                reduction="sum", zero_infinity=True,
            )
        )  # fmt: skip
        labels += int(items.target_lengths.sum())
        for one, length, text in zip(log_probs.cpu(), frames.tolist(), items.texts, strict=True):
            references.append(text)
            hypotheses.append(" ".join(best_path(one[:length], model.labels).split()))
    errors = align_and_count(references, hypotheses)
    return GreedyResult(errors, loss / max(1, labels), (references[0], hypotheses[0]))
