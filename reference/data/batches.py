"""From clips to batches: decoding, SortaGrad order, length buckets, pauses."""

from __future__ import annotations

import random as python_random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from edgespeech.reference.data.augment import WaveAugmenter
from edgespeech.reference.data.clips import Clip
from edgespeech.reference.data.resident import FULL_SCALE, ResidentRecordings, decode_clip

HISS_DB = (-110.0, -55.0)  # of full scale; the features' floor hides what is below -81 dB


Key = tuple[int, int]  # epoch, index of the clip


@dataclass(frozen=True)
class Batch:
    """Samples float32 [batch, longest], their lengths [batch], all targets in a row, their lengths [batch], texts.

    Only the samples may lie on another device than the processor.
    """

    samples: Tensor
    lengths: Tensor
    targets: Tensor
    target_lengths: Tensor
    texts: tuple[str, ...]


class ClipDataset(Dataset[tuple[Tensor, Clip, Key]]):
    """Clips as samples, decoded when they are asked for; an item is asked for as (epoch, index)."""

    def __init__(self, clips: Sequence[Clip], sample_rate: int, cache_hours: float = 0.0) -> None:
        """Take clips, and how much decoded audio to keep."""
        self.clips = list(clips)
        self.sample_rate = sample_rate
        self._room_in_cache = int(cache_hours * 3600 * sample_rate)
        self._cache: dict[Clip, NDArray[np.int16]] = {}

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.clips)

    def __getitem__(self, key: Key) -> tuple[Tensor, Clip, Key]:
        """Samples float32 [n] of clip ``index``, the clip, and the key."""
        clip = self.clips[key[1]]
        samples = self._cache.get(clip)
        if samples is None:
            samples = decode_clip(clip, self.sample_rate)
            if len(samples) <= self._room_in_cache:
                self._room_in_cache -= len(samples)
                self._cache[clip] = samples
        return torch.from_numpy(samples.astype(np.float32) / np.float32(FULL_SCALE)), clip, key


class BatchMaker:
    """Makes batches of clips: changed by the augmenter, some begun late, after silence or faint hiss.

    Pauses take only room that padding would take anyway: room is what a batch costs. What happens to a batch depends
    on the seed and on its keys alone, so that a resumed run equals an unbroken one.
    """

    def __init__(self, augmenter: WaveAugmenter | None = None, pause_share: float = 0.0, seed: int = 0) -> None:
        """Without an augmenter clips come as they are."""
        self.augmenter = augmenter
        self.pause_share = pause_share
        self.seed = seed

    def __call__(self, items: Sequence[tuple[Tensor, Clip, Key]]) -> Batch:
        """Items of a `ClipDataset`, as a data loader collates them."""
        samples = torch.nn.utils.rnn.pad_sequence([samples for samples, _, _ in items], batch_first=True)
        lengths = np.array([len(samples) for samples, _, _ in items])
        return self.make(samples, lengths, [clip for _, clip, _ in items], [key for _, _, key in items])

    def make(self, samples: Tensor, lengths: NDArray[np.int64], clips: Sequence[Clip], keys: Sequence[Key]) -> Batch:
        """Clips float32 [batch, longest] on any device, zeros behind each, and what they are."""
        chance = np.random.default_rng([self.seed, *(number for key in keys for number in key)])
        if self.augmenter is not None:
            samples, lengths = self.augmenter(samples, lengths, chance, keys[0][0])
        pausing = chance.random(len(lengths)) < self.pause_share
        pauses = np.where(pausing, chance.integers(lengths.max() - lengths + 1), 0)
        if pauses.any():
            samples = _after_pauses(samples, pauses, chance)
        return Batch(
            samples,
            torch.from_numpy(lengths + pauses),
            torch.tensor([target for clip in clips for target in clip.targets]),
            torch.tensor([len(clip.targets) for clip in clips]),
            tuple(clip.text for clip in clips),
        )


def _after_pauses(samples: Tensor, pauses: NDArray[np.int64], chance: np.random.Generator) -> Tensor:
    deviation = 10.0 ** (chance.uniform(*HISS_DB, size=len(pauses)) / 20.0)
    level = torch.as_tensor(deviation, dtype=samples.dtype).to(samples.device)[:, None]
    random = torch.Generator(samples.device).manual_seed(int(chance.integers(1 << 62)))
    source = torch.arange(samples.shape[1], device=samples.device) - torch.as_tensor(pauses).to(samples.device)[:, None]
    hiss = torch.randn(samples.shape, generator=random, device=samples.device) * level
    return torch.where(source < 0, hiss, samples.gather(1, source.clamp(min=0)))


class ResidentLoader:
    """Batches of clips that all lie decoded on the training device: no loader process keeps up with a GPU."""

    def __init__(
        self, clips: Sequence[Clip], sample_rate: int, sampler: BucketSampler, make: BatchMaker, device: torch.device
    ) -> None:
        """Decode all clips.

        Raises:
            AudioError: A file cannot be read.
        """
        self.clips = clips
        self.sampler = sampler
        self.make = make
        distinct = {clip: place for place, clip in enumerate(dict.fromkeys(clips))}
        self._place = np.array([distinct[clip] for clip in clips])
        self._recordings = ResidentRecordings.of_clips(list(distinct), sample_rate, device)

    def __iter__(self) -> Iterator[Batch]:
        """The sampler's batches."""
        yield from map(self.load, self.sampler)

    def load(self, keys: list[Key]) -> Batch:
        """One batch."""
        which = self._place[[index for _, index in keys]]
        lengths = self._recordings.lengths[which]
        samples = self._recordings.rows(which, int(lengths.max()))
        return self.make.make(samples, lengths, [self.clips[index] for _, index in keys], keys)


class BucketSampler(Sampler[list[Key]]):
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

    def __iter__(self) -> Iterator[list[Key]]:
        """Batches of (epoch, index)."""
        for batch in self.batches(self.epoch)[self.start :]:
            yield [(self.epoch, index) for index in batch]

    def __len__(self) -> int:
        """Batches in a whole epoch."""
        return len(self.batches(self.epoch))
