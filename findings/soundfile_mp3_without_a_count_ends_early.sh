#!/usr/bin/env bash
# What one would guess: soundfile.read() of an MP3 file returns the whole file, or raises an error; info() gives its duration.
# What happens: without a frame count (variable bit rate, written to a pipe) libsndfile takes the length from the bit rate of the
#   first frame and stops there, in info() and read() alike. Of two files joined by `cat` only the first is read, because the
#   count in its header ends the reading. Nothing is raised. The same bytes through a pipe, where no length is known, give all frames.
# Whom it hurts: whoever transcribes, trains on or measures MP3 from streams and recorders: most of the speech is missing
#   in silence, and the durations of a data set are wrong. Count the frames, or decode with FFmpeg.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check soundfile==0.14.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import os
import sys
import threading

import numpy as np
import soundfile

folder, rate, seconds = sys.argv[1], 16000, 60
time = np.arange(rate * seconds) / rate
rng = np.random.default_rng(0)
# Noise, then a faint hum: the first frames have a higher bit rate than the others.
sound = np.where(time < 2.0, rng.standard_normal(len(time)) * 0.2, 0.01 * np.sin(2 * np.pi * 200 * time))
with soundfile.SoundFile(f"{folder}/whole.mp3", "w", rate, 1, bitrate_mode="VARIABLE", compression_level=0.5) as file:
    for part in np.array_split(sound, 60):
        file.write(part)
content = open(f"{folder}/whole.mp3", "rb").read()
mono_v2_side_info = 9
tag = 4 + mono_v2_side_info
assert content[tag : tag + 4] in (b"Xing", b"Info")
kilobits = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)[content[2] >> 4]
first = 72 * 1000 * kilobits // rate + (content[2] >> 1 & 1)
open(f"{folder}/without_count.mp3", "wb").write(content[first:])
open(f"{folder}/joined.mp3", "wb").write(content + content)


def through_a_pipe(path):
    reading, writing = os.pipe()
    data = open(path, "rb").read()

    def feed():
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(data)

    thread = threading.Thread(target=feed)
    thread.start()

    class Forward(soundfile.SoundFile):
        def seekable(self):
            return False

    found = 0
    with Forward(reading) as file:
        while len(piece := file.read(16384)):
            found += len(piece)
    thread.join()
    return found / rate


print(f"soundfile {soundfile.__version__}, libsndfile {soundfile.__libsndfile_version__}")
found = {}
for name, whole in (("whole", seconds), ("without_count", seconds), ("joined", 2 * seconds)):
    path = f"{folder}/{name}.mp3"
    found[name] = len(soundfile.read(path)[0]) / rate
    print(f"{name}: {whole} s were written, info() {soundfile.info(path).duration:.1f} s, read() {found[name]:.1f} s")
pipe = through_a_pipe(f"{folder}/without_count.mp3")
print(f"without_count through a pipe: {pipe:.1f} s")
changed = not (found["without_count"] < seconds - 5 and found["joined"] < seconds + 5 and pipe > seconds - 1)
print("CHANGED: all of it is read" if changed else "as described: audio is missing in silence")
sys.exit(changed)
PYTHON
