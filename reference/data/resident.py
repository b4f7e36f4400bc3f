"""Many decoded recordings in one row of samples on a device, and rows of a batch gathered out of it."""

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
    """Samples of a whole file, 16 bits each.

    Raises:
        AudioError: It cannot be read.
    """
    return np.round(audio.read(path, sample_rate) * FULL_SCALE).astype(np.int16)


def decode_clip(clip: Clip, sample_rate: int) -> NDArray[np.int16]:
    """Samples of a clip, 16 bits each.

    Raises:
        AudioError: Its file cannot be read.
    """
    start = round(clip.offset * sample_rate)
    return decode(clip.path, sample_rate)[start : start + round(clip.seconds * sample_rate)]


def on_all_processors(
    decoded: Callable[[Source], NDArray[np.int16]], sources: Iterable[Source]
) -> list[NDArray[np.int16]]:
    """What ``decoded`` makes of each source, in their order; decoding leaves Python's lock alone."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(decoded, sources))


class ResidentRecordings:
    """Recordings as int16 on a device; ``lengths`` [recordings] in samples.

    Two bytes a sample: an hour at 16 kHz takes 115 MB.
    """

    def __init__(self, pieces: Sequence[NDArray[np.int16]], device: torch.device) -> None:
        """Take samples of one or more recordings."""
        self.lengths = np.array([len(piece) for piece in pieces], np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        self._samples = torch.from_numpy(np.concatenate(pieces)).to(device)

    @classmethod
    def read(cls, paths: Sequence[Path], sample_rate: int, device: torch.device) -> ResidentRecordings:
        """Decode whole files on all processors; those without a sample are left out.

        Raises:
            AudioError: One cannot be read, or none has samples.
        """
        pieces = [piece for piece in on_all_processors(lambda path: decode(path, sample_rate), paths) if len(piece)]
        if not pieces:
            raise AudioError(f"{paths[0].parent}: all audio files there are empty; give others")
        return cls(pieces, device)

    @classmethod
    def of_clips(cls, clips: Sequence[Clip], sample_rate: int, device: torch.device) -> ResidentRecordings:
        """Decode clips on all processors.

        Raises:
            AudioError: A file cannot be read.
        """
        return cls(on_all_processors(lambda clip: decode_clip(clip, sample_rate), clips), device)

    def __len__(self) -> int:
        """Number of recordings."""
        return len(self.lengths)

    def rows(self, which: NDArray[np.int64], width: int) -> Tensor:
        """The beginnings of some recordings, float32 [some, width], zeros behind those that are shorter."""
        position, starts, lengths = self._places(which, width)
        index = (starts + position).clamp(max=len(self._samples) - 1)
        return self._scaled(index) * (position < lengths)

    def endless(self, which: NDArray[np.int64], begin: NDArray[np.int64], width: int) -> Tensor:
        """Pieces of some recordings from a sample on, float32 [some, width]; begun again where one ends."""
        position, starts, lengths = self._places(which, width)
        offset = torch.as_tensor(begin, device=starts.device)[:, None]
        return self._scaled(starts + (offset + position) % lengths)

    def _places(self, which: NDArray[np.int64], width: int) -> tuple[Tensor, Tensor, Tensor]:
        device = self._samples.device
        starts = torch.as_tensor(self._starts[which], device=device)[:, None]
        lengths = torch.as_tensor(self.lengths[which], device=device)[:, None]
        return torch.arange(width, device=device), starts, lengths

    def _scaled(self, index: Tensor) -> Tensor:
        return self._samples[index].float() / FULL_SCALE
