#!/usr/bin/env bash
# What one would guess: Opus always decodes at 48 kHz (RFC 7845, section 5.1: the "input sample rate" in the header "is not the
#   sample rate to use for playback", and 0 means that it is not known); so soundfile.read() of a file with 0 there gives 48 kHz.
# What happens: libsndfile decodes at the rate that fits the field: at 8000 Hz for 0, at 12000 Hz for 11025. Everything above
#   4 or 6 kHz is gone, and samplerate says 8000 or 12000.
# Whom it hurts: speech recognition on Opus from encoders that leave the field open: the words change, as over a telephone line,
#   and nothing says so. Set the field to 48000 (and the checksum of the page) before decoding, or decode with FFmpeg.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check soundfile==0.14.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import io
import struct
import sys

import numpy as np
import soundfile


def checksum(page):
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def with_field(content, rate):
    length = 27 + content[26] + sum(content[27 : 27 + content[26]])
    page = bytearray(content[:length])
    struct.pack_into("<I", page, page.index(b"OpusHead") + 12, rate)
    struct.pack_into("<I", page, 22, 0)
    struct.pack_into("<I", page, 22, checksum(page))
    return bytes(page) + content[length:]


file = io.BytesIO()
noise = np.random.default_rng(0).standard_normal(3 * 48000) * 0.1
soundfile.write(file, noise, 48000, format="OGG", subtype="OPUS")
content = file.getvalue()
assert with_field(content, 48000) == content
print(f"soundfile {soundfile.__version__}, libsndfile {soundfile.__libsndfile_version__}; noise up to 20 kHz, encoded at 48 kHz")
rates = {}
for field in (48000, 0, 11025):
    samples, rates[field] = soundfile.read(io.BytesIO(with_field(content, field)))
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    edge = np.searchsorted(np.cumsum(spectrum) / spectrum.sum(), 0.99) / len(spectrum) * rates[field] / 2
    print(f"field {field}: decoded at {rates[field]} Hz, 99 % of the power below {edge:.0f} Hz")
changed = (rates[0], rates[11025]) != (8000, 12000)
print("CHANGED: the field does not decide" if changed else "as described: the field decides")
sys.exit(changed)
PYTHON
