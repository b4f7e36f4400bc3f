#!/usr/bin/env bash
# What one would guess: sounddevice declares PaWasapi_IsLoopback, and the sources of PortAudio have loopback devices of
#   WASAPI, so the wheel for Windows can record what the computer plays, for captions of a call or a film.
# What happens: none of the DLLs in the wheel exports the function or lists a loopback device. They were built from a PortAudio
#   that knows neither; the declaration is only looked up when it is called, so importing and listing devices work as ever.
# Whom it hurts: whoever writes captions of system sound for Windows on sounddevice, tested on Linux with a monitor source. There
#   it needs another library, a virtual cable, or a PortAudio of one's own.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --platform win_amd64 \
    --dest "$folder" sounddevice==0.5.6
python3 - "$folder"/*.whl <<'PYTHON'
import sys
import zipfile
from pathlib import Path

wheel = zipfile.ZipFile(sys.argv[1])
declared = b"PaWasapi_IsLoopback" in wheel.read("_sounddevice.py")
libraries = [name for name in wheel.namelist() if name.endswith(".dll")]
print(Path(sys.argv[1]).name, "declares the function" if declared else "does not declare the function")
loopback = exported = 0
for name in libraries:
    code = wheel.read(name)
    exported += b"PaWasapi_GetFramesPerHostBuffer" in code or b"PaWasapi_GetDeviceDefaultFormat" in code
    loopback += b"oopback" in code
    version = code[code.find(b"PortAudio V") :][:40].split(b",")[0].split(b"\0")[0].decode(errors="replace")
    print(f"  {Path(name).name}: {version}; WASAPI functions {b'PaWasapi_' in code}, the word loopback {b'oopback' in code}")
described = declared and len(libraries) >= 4 and exported == len(libraries) and not loopback
print("as described: declared, and in none of the libraries" if described else "CHANGED: a library has it, or it is not declared")
sys.exit(not described)
PYTHON
