"""Padding of training batches: our sampler beside lhotse's, on the durations of manifests.

Run: python -m edgespeech.demo.experiments.bucketing MANIFEST... (lhotse has to be installed for the second table).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from edgespeech.reference.data.batches import BucketSampler
from edgespeech.runtime.manifest import read_manifest

BATCH_SECONDS = 160.0
MAX_SECONDS = 20.0
BUCKETS = (10, 30, 100)


def padding(batches: Sequence[Sequence[float]]) -> str:
    """Describe batches of durations: their number, the fraction of padding, the longest one with padding."""
    padded = [len(batch) * max(batch) for batch in batches]
    fraction = 1.0 - sum(map(sum, batches)) / sum(padded)
    return f"{len(batches):>7} {fraction:>8.1%} {max(padded):>11.1f}"


def lhotse_batches(seconds: Sequence[float], buckets: int) -> list[list[float]]:
    """Return the durations in each batch of lhotse's dynamic bucketing sampler, shuffled."""
    from lhotse import CutSet, MonoCut, Recording  # type: ignore[import-not-found,unused-ignore]
    from lhotse.dataset import DynamicBucketingSampler  # type: ignore[import-not-found,unused-ignore]

    def cut(index: int, duration: float) -> MonoCut:
        recording = Recording(
            id=str(index), sources=[], sampling_rate=16000, num_samples=round(16000 * duration), duration=duration
        )
        return MonoCut(id=str(index), start=0.0, duration=duration, channel=0, recording=recording)

    cuts = CutSet.from_cuts(cut(index, duration) for index, duration in enumerate(seconds))
    sampler = DynamicBucketingSampler(cuts, max_duration=BATCH_SECONDS, num_buckets=buckets, shuffle=True, seed=1)
    return [[one.duration for one in batch] for batch in sampler]


def main(manifests: Iterable[str]) -> None:
    """Print a table of batches, padding, the longest batch and CPU time."""
    utterances = [one for path in manifests for one in read_manifest(Path(path))]
    seconds = [one.duration for one in utterances if one.duration and one.duration <= MAX_SECONDS]
    print(f"{len(seconds)} clips, {sum(seconds) / 3600.0:.1f} h, batches of at most {BATCH_SECONDS:g} s with padding")
    print(f"{'sampler':<24} batches  padding longest, s  CPU, s")
    began = time.process_time()
    batches = BucketSampler(seconds, BATCH_SECONDS).batches(1)
    ours = padding([[seconds[index] for index in batch] for batch in batches])
    print(f"{'BucketSampler':<24} {ours} {time.process_time() - began:>7.2f}")
    for buckets in BUCKETS:
        began = time.process_time()
        try:
            theirs = padding(lhotse_batches(seconds, buckets))
        except ImportError:
            print("lhotse is not installed")
            return
        print(f"{f'lhotse, {buckets} buckets':<24} {theirs} {time.process_time() - began:>7.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
