"""The tagger as a file: weights, shape and the state of its training, without pickled code."""

from __future__ import annotations

import copy
import pickle
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgespeech.errors import CheckpointError
from edgespeech.reference.model.checkpoint import MISFITS, misfit, save_atomically
from edgespeech.reference.punctuation.model import Tagger, TaggerShape

FORMAT = "edgespeech-punctuation"
_ADVICE = "give the file that `edgespeech punctuation train` wrote"


@dataclass(frozen=True)
class TrainingState:
    """What a training continues from: weights, optimiser, CPU seconds, words seen and the mean loss."""

    shape: TaggerShape
    weights: dict[str, Tensor]
    optimizer: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    words_seen: int = 0
    loss: float = 0.0

    @classmethod
    def new(cls, seed: int) -> TrainingState:
        """Return the state before the first step."""
        torch.manual_seed(seed)
        model = Tagger()
        return cls(model.shape, model.state_dict())

    def compact(self) -> TrainingState:
        """Return the state with float16 weights and without the optimiser's, from which a training can go on too."""
        return replace(self, weights={name: one.half() for name, one in self.weights.items()}, optimizer={})

    def advanced(
        self, model: Tagger, optimizer: torch.optim.Optimizer, seconds: float, words: int, loss: float
    ) -> TrainingState:
        """Return the state after a step on this many words; tensors are shared with the model."""
        return replace(self, weights=model.state_dict(), optimizer=optimizer.state_dict(), seconds=seconds,
                       words_seen=self.words_seen + words, loss=loss)  # fmt: skip


def save_training(state: TrainingState, path: Path) -> None:
    """Write a training state atomically.

    Raises:
        UsageError: The file cannot be written.
    """
    save_atomically({"format": FORMAT, "version": 1, **asdict(copy.copy(state))}, path)


def load_training(path: Path) -> TrainingState:
    """Read a training state.

    Raises:
        CheckpointError: The file is missing, damaged, unsafe or something else.
    """
    if not path.is_file():
        raise CheckpointError(f"no tagger at {path}; {_ADVICE}")
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(f"{path} is not a tagger of edgespeech, or contains code; {_ADVICE}") from None
    except Exception as error:  # a damaged pickle can raise anything
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise CheckpointError(f"{path} is damaged or not a tagger ({reason}); {_ADVICE}") from None
    if not isinstance(value, dict) or not isinstance(value.get("format"), str) or value["format"] != FORMAT:
        raise CheckpointError(f"{path} is not a tagger of edgespeech; {_ADVICE}")
    try:
        shape = TaggerShape(**{**value["shape"], "dilations": tuple(value["shape"]["dilations"])})
        state = TrainingState(shape, value["weights"], value["optimizer"], float(value["seconds"]),
                              int(value["words_seen"]), float(value["loss"]))  # fmt: skip
        Tagger(shape).load_state_dict(state.weights)
    except MISFITS as error:
        raise misfit(path, error) from None
    return state


def tagger_of(state: TrainingState) -> Tagger:
    """Return the tagger in evaluation mode."""
    model = Tagger(state.shape)
    model.load_state_dict(state.weights)
    return model.eval()
