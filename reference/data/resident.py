"""Decoded recordings in the memory of a device, and batches gathered from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgespeech.errors import AudioError
from edgespeech.reference.data.clips import Clip
from edgespeech.runtime import audio

FULL_SCALE = 32767.0
Source = TypeVar("Source")


def decode(path: Path, sample_rate: int) -> NDArray[np.int16]:
    """Read a whole file as int16 [samples]; an unreadable file is an AudioError."""
    return np.round(audio.read(path, sample_rate) * FULL_SCALE).astype(np.int16)


def decode_clip(clip: Clip, sample_rate: int) -> NDArray[np.int16]:
    """Read a clip as int16 [samples]; an unreadable file is an AudioError."""
    start = round(clip.offset * sample_rate)
    return decode(clip.path, sample_rate)[start : start + round(clip.seconds * sample_rate)]


def decode_all(decode_one: Callable[[Source], NDArray[np.int16]], sources: Iterable[Source]) -> list[NDArray[np.int16]]:
    """Decode the sources in threads, in their order; decoding releases Python's global lock."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(decode_one, sources))


class ResidentRecordings:
    """Recordings as int16 on a device, 115 MB for an hour at 16 kHz; ``lengths`` [recordings] in samples."""

    def __init__(self, pieces: Sequence[NDArray[np.int16]], device: torch.device) -> None:
        self.lengths = np.array([len(piece) for piece in pieces], np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        self._samples = torch.from_numpy(np.concatenate(pieces)).to(device)

    @classmethod
    def read(cls, paths: Sequence[Path], sample_rate: int, device: torch.device) -> ResidentRecordings:
        """Decode whole files, without empty ones; if one cannot be read or all are empty, it is an AudioError."""
        pieces = [piece for piece in decode_all(lambda path: decode(path, sample_rate), paths) if len(piece)]
        if not pieces:
            raise AudioError(f"{paths[0].parent}: all audio files there are empty; give others")
        return cls(pieces, device)

    @classmethod
    def of_clips(cls, clips: Sequence[Clip], sample_rate: int, device: torch.device) -> ResidentRecordings:
        """Decode clips; an unreadable file is an AudioError."""
        return cls(decode_all(lambda clip: decode_clip(clip, sample_rate), clips), device)

    def __len__(self) -> int:
        return len(self.lengths)

    def rows(self, which: NDArray[np.int64], width: int) -> Tensor:
        """Return the first ``width`` samples of some recordings, float32 [some, width], padded with zeros."""
        position, starts, lengths = self._positions(which, width)
        index = (starts + position).clamp(max=len(self._samples) - 1)
        return self._scaled(index) * (position < lengths)

    def repeated(self, which: NDArray[np.int64], begin: NDArray[np.int64], width: int) -> Tensor:
        """Return pieces of some recordings from a sample on, float32 [some, width], repeating those that end."""
        position, starts, lengths = self._positions(which, width)
        offset = torch.as_tensor(begin, device=starts.device)[:, None]
        return self._scaled(starts + (offset + position) % lengths)

    def _positions(self, which: NDArray[np.int64], width: int) -> tuple[Tensor, Tensor, Tensor]:
        device = self._samples.device
        starts = torch.as_tensor(self._starts[which], device=device)[:, None]
        lengths = torch.as_tensor(self.lengths[which], device=device)[:, None]
        return torch.arange(width, device=device), starts, lengths

    def _scaled(self, index: Tensor) -> Tensor:
        return self._samples[index].float() / FULL_SCALE
