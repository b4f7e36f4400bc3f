"""From clips to batches: SortaGrad order, length buckets, a cache of decoded audio."""

from __future__ import annotations

import random as python_random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from edgespeech.reference.augment import WaveAugmenter
from edgespeech.reference.clips import Clip
from edgespeech.runtime import audio

HISS_DB = (-110.0, -55.0)  # of full scale; the features' floor hides what is below -81 dB


@dataclass(frozen=True)
class Batch:
    """Samples float32 [batch, longest], their lengths [batch], all targets in a row, their lengths [batch], texts."""

    samples: Tensor
    lengths: Tensor
    targets: Tensor
    target_lengths: Tensor
    texts: tuple[str, ...]


class ClipDataset(Dataset[tuple[Tensor, Clip]]):
    """Clips as samples; an item is asked for as (epoch, index), so that augmentation is reproducible."""

    def __init__(
        self,
        clips: Sequence[Clip],
        sample_rate: int,
        augmenter: WaveAugmenter | None,
        seed: int = 0,
        cache_hours: float = 0.0,
    ) -> None:
        """Take clips; without an augmenter they come as they are."""
        self.clips = list(clips)
        self.sample_rate = sample_rate
        self.augmenter = augmenter
        self.seed = seed
        self._room_in_cache = int(cache_hours * 3600 * sample_rate)
        self._cache: dict[Clip, NDArray[np.int16]] = {}

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.clips)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Clip]:
        """Samples [n] of clip ``index`` as it sounds in ``epoch``."""
        epoch, index = key
        samples = self._samples(self.clips[index])
        if self.augmenter is not None:
            samples = self.augmenter(samples, np.random.default_rng((self.seed, epoch, index)))
        return torch.from_numpy(np.ascontiguousarray(samples)), self.clips[index]

    def _samples(self, clip: Clip) -> NDArray[np.float32]:
        if clip not in self._cache:
            start = round(clip.offset * self.sample_rate)
            samples = audio.read(clip.path, self.sample_rate)[start : start + round(clip.seconds * self.sample_rate)]
            if len(samples) > self._room_in_cache:
                return samples
            self._room_in_cache -= len(samples)
            self._cache[clip] = np.round(samples * 32767.0).astype(np.int16)
        return self._cache[clip].astype(np.float32) / np.float32(32767.0)


class BucketSampler(Sampler[list[tuple[int, int]]]):
    """Batches of clips of about the same length, at most ``batch_seconds`` with padding.

    Epoch 0 may go from short to long (SortaGrad, section 3.3); the others go in random order. With several workers
    every one gets its own batches, the same number each.
    """

    def __init__(
        self,
        seconds: Sequence[float],
        batch_seconds: float,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        sorted_first: bool = True,
    ) -> None:
        """Take the length of every clip."""
        self.seconds = seconds
        self.batch_seconds = batch_seconds
        self.seed = seed
        self.rank = rank
        self.world = world
        self.sorted_first = sorted_first
        self.epoch = 0
        self.start = 0

    def set_position(self, epoch: int, start: int = 0) -> None:
        """Choose the epoch, and the batch to begin at when a run is resumed."""
        self.epoch = epoch
        self.start = start

    def batches(self, epoch: int) -> list[list[int]]:
        """The clip indices of every batch of this worker."""
        chance = python_random.Random(f"{self.seed}-{epoch}")
        sort = self.sorted_first and epoch == 0
        jitter = 0.0 if sort else 0.1
        order = sorted(range(len(self.seconds)), key=lambda i: (self.seconds[i] * (1.0 + jitter * chance.random()), i))
        batches: list[list[int]] = [[]]
        longest = 0.0
        for index in order:
            longest = max(longest, self.seconds[index])
            if batches[-1] and longest * (len(batches[-1]) + 1) > self.batch_seconds:
                batches.append([])
                longest = self.seconds[index]
            batches[-1].append(index)
        if not sort:
            chance.shuffle(batches)
        share = -(-len(batches) // self.world)
        return [batches[(self.rank + turn * self.world) % len(batches)] for turn in range(share)]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Batches of (epoch, index)."""
        for batch in self.batches(self.epoch)[self.start :]:
            yield [(self.epoch, index) for index in batch]

    def __len__(self) -> int:
        """Batches in a whole epoch."""
        return len(self.batches(self.epoch))


def collate(items: Sequence[tuple[Tensor, Clip]], pause_share: float = 0.0) -> Batch:
    """Pad to the longest recording, with silence behind each; some begin late, after silence or faint hiss.

    Pauses take only room that padding would take anyway: room is what a batch costs.

    Args:
        items: Recordings and what they are.
        pause_share: Part of the recordings that begin late. Which ones, and how late, depends on their lengths alone.
    """
    chance = np.random.default_rng([len(samples) for samples, _ in items])
    longest = max(len(samples) for samples, _ in items)
    begun = [
        _after_pause(samples, longest - len(samples), chance) if chance.random() < pause_share else samples
        for samples, _ in items
    ]
    return Batch(
        torch.nn.utils.rnn.pad_sequence(begun, batch_first=True),
        torch.tensor([len(one) for one in begun]),
        torch.tensor([target for _, clip in items for target in clip.targets]),
        torch.tensor([len(clip.targets) for _, clip in items]),
        tuple(clip.text for _, clip in items),
    )


def _after_pause(samples: Tensor, longest: int, chance: np.random.Generator) -> Tensor:
    deviation = 10.0 ** (chance.uniform(*HISS_DB) / 20.0)
    hiss = chance.standard_normal(chance.integers(longest + 1), np.float32) * np.float32(deviation)
    return torch.cat([torch.from_numpy(hiss), samples])
