"""Batches of clips: how they are formed, and the samples in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgespeech.errors import AudioError
from edgespeech.reference.data.augment import WaveAugmenter
from edgespeech.reference.data.batches import BatchMaker, BucketSampler, ClipDataset, ResidentLoader
from edgespeech.reference.data.clips import Clip, usable_clips
from edgespeech.reference.data.config import AugmentationConfig
from tests.reference.data.recordings import LABELS, MODEL, RATE, data_config, manifest, tone


def test_parts_of_a_file_are_read(tmp_path: Path) -> None:
    samples = np.concatenate([np.full(RATE, 0.25), np.full(RATE, -0.5)]).astype(np.float32)
    soundfile.write(tmp_path / "two.wav", samples, RATE, subtype="FLOAT")
    lines: list[dict[str, Any]] = [
        {"audio_filepath": "two.wav", "text": "b", "offset": 0.75, "duration": 0.5},
        {"audio_filepath": "two.wav", "text": "b", "offset": 1.25},
        {"audio_filepath": "two.wav", "text": "b", "offset": 1.9},
    ]
    clips, dropped = usable_clips([manifest(tmp_path, lines)], LABELS, MODEL, data_config())
    assert [clip.seconds for clip in clips] == [0.5, 0.75]
    assert dropped == {"not between 0.3 and 20 s": 1}
    for cache_hours in (0.0, 1.0):
        dataset = ClipDataset(clips, RATE, cache_hours=cache_hours)
        np.testing.assert_allclose(dataset[0, 0][0].numpy(), samples[12000:20000], atol=1e-4)
        np.testing.assert_allclose(dataset[0, 1][0].numpy(), samples[20000:], atol=1e-4)


lengths = st.lists(st.floats(0.3, 20.0), min_size=1, max_size=60)


@given(lengths, st.floats(1.0, 120.0), st.integers(0, 3))
def test_every_clip_is_in_one_batch_within_the_limit(seconds: list[float], batch_seconds: float, epoch: int) -> None:
    batches = BucketSampler(seconds, batch_seconds).batches(epoch)
    assert sorted(index for batch in batches for index in batch) == list(range(len(seconds)))
    for batch in batches:
        assert len(batch) == 1 or max(seconds[i] for i in batch) * len(batch) <= batch_seconds


@given(lengths, st.integers(1, 5), st.integers(0, 2))
def test_workers_divide_the_batches(seconds: list[float], world: int, epoch: int) -> None:
    alone = BucketSampler(seconds, 30.0).batches(epoch)
    parts = [BucketSampler(seconds, 30.0, rank=rank, world=world).batches(epoch) for rank in range(world)]
    assert len({len(part) for part in parts}) == 1
    assert len(parts[0]) == -(-len(alone) // world)
    shared = [batch for turn in zip(*parts, strict=True) for batch in turn]
    # The last turn is filled with batches from the beginning, so that no worker waits for another.
    assert shared[: len(alone)] == alone
    assert all(batch in alone for batch in shared)


def test_the_first_epoch_goes_from_short_to_long_and_later_ones_do_not() -> None:
    seconds = list(np.random.default_rng(0).uniform(0.3, 20.0, 200))
    sampler = BucketSampler(seconds, 60.0)
    first = [seconds[i] for batch in sampler.batches(0) for i in batch]
    assert first == sorted(first)
    second = sampler.batches(1)
    longest = [max(seconds[i] for i in batch) for batch in second]
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.5
    assert second != sampler.batches(2)
    assert second == BucketSampler(seconds, 60.0).batches(1)
    assert second != BucketSampler(seconds, 60.0, seed=1).batches(1)
    # Buckets: little of a batch is padding.
    padding = sum(max(seconds[i] for i in batch) * len(batch) - sum(seconds[i] for i in batch) for batch in second)
    assert padding < 0.15 * sum(seconds)


def test_a_resumed_epoch_continues_where_it_stopped() -> None:
    sampler = BucketSampler([float(i % 7 + 1) for i in range(40)], 10.0)
    sampler.set_position(2)
    whole = list(sampler)
    assert len(whole) == len(sampler)
    assert {epoch for batch in whole for epoch, _ in batch} == {2}
    sampler.set_position(2, start=3)
    assert list(sampler) == whole[3:]


def test_augmentation_is_the_same_for_the_same_seed_epoch_and_clips(tmp_path: Path) -> None:
    clips = [Clip(tmp_path / tone(tmp_path, f"{i}.wav", 0.5), 0.5, "a", (3,)) for i in range(2)]
    dataset = ClipDataset(clips, RATE)

    def augmented(*keys: tuple[int, int], seed: int = 0) -> torch.Tensor:
        make = BatchMaker(WaveAugmenter(AugmentationConfig(), RATE, [], []), 0.5, seed)
        return make([dataset[key] for key in keys]).samples

    assert torch.equal(augmented((1, 0), (1, 1)), augmented((1, 0), (1, 1)))
    others = [augmented((2, 0)), augmented((1, 1)), augmented((1, 0), seed=1)]
    first = augmented((1, 0))
    assert not any(first.shape == other.shape and torch.equal(first, other) for other in others)


def test_resident_speech_makes_the_same_batches(tmp_path: Path) -> None:
    seconds = [0.5 + 0.1 * i for i in range(6)]
    tones = [tone(tmp_path, f"{i}.wav", length, 200.0 + 100.0 * i) for i, length in enumerate(seconds)]
    clips = [Clip(tmp_path / name, length, "a", (3,)) for name, length in zip(tones, seconds, strict=True)] * 2
    sampler = BucketSampler([clip.seconds for clip in clips], 3.0)
    make = BatchMaker(WaveAugmenter(AugmentationConfig(), RATE, [], []), 0.5)
    sampler.set_position(1)
    resident = list(ResidentLoader(clips, RATE, sampler, make, torch.device("cpu")))
    dataset = ClipDataset(clips, RATE)
    assert len(resident) == len(sampler) > 2
    for batch, keys in zip(resident, sampler, strict=True):
        expected = make([dataset[key] for key in keys])
        assert torch.equal(batch.samples, expected.samples) and torch.equal(batch.lengths, expected.lengths)
        assert batch.texts == expected.texts and torch.equal(batch.targets, expected.targets)


def test_the_cache_keeps_what_fits_and_does_not_change_the_samples(tmp_path: Path) -> None:
    paths = [tmp_path / tone(tmp_path, f"{i}.wav", 0.5) for i in range(2)]
    clips = [Clip(path, 0.5, "a", (3,)) for path in paths]
    dataset = ClipDataset(clips, RATE, cache_hours=0.75 / 3600)
    before = [dataset[0, i][0] for i in (0, 1)]
    paths[0].unlink()
    assert torch.equal(dataset[1, 0][0], before[0])
    torch.testing.assert_close(before[0], before[1], atol=1e-4, rtol=0)
    paths[1].unlink()
    with pytest.raises(AudioError):
        dataset[1, 1]


def test_a_batch_is_padded_with_zeros(tmp_path: Path) -> None:
    clips = [Clip(tmp_path, 1.0, "ab", (3, 4)), Clip(tmp_path, 1.0, "c", (5,))]
    batch = BatchMaker()([(torch.ones(3), clips[0], (0, 0)), (torch.ones(5), clips[1], (0, 1))])
    assert batch.samples.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert batch.lengths.tolist() == [3, 5]
    assert batch.targets.tolist() == [3, 4, 5]
    assert batch.target_lengths.tolist() == [2, 1]
    assert batch.texts == ("ab", "c")


def test_pauses_fill_padding_and_are_quiet(tmp_path: Path) -> None:
    clip = Clip(tmp_path, 1.0, "ab", (3, 4))
    lengths = [200 + 7 * i for i in range(100)]
    items = [(torch.ones(length), clip, (0, place)) for place, length in enumerate(lengths)]
    batch = BatchMaker(pause_prob=0.5)(items)
    assert batch.samples.shape == (100, max(lengths)) and batch.lengths[-1] == max(lengths)
    pauses = [int(whole) - length for whole, length in zip(batch.lengths, lengths, strict=True)]
    assert 25 < sum(pause > 0 for pause in pauses) < 70 and min(pauses) == 0
    for samples, pause, length in zip(batch.samples, pauses, lengths, strict=True):
        assert torch.equal(samples[pause : pause + length], torch.ones(length))
        assert not samples[pause + length :].any()
        assert float(samples[:pause].abs().max() if pause else 0.0) < 0.01
    assert torch.equal(BatchMaker(pause_prob=0.5)(items).samples, batch.samples)
