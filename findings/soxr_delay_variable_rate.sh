#!/usr/bin/env bash
# What one would guess: ResampleStream.delay() of soxr gives the output that is still inside the resampler, so that
#   input seconds minus output seconds equals delay() at every moment, also with vr=True.
# What happens: it does without vr=True. With it, delay() answers 100 samples (6 ms at 16 kHz) whatever the rates, while
#   twice to five times as much has not come out yet (`last=True` returns it).
# Whom it hurts: live programs that choose vr=True for its shorter delay, or to correct the drift of a sound card's clock,
#   and take the times of words or the lag of a queue from delay(): they are wrong by up to a chunk of audio.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check soxr==1.1.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import soxr

print(f"soxr {soxr.__version__}, blocks of 30 ms to 16 kHz, means of 80 blocks in milliseconds")
wrong = {False: 0.0, True: 0.0}
for rate in (8000, 44100, 48000):
    for variable in (False, True):
        stream = soxr.ResampleStream(rate, 16000, 1, dtype="float32", quality="HQ", vr=variable)
        given = returned = 0
        missing, answers = [], []
        for _ in range(100):
            block = np.zeros(rate * 3 // 100, np.float32)
            given, returned = given + len(block), returned + len(stream.resample_chunk(block))
            missing.append(1000.0 * (given / rate - returned / 16000))
            answers.append(1000.0 * stream.delay() / 16000)
        held, answered = float(np.mean(missing[20:])), float(np.mean(answers[20:]))
        wrong[variable] = max(wrong[variable], abs(held - answered))
        print(f"from {rate} Hz, vr={variable}: not out yet {held:.2f}, delay() {answered:.2f}")
changed = not (wrong[False] < 0.1 and wrong[True] > 1.0)
print("CHANGED: delay() agrees" if changed else "as described: delay() is right without vr=True and wrong with it")
sys.exit(changed)
PYTHON
