"""A model of another project, mapped to ours, with what was inferred and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from edgespeech.errors import CheckpointError
from edgespeech.reference.model.config import ModelConfig
from edgespeech.reference.model.labels import Labels

GUIDE = "docs/guide/import.md"


class Fact(NamedTuple):
    """A line of the table that an import prints."""

    what: str
    value: str
    because: str


@dataclass(frozen=True)
class Original:
    """A model of another project in the terms of `DeepSpeech2`.

    Attributes:
        project: Where its code comes from.
        weights: Tensors by our names; the statistics of the features are 0 and 1 if ``per_utterance``.
        per_utterance: Whether it normalises every recording by the recording's own mean and deviation.
        facts: What came and what was inferred.
        doubts: What the file does not state and its tensors cannot tell.
        provenance: What a bundle keeps about it.
        alternatives: The same model by the releases that the doubts are about, for a comparison with its outputs.
    """

    project: str
    config: ModelConfig
    labels: Labels
    weights: dict[str, Tensor]
    per_utterance: bool
    facts: tuple[Fact, ...]
    doubts: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    alternatives: tuple[Original, ...] = ()


class Tensors:
    """The tensors of a file by name, which remember that they were taken, so that what is left over can be named."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = dict(tensors)
        self.taken: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def __len__(self) -> int:
        return len(self._tensors)

    def count(self, pattern: str) -> int:
        """Return how many layers there are: the numbers from 0 on for which ``pattern`` names a tensor."""
        number = 0
        while pattern.format(number) in self._tensors:
            number += 1
        return number

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor; a missing one is a CheckpointError."""
        return tuple(self._find(name).shape)

    def take(self, name: str, *shape: int) -> Tensor:
        """Return a tensor as float32, and check its shape where one is given.

        Raises:
            CheckpointError: It is missing, or of another shape.
        """
        found = self._find(name)
        if shape and tuple(found.shape) != shape:
            raise CheckpointError(f"{name} has the shape {list(found.shape)}, wanted {list(shape)}; see {GUIDE}")
        self.taken.add(name)
        return found.detach().float()

    def take_or_zeros(self, name: str, width: int) -> Tensor:
        """Return a vector as float32; zeros if the file has none, which a bias of zeros is the same as."""
        return self.take(name, width) if name in self else torch.zeros(width)

    def ignore(self, *names: str) -> None:
        """Mark tensors that are known to have no effect."""
        self.taken.update(name for name in names if name in self._tensors)

    def left(self) -> dict[str, tuple[int, ...]]:
        """Return the names and shapes of the tensors that were not taken, except copies of those that were."""
        ends = tuple(f".{name}" for name in self.taken)
        left = {name: one for name, one in self._tensors.items() if name not in self.taken and not name.endswith(ends)}
        return {name: tuple(one.shape) for name, one in left.items()}

    def left_text(self) -> str:
        """Name what was not taken, copies included."""
        left = [name for name in self._tensors if name not in self.taken]
        more = f" and {len(left) - 2} more" if len(left) > 2 else ""
        return f"{', '.join(left[:2])}{more}" if left else "nothing"

    def _find(self, name: str) -> Tensor:
        if name not in self._tensors:
            near = name.rpartition(".")[0]
            raise CheckpointError(f"{name} is missing ({self._near(near)}); choose a complete checkpoint, see {GUIDE}")
        return self._tensors[name]

    def _near(self, prefix: str) -> str:
        near = [name for name in self._tensors if name.startswith(prefix)]
        return f"beside it there is {near[0]}" if near else f"nothing begins with {prefix}"


def labels_text(labels: Labels) -> str:
    """Write the number of labels and the first of them, with a visible space."""
    shown = "".join(labels.symbols[1:]).replace(" ", "\u2423")
    return f"{len(labels)}: blank, {shown[:40]}{'...' if len(shown) > 40 else ''}"


def refuse_bidirectional(names: Iterable[str], marks: tuple[str, ...], advice: str) -> None:
    """Refuse a model with backward layers, whose tensors have one of ``marks`` in their names.

    Raises:
        CheckpointError: There is such a tensor.
    """
    reverse = [name for name in names if any(mark in name for mark in marks)]
    if reverse:
        raise CheckpointError(
            f"the model is bidirectional ({len(reverse)} tensors such as {reverse[0]}): its backward layers begin at "
            f"the end of the utterance, so it cannot stream; {advice}"
        )


def refuse_left(left: Mapping[str, tuple[int, ...]], widths: set[int], layers: tuple[str, ...]) -> None:
    """Refuse tensors that look like a part of the network which was not understood.

    Args:
        left: Names and shapes of the tensors that have no place.
        widths: Numbers of inputs and outputs of its layers.
        layers: Beginnings of the names of its layers.

    Raises:
        CheckpointError: A tensor belongs to one of the layers, or is a matrix that fits between them.
    """
    for name, shape in left.items():
        if name.startswith(layers) or (len(shape) >= 2 and widths & set(shape)):
            raise CheckpointError(
                f"there is an unknown part, {name} {list(shape)}: its shape does not tell what it computes and whether "
                f"that can stream; see {GUIDE}"
            )
