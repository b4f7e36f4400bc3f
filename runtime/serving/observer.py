"""What a service reports about itself, for metrics."""

from __future__ import annotations

from edgespeech.runtime.transcript import Event


class Observer:
    """Takes the reports of a service on the thread of its event loop; does nothing unless a subclass does."""

    def opened(self, streams: int) -> None:
        """Take the number of open streams after one was opened or closed."""

    def refused(self, reason: str) -> None:
        """Take the reason, ``streams``, ``queue`` or ``stopping``, why a stream was refused."""

    def computed(self, batch: int, seconds: float) -> None:
        """Take the number of streams in a step of the model, and the time of the step with their searches."""

    def replied(self, event: Event, seconds: float) -> None:
        """Take an event and the time since the audio that caused it arrived."""

    def processed(self, seconds: float) -> None:
        """Take the length of audio that has been processed."""
