"""What workers do with each item, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from edgespeech.errors import EdgespeechError
from edgespeech.runtime.options import RecognizerOptions

Item = TypeVar("Item", contravariant=True)


class Task(Protocol[Item]):
    """Work that is sent to workers as a pickle; each opens it once, and then calls the result for each of its items."""

    def open(self) -> Callable[[Item], str]:
        """Load what all items need, such as a model.

        Returns:
            A function of an item, whose result is text, such as a JSON object. An `EdgespeechError` that it raises
            concerns this item alone.

        Raises:
            EdgespeechError: No item can be processed, because a bundle or a setting is invalid.
        """
        ...


def for_workers(options: RecognizerOptions) -> RecognizerOptions:
    """Return options with absolute paths, for workers that run in other folders."""
    return options if options.lm is None else replace(options, lm=Path(options.lm).absolute())


@dataclass(frozen=True)
class Outcome:
    """The result for the item with this index; ``error`` is one line, and ``result`` empty, if there is none."""

    index: int
    result: str = ""
    error: str | None = None


def attempt(work: Callable[[Item], str], index: int, item: Item) -> Outcome:
    """Process an item; whatever goes wrong with it concerns no other one."""
    try:
        return Outcome(index, work(item))
    except EdgespeechError as error:
        return Outcome(index, error=str(error))
    except Exception as error:  # a library that fails on one file of thousands
        return Outcome(index, error=" ".join(f"{type(error).__name__}: {error}".split())[:300])
