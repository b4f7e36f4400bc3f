"""Batches of clips: decoding, SortaGrad order, length buckets, pauses."""

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

HISS_DB = (-110.0, -55.0)  # relative to full scale; the floor of the features hides hiss below -81 dB

Key = tuple[int, int]  # epoch, index of the clip


@dataclass(frozen=True)
class Batch:
    """One batch; all tensors but ``samples`` are on the CPU.

    Attributes:
        samples: float32 [batch, longest], padded with zeros; ``lengths`` int64 [batch] counts those of each clip.
        targets: Label indices of all clips, concatenated; ``target_lengths`` int64 [batch] counts those of each clip.
    """

    samples: Tensor
    lengths: Tensor
    targets: Tensor
    target_lengths: Tensor
    texts: tuple[str, ...]


class ClipDataset(Dataset[tuple[Tensor, Clip, Key]]):
    """Clips that are decoded on access by (epoch, index); ``cache_hours`` of decoded audio are kept."""

    def __init__(self, clips: Sequence[Clip], sample_rate: int, cache_hours: float = 0.0) -> None:
        self.clips = list(clips)
        self.sample_rate = sample_rate
        self._room_in_cache = int(cache_hours * 3600 * sample_rate)
        self._cache: dict[Clip, NDArray[np.int16]] = {}

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: Key) -> tuple[Tensor, Clip, Key]:
        clip = self.clips[key[1]]
        samples = self._cache.get(clip)
        if samples is None:
            samples = decode_clip(clip, self.sample_rate)
            if len(samples) <= self._room_in_cache:
                self._room_in_cache -= len(samples)
                self._cache[clip] = samples
        return torch.from_numpy(samples.astype(np.float32) / np.float32(FULL_SCALE)), clip, key


class BatchMaker:
    """Makes batches of augmented clips, some of which start late, after silence or faint hiss.

    Pauses only replace padding, so a batch does not grow. The result depends on the seed and the keys alone, so a
    resumed run equals an uninterrupted one.
    """

    def __init__(self, augmenter: WaveAugmenter | None = None, pause_prob: float = 0.0, seed: int = 0) -> None:
        self.augmenter = augmenter
        self.pause_prob = pause_prob
        self.seed = seed

    def __call__(self, items: Sequence[tuple[Tensor, Clip, Key]]) -> Batch:
        """Collate items of a `ClipDataset`, as a data loader does."""
        samples = torch.nn.utils.rnn.pad_sequence([samples for samples, _, _ in items], batch_first=True)
        lengths = np.array([len(samples) for samples, _, _ in items])
        return self.make(samples, lengths, [clip for _, clip, _ in items], [key for _, _, key in items])

    def make(self, samples: Tensor, lengths: NDArray[np.int64], clips: Sequence[Clip], keys: Sequence[Key]) -> Batch:
        """Make a batch of clips, float32 [batch, longest] on any device, padded with zeros."""
        rng = np.random.default_rng([self.seed, *(number for key in keys for number in key)])
        if self.augmenter is not None:
            samples, lengths = self.augmenter(samples, lengths, rng, keys[0][0])
        pausing = rng.random(len(lengths)) < self.pause_prob
        pauses = np.where(pausing, rng.integers(lengths.max() - lengths + 1), 0)
        if pauses.any():
            samples = _after_pauses(samples, pauses, rng)
        return Batch(
            samples,
            torch.from_numpy(lengths + pauses),
            torch.tensor([target for clip in clips for target in clip.targets]),
            torch.tensor([len(clip.targets) for clip in clips]),
            tuple(clip.text for clip in clips),
        )


def _after_pauses(samples: Tensor, pauses: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
    deviation = 10.0 ** (rng.uniform(*HISS_DB, size=len(pauses)) / 20.0)
    level = torch.as_tensor(deviation, dtype=samples.dtype).to(samples.device)[:, None]
    random = torch.Generator(samples.device).manual_seed(int(rng.integers(1 << 62)))
    source = torch.arange(samples.shape[1], device=samples.device) - torch.as_tensor(pauses).to(samples.device)[:, None]
    hiss = torch.randn(samples.shape, generator=random, device=samples.device) * level
    return torch.where(source < 0, hiss, samples.gather(1, source.clamp(min=0)))


class ResidentLoader:
    """Batches of clips that stay decoded on the training device, for GPUs, which are faster than any loader process."""

    def __init__(
        self,
        clips: Sequence[Clip],
        sample_rate: int,
        sampler: BucketSampler,
        batch_maker: BatchMaker,
        device: torch.device,
    ) -> None:
        self.clips = clips
        self.sampler = sampler
        self.batch_maker = batch_maker
        distinct = {clip: place for place, clip in enumerate(dict.fromkeys(clips))}
        self._place = np.array([distinct[clip] for clip in clips])
        self._recordings = ResidentRecordings.of_clips(list(distinct), sample_rate, device)

    def __iter__(self) -> Iterator[Batch]:
        yield from map(self.load, self.sampler)

    def load(self, keys: list[Key]) -> Batch:
        """Make the batch of these clips."""
        which = self._place[[index for _, index in keys]]
        lengths = self._recordings.lengths[which]
        samples = self._recordings.rows(which, int(lengths.max()))
        return self.batch_maker.make(samples, lengths, [self.clips[index] for _, index in keys], keys)


class BucketSampler(Sampler[list[Key]]):
    """Batches of clips of similar length, at most ``batch_seconds`` with padding, divided among ``world`` workers.

    With ``sorted_first``, epoch 0 goes from short to long clips (SortaGrad, section 3.3); others are in random order.
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
        self.seconds = seconds
        self.batch_seconds = batch_seconds
        self.seed = seed
        self.rank = rank
        self.world = world
        self.sorted_first = sorted_first
        self.epoch = 0
        self.start = 0

    def set_position(self, epoch: int, start: int = 0) -> None:
        """Select the epoch, and the first batch when a run is resumed."""
        self.epoch = epoch
        self.start = start

    def batches(self, epoch: int) -> list[list[int]]:
        """Return the clip indices of every batch of this worker."""
        rng = python_random.Random(f"{self.seed}-{epoch}")
        sort = self.sorted_first and epoch == 0
        jitter = 0.0 if sort else 0.1
        order = sorted(range(len(self.seconds)), key=lambda i: (self.seconds[i] * (1.0 + jitter * rng.random()), i))
        batches: list[list[int]] = [[]]
        longest = 0.0
        for index in order:
            longest = max(longest, self.seconds[index])
            if batches[-1] and longest * (len(batches[-1]) + 1) > self.batch_seconds:
                batches.append([])
                longest = self.seconds[index]
            batches[-1].append(index)
        if not sort:
            rng.shuffle(batches)
        count = -(-len(batches) // self.world)
        return [batches[(self.rank + turn * self.world) % len(batches)] for turn in range(count)]

    def __iter__(self) -> Iterator[list[Key]]:
        for batch in self.batches(self.epoch)[self.start :]:
            yield [(self.epoch, index) for index in batch]

    def __len__(self) -> int:
        return len(self.batches(self.epoch))
