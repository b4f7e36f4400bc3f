"""Speech of any length through the web engine in Node, as fast as possible: CPU time, time per chunk and memory.

`python -m tests.demo.web.engine.hour MINUTES` prints a line for every fifth minute; so does `make web-hour`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from edgespeech.demo.web.onnxruntime_web import SCRIPT, find_onnxruntime_web
from edgespeech.runtime.bundle import DEFAULT_BUNDLE
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest, read_samples

SCRIPT_OF_HOUR = Path(__file__).with_name("hour.mjs")


def command(minutes: int, samples: Path, node: str = "node") -> list[str]:
    """Write some minutes of speech to ``samples``, and return the command that recognises them again and again."""
    random = np.random.default_rng(0)
    clips = [read_samples(utterance, 16000) for utterance in read_manifest(SAMPLE_CLIPS)]
    pieces = []
    for _ in range(12):
        for number in random.permutation(len(clips)):
            clip = clips[number][random.integers(0, 400) :]
            pieces.append(clip * 10.0 ** (-0.3 * random.random()))
            pieces.append(random.normal(0.0, 2e-4, int(16000 * random.uniform(0.2, 1.6))))
    np.concatenate(pieces).astype(np.float32).tofile(samples)
    script = find_onnxruntime_web()[SCRIPT].as_uri()
    return [node, "--expose-gc", str(SCRIPT_OF_HOUR), str(DEFAULT_BUNDLE), script, str(samples), str(minutes), "16000"]


if __name__ == "__main__":
    path = shutil.which("node")
    if path is None:
        sys.exit("Node is not installed; it runs the web engine")
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(subprocess.run(command(int(sys.argv[1]), Path(folder) / "speech.f32", path), check=False).returncode)
