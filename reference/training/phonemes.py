"""A second CTC output for training only: phonemes, predicted from a low recurrent layer; checkpoints do not have it.

English spelling is irregular, so with little data a low layer learns phonemes much sooner than letters (hierarchical
multitask CTC: Sanabria and Metze 2018, arXiv 1807.07104; Krishna, Toshniwal and Livescu 2018, arXiv 1807.06234).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgespeech.reference.data.pronunciation import Pronunciations
from edgespeech.reference.model.deep_speech2 import DeepSpeech2, Output, frame_mask


class WithPhonemes(nn.Module):
    """A model and its phoneme head on recurrent layer ``layer`` (from 1), as one module for DistributedDataParallel."""

    def __init__(self, model: DeepSpeech2, pronunciations: Pronunciations, layer: int) -> None:
        super().__init__()
        self.model = model
        self.pronunciations = pronunciations
        self.layer = layer
        self.head = Output(model.config.hidden, len(pronunciations.symbols), batch_norm=True)

    def forward(
        self, samples: Tensor, lengths: Tensor, augment: nn.Module | None = None, dropped: float = 0.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the outputs of the model and phoneme log-probabilities, float32 [batch, frames + delay, symbols].

        They include the delay frames, because a causal layer may emit a phoneme some time after it was spoken.
        """
        outputs: list[Tensor] = []
        hook = self.model.recurrents[self.layer - 1].register_forward_hook(lambda *call: outputs.append(call[-1]))
        try:
            log_probs, frames = self.model(samples, lengths, augment, dropped)
        finally:
            hook.remove()
        (hidden,) = outputs
        valid = frame_mask(frames + self.model.recurrent_extra_frames, hidden.shape[1], hidden.device)
        return log_probs, frames, self.head(hidden, valid)

    def loss(self, log_probs: Tensor, frames: Tensor, texts: tuple[str, ...]) -> Tensor:
        """Compute CTC negative log-likelihood in nats per phoneme of [batch, frames + delay, symbols].

        ``frames`` int64 [batch] are the valid frames without the delay. Clips with a word that has no pronunciation, or
        with more phonemes than frames, count as zero.
        """
        targets = [self.pronunciations.encode(text) or [] for text in texts]
        lengths = torch.tensor([len(one) for one in targets])
        losses = functional.ctc_loss(
            log_probs.transpose(0, 1),
            torch.tensor([symbol for one in targets for symbol in one], dtype=torch.int64, device=log_probs.device),
            frames + self.model.recurrent_extra_frames,
            lengths,
            reduction="none",
            zero_infinity=True,
        )
        # An empty target would train the head to emit blanks only.
        return (losses * (lengths > 0).to(losses.device)).sum() / lengths.sum().clamp(min=1)
