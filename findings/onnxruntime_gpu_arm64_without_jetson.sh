#!/usr/bin/env bash
# What one would guess: the arm64 wheels of onnxruntime-gpu, which the usual package index has since 1.29, are for the
#   arm64 devices with an NVIDIA GPU that most people have: a Jetson with Python 3.11 or newer can install them and use CUDA.
# What happens: the library of the CUDA provider holds code for the compute capabilities 8.9, 9.0, 12.0 and 12.1 only. There is
#   none for Orin (8.7) or Thor (11.0), and no PTX that the driver could compile for them. pip installs the wheel on a Jetson
#   without a warning and lists CUDA among its providers; that no kernel can run there follows from the code, and was not tried.
# Whom it hurts: whoever writes `onnxruntime-gpu; platform_machine == "aarch64"` into the requirements for a Jetson, or checks
#   a provider by its name alone. Jetsons need a wheel that was built for them; run one step before you trust a provider.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --implementation cp --python-version 3.12 \
    --platform manylinux_2_34_aarch64 --dest "$folder" onnxruntime-gpu==1.31.1
python3 - "$folder"/*.whl <<'PYTHON'
import struct
import sys
import zipfile
from collections import Counter
from pathlib import Path

MAGIC = struct.pack("<I", 0xBA55ED50)  # of a "fat binary": a header, then one entry for each architecture
PTX, CUBIN = 1, 2
wheel = Path(sys.argv[1])
code = zipfile.ZipFile(wheel).read("onnxruntime/capi/libonnxruntime_providers_cuda.so")
found: Counter[tuple[int, int]] = Counter()
at = code.find(MAGIC)
while at >= 0:
    header, size = struct.unpack_from("<HQ", code, at + 6)
    entry = at + header
    while header == 16 and entry < at + header + size:
        kind, _, entry_header, entry_size = struct.unpack_from("<HHIQ", code, entry)
        found[kind, struct.unpack_from("<I", code, entry + 28)[0]] += 1
        entry += entry_header + entry_size
    at = code.find(MAGIC, at + 4)
print(wheel.name)
for (kind, architecture), count in sorted(found.items()):
    print(f"  {'PTX' if kind == PTX else 'code'} for {architecture // 10}.{architecture % 10}: {count} modules")
jetson = any(architecture in {87, 110} for _, architecture in found) or any(kind == PTX for kind, _ in found)
described = sum(found.values()) > 100 and not jetson
print("as described: nothing for Orin (8.7) or Thor (11.0)" if described else "CHANGED: there is code for a Jetson")
sys.exit(not described)
PYTHON
