"""A fake sounddevice module, whose devices and audio a test controls."""

# ruff: noqa: D102  (the stand-ins do what the real things do)

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np


class PortAudioError(Exception):
    """Stands for the error that sounddevice raises."""


class FakePortAudio:
    """The part of sounddevice that is used; ``opens(index, rate, channels)`` decides how the devices open."""

    PortAudioError = PortAudioError

    def __init__(self, opens: Callable[[int, int, int], bool] = lambda index, rate, channels: True) -> None:
        self.opens = opens
        self.streams: list[FakeStream] = []
        self.calls: list[str] = []
        self.first_samples: list[float] = []  # given by every stream as soon as it starts
        self.default = SimpleNamespace(device=(1, 0))
        self.devices = [
            self.device("Speakers", 0, 48000.0),
            self.device("Built-in Audio", 2, 44100.0),
            self.device("USB Mic", 1, 48000.0),
            self.device("USB Mic\nPro", 32, 96000.0),
        ]

    @staticmethod
    def device(name: str, channels: int, rate: float) -> dict[str, Any]:
        return {"name": name, "hostapi": 0, "max_input_channels": channels, "default_samplerate": rate}

    def query_devices(self) -> list[dict[str, Any]]:
        return self.devices

    def query_hostapis(self) -> tuple[dict[str, Any], ...]:
        return ({"name": "ALSA"},)

    def _terminate(self) -> None:
        self.calls.append("terminate")

    def _initialize(self) -> None:
        self.calls.append("initialize")

    def check_input_settings(self, device: int, channels: int, dtype: str, *, samplerate: int) -> None:
        if not self.opens(device, samplerate, channels):
            raise PortAudioError("Invalid sample rate [PaErrorCode -9997]")

    def InputStream(self, **settings: Any) -> FakeStream:  # noqa: N802
        self.check_input_settings(settings["device"], settings["channels"], "", samplerate=settings["samplerate"])
        self.streams.append(FakeStream(settings, self.first_samples))
        return self.streams[-1]


class FakeStream:
    """A stream to which a test gives samples."""

    latency = 0.06

    def __init__(self, settings: dict[str, Any], first_samples: list[float]) -> None:
        self.settings, self.first_samples = settings, first_samples
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")
        if self.first_samples:
            self.give(self.first_samples)

    def abort(self) -> None:
        self.calls.append("abort")

    def close(self) -> None:
        self.calls.append("close")

    def give(self, samples: Any, overflow: bool = False) -> None:
        frames = np.asarray(samples, np.float32).reshape(-1, self.settings["channels"])
        self.settings["callback"](frames, len(frames), None, SimpleNamespace(input_overflow=overflow))

    def unplug(self) -> None:
        self.settings["finished_callback"]()
