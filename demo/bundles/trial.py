"""``python -m edgespeech.demo.bundles.trial BUNDLE``: verify a bundle within limits of time and memory.

onnxruntime, or what the graph makes it do, may end the process; `edgespeech verify --strict` is another one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

from edgespeech.demo.bundles.inspect import verify_bundle
from edgespeech.errors import EdgespeechError
from edgespeech.runtime.acoustic_model import import_onnxruntime
from edgespeech.runtime.bundle import load_bundle

MAX_BYTES = 2 << 30  # beyond what the libraries have reserved
MAX_SECONDS = 60  # of CPU time


def main() -> int:
    """Print the checks that passed, or the error; return the exit code."""
    try:
        import_onnxruntime()
        _limit()
        for line in verify_bundle(load_bundle(Path(sys.argv[1]))):
            print(line, flush=True)
        return 0
    except EdgespeechError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except MemoryError:
        print(f"the bundle needs more than {MAX_BYTES >> 30} GB of memory; do not use it", file=sys.stderr)
        return 1


def _limit() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    reserved = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (reserved + MAX_BYTES, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(main())
