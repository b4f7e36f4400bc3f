"""Progress of training: a bar on a terminal, one log line a minute elsewhere, and the error rates after an epoch."""

from __future__ import annotations

import logging
import time
from types import TracebackType

from torch import Tensor

from edgespeech.reference.training.greedy import GreedyResult
from edgespeech.reference.training.workers import in_first_worker
from edgespeech.runtime.measure.progress import Progress

log = logging.getLogger(__name__)
log.addFilter(in_first_worker)

LINE_EVERY_SECONDS = 60.0
EXAMPLE_LENGTH = 100  # characters


class TrainingProgress:
    """A bar over all batches of all epochs, with loss, learning rate and the last word error rate on dev."""

    def __init__(self, epochs: int, batches: int, enabled: bool) -> None:
        self._epochs = epochs
        self._batches = batches
        self._enabled = enabled
        self._done_before = 0
        self._total = epochs * batches
        self._loss: Tensor | None = None
        self._wer = ""
        self._line_due = time.monotonic() + LINE_EVERY_SECONDS
        self._bar = Progress(f"epoch 1/{epochs}", self._total)

    def __enter__(self) -> TrainingProgress:
        if self._enabled:
            self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._enabled:
            self._bar.__exit__(kind, error, trace)

    def begin_epoch(self, epoch: int, batches: int) -> None:
        """Take the number of batches of this epoch, which differs a little from epoch to epoch."""
        self._done_before = epoch * self._batches if epoch else 0
        self._batches = batches
        self._total = self._done_before + (self._epochs - epoch) * batches

    def update(self, epoch: int, batch: int, loss: Tensor, rate: float) -> None:
        """Show a batch; the loss is smoothed, and only fetched from a GPU, which waits for it, when it is shown."""
        self._loss = loss if self._loss is None else self._loss.lerp(loss, 0.03)
        line_due = not self._bar.visible and time.monotonic() > self._line_due
        if not (self._enabled and (line_due or self._bar.visible)):
            return
        state = f"loss {float(self._loss):.3f} lr {rate:.1e}"
        if line_due:
            self._line_due = time.monotonic() + LINE_EVERY_SECONDS
            log.info("epoch %d batch %d/%d %s", epoch + 1, batch, self._batches, state)
        title = f"epoch {epoch + 1}/{self._epochs} {state} {self._wer}"
        self._bar.update(self._done_before + batch, self._total, title)

    def end_epoch(self, epoch: int, result: GreedyResult) -> None:
        """Log the error rates on dev and one example."""
        self._wer = f"dev WER {result.errors.wer:.1%}"
        reference, hypothesis = result.example
        log.info(
            "epoch %d/%d: %s, CER %.1f%%, loss %.3f",
            epoch, self._epochs, self._wer, 100.0 * result.errors.cer, result.loss,
        )  # fmt: skip
        log.info("  reference:  %s\n  hypothesis: %s", reference[:EXAMPLE_LENGTH], hypothesis[:EXAMPLE_LENGTH])
