"""A second CTC output for training only: phonemes, read off a low recurrent layer; never saved in a checkpoint.

Hierarchical multitask CTC (Sanabria and Metze 2018, arXiv 1807.07104; Krishna, Toshniwal and Livescu 2018, arXiv
1807.06234): English is spelt irregularly, so with little data a low layer learns sounds much sooner than letters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgespeech.reference.data.pronunciation import Pronunciations
from edgespeech.reference.model.deep_speech2 import DeepSpeech2, Output, frame_mask


class WithPhonemes(nn.Module):
    """A model and its phoneme head as one module, as DistributedDataParallel wants them."""

    def __init__(self, model: DeepSpeech2, pronunciations: Pronunciations, layer: int) -> None:
        """Put a head with random weights on recurrent layer ``layer``, counted from 1."""
        super().__init__()
        self.model = model
        self.pronunciations = pronunciations
        self.layer = layer
        self.head = Output(model.config.hidden, len(pronunciations.symbols), batch_norm=True)

    def forward(
        self, samples: Tensor, lengths: Tensor, augment: nn.Module | None = None, dropped: float = 0.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As the model's, and log-probabilities of phonemes float32 [batch, frames + delay frames, symbols].

        They have the delay frames too: a causal layer may say a phoneme some time after it was heard.
        """
        heard: list[Tensor] = []
        hook = self.model.recurrents[self.layer - 1].register_forward_hook(lambda *call: heard.append(call[-1]))
        try:
            log_probs, frames = self.model(samples, lengths, augment, dropped)
        finally:
            hook.remove()
        (hidden,) = heard
        valid = frame_mask(frames + self.model.delay_frames, hidden.shape[1], hidden.device)
        return log_probs, frames, self.head(hidden, valid)

    def loss(self, log_probs: Tensor, frames: Tensor, texts: tuple[str, ...]) -> Tensor:
        """CTC negative log-likelihood in nats per phoneme.

        Clips that have a word without pronunciation, or more phonemes than frames, count zero.

        Args:
            log_probs: float32 [batch, frames + delay frames, symbols].
            frames: int64 [batch], valid frames of each clip without the delay.
            texts: What is said in each clip.
        """
        targets = [self.pronunciations.encode(text) or [] for text in texts]
        lengths = torch.tensor([len(one) for one in targets])
        losses = functional.ctc_loss(
            log_probs.transpose(0, 1),
            torch.tensor([symbol for one in targets for symbol in one], dtype=torch.int64, device=log_probs.device),
            frames + self.model.delay_frames,
            lengths,
            reduction="none",
            zero_infinity=True,
        )
        # Without a target the loss would ask for silence.
        return (losses * (lengths > 0).to(losses.device)).sum() / lengths.sum().clamp(min=1)
