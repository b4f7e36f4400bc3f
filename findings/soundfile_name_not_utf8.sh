#!/usr/bin/env bash
# What one would guess: soundfile opens every file that Python's own open() opens, by the name that os.listdir() returns.
# What happens: a name that is not UTF-8 (a Latin-1 name from an old disk or archive) comes from os.listdir() with surrogates.
#   soundfile encodes it without the handler "surrogateescape", so that opening it is a UnicodeEncodeError, which is a
#   ValueError and not a SoundFileError. The same name as bytes works: soundfile.SoundFile(os.fsencode(name)).
# Whom it hurts: programs that walk a folder of recordings. One such name ends the run with a traceback, because they catch
#   soundfile.SoundFileError, RuntimeError or OSError.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check soundfile==0.14.0 numpy==2.4.6
cd "$folder"
PYTHONUTF8=1 "$folder/venv/bin/python" - <<'PYTHON'
import os
import sys

import numpy as np
import soundfile

soundfile.write("plain.wav", np.zeros(160), 16000)
os.rename(b"plain.wav", b"caf\xe9.wav")
(name,) = [name for name in os.listdir(".") if name.endswith(".wav")]
with open(name, "rb") as file:
    print(f"soundfile {soundfile.__version__}; open({name!a}) reads {len(file.read())} bytes")
try:
    soundfile.SoundFile(name).close()
    raised = ""
except Exception as error:
    raised = type(error).__name__
print(f"SoundFile(name): {raised or 'works'}")
with soundfile.SoundFile(os.fsencode(name)) as sound:
    print(f"SoundFile(os.fsencode(name)): {sound.frames} frames")
changed = raised != "UnicodeEncodeError"
print("CHANGED: the name is accepted" if changed else "as described: only the bytes of the name are accepted")
sys.exit(changed)
PYTHON
