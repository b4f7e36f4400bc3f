"""What a file or folder was found to be, as a phrase for errors."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

PAGE = "docs/guide/checkpoints.md"


@dataclass(frozen=True)
class ModelFile:
    """What a file or folder is.

    Attributes:
        kind: ``checkpoint`` and ``training`` (a training state) for files of edgespeech, ``bundle`` for a folder of it,
            ``model`` for weights or graphs of another program, and ``other``.
        what: A phrase that can follow "is".
        weights: How the weights are read in Python; empty if that is unknown or impossible.
        reader: What `edgespeech import` reads it with; empty if it cannot be imported.
    """

    kind: Literal["checkpoint", "training", "bundle", "model", "other"]
    what: str
    weights: str = ""
    reader: Literal["", "torch", "paddle"] = ""

    @property
    def source(self) -> str:
        """What a checkpoint can be made of."""
        return self.weights or "its weights, as tensors of torch"


def model(what: str, weights: str = "") -> ModelFile:
    """Return a model of another program."""
    return ModelFile("model", what, weights)


def importable(what: str, reader: Literal["torch", "paddle"]) -> ModelFile:
    """Return a model of another program that `edgespeech import` reads; ``identify`` adds the command."""
    return ModelFile("model", what, reader=reader)


def other(what: str) -> ModelFile:
    """Return what is neither a model nor a part of one, or cannot be read."""
    return ModelFile("other", what)


def count_tensors(names: Collection[str]) -> str:
    """Describe tensors by their number and the first of their names."""
    number = f"{len(names)} tensor{'' if len(names) == 1 else 's'}"
    return f"{number}, such as {next(iter(names))!r}" if names else number
