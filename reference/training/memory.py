"""Batches that do not fit into the memory are split, and clips that do not fit alone are left out: training goes on.

The paper's allocator falls back to the memory of the host for such utterances (Deep Speech 2, section 4.3); here the
gradients of the parts are added, which gives the update of the whole batch, except for the statistics of batch norm.
"""

from __future__ import annotations

import gc
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from edgespeech.errors import ConfigError
from edgespeech.reference.data.batches import Batch
from edgespeech.reference.training.workers import in_first_worker

log = logging.getLogger(__name__)
log.addFilter(in_first_worker)

# Of torch's allocator and of oneDNN, which does not give its reasons.
_CPU_MESSAGES = (
    "can't allocate memory",
    "not enough memory",
    "could not create a memory object",
    "could not create a primitive",
    "could not execute a primitive",
)


def is_full_memory(error: BaseException) -> bool:
    """Decide whether an error says that a GPU or this machine has no memory left."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(message in str(error) for message in _CPU_MESSAGES)


@dataclass
class Fitting:
    """What is known about the memory of a run.

    Attributes:
        limit: Samples, with padding, of the smallest batch that did not fit; as large ones are split at once.
        split: Number of batches that were split.
        left_out: Number of clips that did not fit alone.
    """

    limit: float = math.inf
    split: int = 0
    left_out: int = 0

    def run(self, batch: Batch, work: Callable[[Batch, float, bool], None], reset: Callable[[], None],
            retry: bool = True) -> None:  # fmt: skip
        """Compute the gradients of a batch, as a whole or in parts.

        Args:
            batch: The batch.
            work: Adds the gradients of a part, times a factor; it is also told whether the part is the last one.
            reset: Sets the gradients to zero.
            retry: Whether a batch that does not fit may be tried again in parts.

        Raises:
            ConfigError: Not even one clip of it fits.
        """
        parts = self._divide([batch])
        labels = int(batch.target_lengths.sum())
        self.split += len(parts) > 1
        while parts:
            reset()
            too_large = -1
            for index, part in enumerate(parts):
                try:
                    share = int(part.target_lengths.sum()) / max(1, labels)
                    work(part, share, index == len(parts) - 1)
                except (RuntimeError, MemoryError) as error:
                    if not retry or not is_full_memory(error):
                        raise
                    too_large = index
                    break
            if too_large < 0:
                return
            # Outside of the handler, whose traceback holds the tensors.
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self._learn(parts, too_large)
        raise ConfigError("the memory is full, and no clip of a batch fits alone; lower max_seconds in [data]")

    def _learn(self, parts: list[Batch], index: int) -> None:
        """Replace a part that did not fit by its halves, or remove it if it is a single clip."""
        part = parts[index]
        if len(part.texts) == 1:
            self.left_out += 1
            seconds = part.samples.shape[1]
            log.warning("a clip of %d samples does not fit into the memory and is left out: %r", seconds, part.texts[0])
            del parts[index]
            return
        longest = part.texts[int(part.lengths.argmax())]
        log.warning(
            "a batch of %d clips does not fit into the memory and is split; its longest clip: %r",
            len(part.texts),
            longest,
        )
        self.limit = min(self.limit, part.samples.numel())
        self.split += len(parts) == 1
        parts[index : index + 1] = halves(part)

    def _divide(self, parts: list[Batch]) -> list[Batch]:
        """Split parts until each is smaller than the limit, or a single clip."""
        done: list[Batch] = []
        for part in parts:
            if part.samples.numel() < self.limit or len(part.texts) == 1:
                done.append(part)
            else:
                done += self._divide(list(halves(part)))
        return done


def halves(batch: Batch) -> tuple[Batch, Batch]:
    """Split a batch of two clips or more, the shorter ones from the longer ones."""
    order = torch.argsort(batch.lengths, stable=True)
    middle = len(order) // 2
    return _some(batch, order[:middle]), _some(batch, order[middle:])


def _some(batch: Batch, which: torch.Tensor) -> Batch:
    ends = batch.target_lengths.cumsum(0)
    chosen = which.tolist()
    targets = [batch.targets[int(ends[one] - batch.target_lengths[one]) : int(ends[one])] for one in chosen]
    lengths = batch.lengths[which]
    return Batch(
        batch.samples[which.to(batch.samples.device), : int(lengths.max())],
        lengths,
        torch.cat(targets),
        batch.target_lengths[which],
        tuple(batch.texts[one] for one in chosen),
    )
