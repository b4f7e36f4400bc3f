#!/usr/bin/env bash
# What one would guess: lhotse's DynamicBucketingSampler with max_duration=160 gives batches whose padded length
#   (number of cuts times the longest cut) is at most 160 seconds: that is what the parameter is set for.
# What happens: the limit is tested with the longest cut seen so far, before the next cut is added. A cut that is longer
#   than those before it is still added, so some batches are longer than the limit; the shuffled ones of a bucket are.
# Whom it hurts: whoever sets max_duration to what just fits into the memory of a device, since the batch that is too long
#   comes at random, hours into the training. Leave room for one more cut of the longest kind.
# Beside it: a plain installation of 1.33.0 cannot be imported, since lhotse.ais needs urllib3, which lhotse does not declare.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check lhotse==1.33.0 urllib3==2.8.0
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import random
import sys

import lhotse
from lhotse import CutSet, MonoCut, Recording
from lhotse.dataset import DynamicBucketingSampler

LIMIT = 160.0
chance = random.Random(0)
durations = [round(chance.uniform(0.5, 20.0), 2) for _ in range(4000)]


def cut(index: int, duration: float) -> MonoCut:
    samples = round(16000 * duration)
    recording = Recording(id=str(index), sources=[], sampling_rate=16000, num_samples=samples, duration=duration)
    return MonoCut(id=str(index), start=0.0, duration=duration, channel=0, recording=recording)


cuts = CutSet.from_cuts(cut(index, duration) for index, duration in enumerate(durations))
sampler = DynamicBucketingSampler(cuts, max_duration=LIMIT, num_buckets=10, shuffle=True, seed=1)
padded = [len(batch) * max(one.duration for one in batch) for batch in sampler]
beyond = [length for length in padded if length > LIMIT]
print(f"lhotse {lhotse.__version__}: {len(padded)} batches with max_duration={LIMIT:g}")
print(f"longer than that with padding: {len(beyond)}, the longest {max(padded):.2f} s")
changed = not beyond
print("CHANGED: no batch is longer than max_duration" if changed else "as described: the limit is not strict")
sys.exit(changed)
PYTHON
