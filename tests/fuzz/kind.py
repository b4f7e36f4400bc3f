"""A kind of input: how one is made by chance, and what is done with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from random import Random
from typing import Generic, TypeVar

Input = TypeVar("Input")


class Kind(ABC, Generic[Input]):
    """Makes inputs of one kind and gives them to the functions that the commands call.

    Args:
        folder: A folder of its own; it is empty at first.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def make(self, chance: Random) -> Input:
        """Make an input that depends on ``chance`` alone, so that it can be made again."""

    @abstractmethod
    def run(self, given: Input) -> None:
        """Use an input; an `EdgespeechError` is a refusal, and any other exception a finding."""
