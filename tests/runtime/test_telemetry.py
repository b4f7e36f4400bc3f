"""Nothing leaves the device: the telemetry of onnxruntime is disabled before its import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from edgespeech.runtime.bundle import Bundle

PROGRAM = """
import os, sys
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import load_bundle
AcousticModel(load_bundle(sys.argv[1]))
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""


def test_opening_a_graph_leaves_no_identifier_behind(tiny_bundle: Bundle, tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    command = [sys.executable, "-B", "-c", PROGRAM, str(tiny_bundle.folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert list(tmp_path.iterdir()) == [], "a device identifier or a queue of events was written"
