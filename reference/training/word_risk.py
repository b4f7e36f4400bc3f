"""Trains on the words that the search writes, instead of on the labels: the expected word errors of its hypotheses.

Minimum word error rate training (Prabhavalkar et al. 2018, arXiv 1712.01818; for CTC: Graves and Jaitly 2014): the
search with its language model finds the best texts of a clip, the model's probabilities weigh them, and the loss is the
mean number of words that are wrong in them. Only differences count that change which text is found.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from edgespeech.errors import ConfigError
from edgespeech.reference.language_model.label_scores import label_scores, recorded_settings
from edgespeech.reference.model.labels import BLANK, Labels
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.bundle_decoder import bundle_decoder
from edgespeech.runtime.decoder.hypothesis import Hypothesis
from edgespeech.runtime.measure.word_errors import word_edit_distance
from edgespeech.runtime.options import RecognizerOptions

BEAM_WIDTH = 64


class WordRisk:
    """The expected word errors of a model under the search of a bundle.

    Args:
        path: Bundle with a language model; its weights and label scores are used, its acoustic model is not.
        labels: Labels of the model.
        hypotheses: Number of texts that are weighed for each clip.

    Raises:
        ConfigError: The bundle has other labels.
        EdgespeechError: The bundle is invalid.
    """

    def __init__(self, path: Path, labels: Labels, hypotheses: int) -> None:
        bundle = load_bundle(path)
        if tuple(bundle.manifest.labels) != labels.symbols or bundle.manifest.blank != BLANK:
            raise ConfigError(f"the bundle {path} has other labels than the recipe; name one with the same in search")
        self._decoder = bundle_decoder(bundle, RecognizerOptions(beam_width=BEAM_WIDTH))
        settings = recorded_settings(bundle.manifest.provenance)
        self._shift = torch.from_numpy(label_scores(labels, **settings, lm=bundle.language_model_path))
        self._hypotheses = hypotheses

    def loss(self, log_probs: Tensor, frames: Tensor, texts: tuple[str, ...]) -> Tensor:
        """Compute the expected word errors per word of the references.

        Args:
            log_probs: float32 [batch, frames, labels], natural logarithm.
            frames: int64 [batch], valid frames of each clip.
            texts: References.
        """
        shifted = functional.log_softmax(log_probs + self._shift.to(log_probs.device), dim=-1)
        words = sum(len(text.split()) for text in texts)
        found, clips, errors = self._search(shifted.detach().cpu(), frames, texts)
        if not found:
            return shifted.sum() * 0.0
        device = log_probs.device
        acoustic = -functional.ctc_loss(
            shifted.transpose(0, 1)[:, clips],
            torch.tensor([label for one in found for label in one.labels], device=device),
            frames[clips],
            torch.tensor([len(one.labels) for one in found]),
            reduction="none",
            zero_infinity=True,
        )
        scores = acoustic + torch.tensor([one.score - one.acoustic_score for one in found], device=device)
        sizes = list(Counter(clips).values())
        of_clips = zip(torch.split(scores, sizes), torch.split(torch.tensor(errors, device=device), sizes), strict=True)
        expected = torch.stack([(one.softmax(0) * wrong).sum() for one, wrong in of_clips])
        return expected.sum() / max(1, words)

    def _search(
        self, log_probs: Tensor, frames: Tensor, texts: tuple[str, ...]
    ) -> tuple[list[Hypothesis], list[int], list[float]]:
        """Return hypotheses, the clip of each and its word errors, of the clips whose hypotheses differ in them."""
        found: list[Hypothesis] = []
        clips: list[int] = []
        errors: list[float] = []
        for clip, (one, length, text) in enumerate(zip(log_probs, frames.tolist(), texts, strict=True)):
            best = self._decoder.decode(np.asarray(one[:length]), self._hypotheses)
            wrong = [float(word_edit_distance(text, each.text)) for each in best]
            if len(set(wrong)) > 1:
                found += best
                clips += [clip] * len(best)
                errors += wrong
        return found, clips, errors
