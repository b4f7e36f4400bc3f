"""The speech of a run: labels, clips, augmentation, the order of the batches, and their loader."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from torch.utils.data import DataLoader

from edgespeech.reference.data.acoustics import audio_files
from edgespeech.reference.data.augment import WaveAugmenter
from edgespeech.reference.data.batches import Batch, BatchMaker, BucketSampler, ClipDataset, Key, ResidentLoader
from edgespeech.reference.data.clips import NO_LABEL, Clip, build_labels, take_fraction, usable_clips
from edgespeech.reference.model.labels import Labels
from edgespeech.reference.training.config import TrainingConfig
from edgespeech.reference.training.interruption import outlive_signals
from edgespeech.reference.training.workers import Workers, in_first_worker

log = logging.getLogger(__name__)
log.addFilter(in_first_worker)

MEASURED_BATCHES = 32  # for the normalisation of features


@dataclass(frozen=True)
class TrainingSpeech:
    """The speech of a run.

    Attributes:
        labels: Labels of the model.
        clips: Clips to train on.
        dev: Clips to evaluate on.
        sampler: Determines the batches of ``loader``.
        loader: Yields the batches of an epoch.
        load: Makes the batch of some clips.
        anchor: Clips on which the outputs are held to those of the start, if the configuration has some.
    """

    labels: Labels
    clips: Sequence[Clip]
    dev: ClipDataset
    sampler: BucketSampler
    loader: Iterable[Batch]
    load: Callable[[list[Key]], Batch]
    anchor: ClipDataset | None = None

    def first_batches(self, epoch: int) -> Iterator[Batch]:
        """Load the first batches of an epoch, counted from 0, to measure the features on."""
        for batch in islice(self.sampler.batches(epoch), MEASURED_BATCHES):
            yield self.load([(epoch, index) for index in batch])

    def largest_batch(self, epoch: int) -> Batch:
        """Load the batch of an epoch with the most audio, padding included."""
        seconds = self.sampler.seconds
        batch = max(self.sampler.batches(epoch), key=lambda one: len(one) * max(seconds[index] for index in one))
        return self.load([(epoch, index) for index in batch])


def load_speech(config: TrainingConfig, base: Path, workers: Workers) -> TrainingSpeech:
    """Read the manifests, whose paths are relative to ``base``, and prepare the loader."""
    data, seed = config.data, config.optimisation.seed
    manifests = [base / path for path in data.train]
    labels = build_labels(config.model, manifests, config.labels)
    clips, dropped = usable_clips(manifests, labels, config.model, data)
    clips = take_fraction(clips, data.fraction, seed)
    dev, dev_dropped = usable_clips([base / path for path in data.dev], labels, config.model, data)
    for name, counter in (("train", dropped), ("dev", dev_dropped)):
        for reason, count in counter.items():
            log.info("%s: %d clips dropped: %s", name, count, reason)
    if NO_LABEL in dropped + dev_dropped:
        log.info("`edgespeech data check` lists the characters without a label")
    make = _batch_maker(config, base, workers)
    # A fraction is repeated until an epoch has as many clips as with all of them: only the data differs, not the
    # number of updates.
    repeated = clips * round(1.0 / data.fraction)
    sampler = BucketSampler(
        [clip.seconds for clip in repeated],
        data.batch_seconds / workers.world,
        seed,
        workers.rank,
        workers.world,
        sorted_first=config.start is None,
    )
    loader, load = _loader(config, repeated, sampler, make, workers)
    rate = config.model.features.sample_rate
    anchor = None
    if data.anchor:
        held, _ = usable_clips([base / path for path in data.anchor], labels, config.model, data)
        anchor = ClipDataset(held, rate, data.cache_hours)
    return TrainingSpeech(labels, clips, ClipDataset(dev, rate, data.cache_hours), sampler, loader, load, anchor)


def _batch_maker(config: TrainingConfig, base: Path, workers: Workers) -> BatchMaker:
    data = config.data
    augmenter = WaveAugmenter(
        config.augmentation,
        config.model.features.sample_rate,
        audio_files([base / path for path in data.noise]),
        audio_files([base / path for path in data.rooms]),
        workers.device if data.resident else None,
    )
    return BatchMaker(augmenter, config.augmentation.pause_prob, config.optimisation.seed)


def _loader(
    config: TrainingConfig, clips: Sequence[Clip], sampler: BucketSampler, make: BatchMaker, workers: Workers
) -> tuple[Iterable[Batch], Callable[[list[Key]], Batch]]:
    """Return the loader of whole epochs, and a function that makes one batch in this process."""
    data, rate = config.data, config.model.features.sample_rate
    if data.resident:
        resident = ResidentLoader(clips, rate, sampler, make, workers.device)
        return resident, resident.load
    dataset = ClipDataset(clips, rate, data.cache_hours)
    loader = DataLoader(
        dataset,
        batch_sampler=sampler,
        collate_fn=make,
        num_workers=data.workers,
        persistent_workers=data.workers > 0,
        worker_init_fn=outlive_signals,
        pin_memory=workers.device.type == "cuda",
    )
    return loader, lambda keys: make([dataset[key] for key in keys])
