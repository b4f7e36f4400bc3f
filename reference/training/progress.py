"""What training shows: a bar with loss, dev WER and time left; plain lines where there is no terminal."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from torch import Tensor

from edgespeech.reference.training.greedy import ErrorRates

LINE_EVERY_SECONDS = 60.0


class Progress:
    """A bar on standard error over all batches of all epochs."""

    def __init__(self, epochs: int, batches: int, enabled: bool) -> None:
        """Take the size of the run; only one worker shows anything."""
        self.epochs = epochs
        self.batches = batches
        self._done_before = 0
        self.enabled = enabled
        self.console = Console(stderr=True, quiet=not enabled)
        self.loss: Tensor | None = None
        self.wer = ""
        self._line_due = time.monotonic() + LINE_EVERY_SECONDS
        self._bar = RichProgress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}  lr {task.fields[rate]}  {task.fields[wer]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not (enabled and self.console.is_terminal),
        )
        self._task = self._bar.add_task(
            "train", total=epochs * batches, epoch=1, epochs=epochs, loss="-", rate="-", wer=""
        )

    def __enter__(self) -> Progress:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        self._bar.stop()

    def begin_epoch(self, epoch: int, batches: int) -> None:
        """Take the number of batches of this epoch, which differs a little from epoch to epoch."""
        self._done_before = epoch * self.batches if epoch else 0
        self.batches = batches
        self._bar.update(self._task, total=self._done_before + (self.epochs - epoch) * batches)

    def update(self, epoch: int, batch: int, loss: Tensor, rate: float) -> None:
        """After every batch; the loss shown is smoothed, and fetched from a GPU only then: that waits for it."""
        self.loss = loss if self.loss is None else self.loss.lerp(loss, 0.03)
        done = self._done_before + batch
        line_due = not self.console.is_terminal and time.monotonic() > self._line_due
        if not (self.enabled and (line_due or self.console.is_terminal)):
            return
        shown = f"{float(self.loss):.3f}"
        self._bar.update(self._task, completed=done, epoch=epoch + 1, loss=shown, rate=f"{rate:.1e}", wer=self.wer)
        if line_due:
            self._line_due = time.monotonic() + LINE_EVERY_SECONDS
            self.console.print(f"epoch {epoch + 1} batch {batch}/{self.batches} loss {shown} lr {rate:.1e}")

    def epoch_done(self, epoch: int, rates: ErrorRates) -> None:
        """After every look at dev."""
        self.wer = f"dev WER {rates.wer:.1%}"
        self.console.print(f"epoch {epoch}/{self.epochs}: {self.wer}, CER {rates.cer:.1%}, loss {rates.loss:.3f}")
        self.console.print(f"  said:  {rates.example[0][:100]}\n  heard: {rates.example[1][:100]}", markup=False)
