"""Check edgespeech on processor models of Arm, under emulation.

``python -m tests.arm64.check ROOT`` runs doctor, verify, the sample clips and the tests of the runtime in a root that
``root.sh`` made; ``--short`` runs everything but the tests, on one model. What is compared with this machine are texts,
word errors and divergence. Log-probabilities differ in their numbers between processors (docs/results/quantization.md).
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.tiny_models import CELLS, TINY, write_cells_bundle, write_tiny_bundle

HERE = Path(__file__).parent
MODELS = (
    "cortex-a72",
    "cortex-a76",
)  # Raspberry Pi 4 without, 5 with dot product; a Jetson Orin is close to the latter
TINY_BUNDLES, SOURCE = Path("opt/tiny_bundles"), Path("opt/source")
# Nats per frame between this machine and an Arm one: 2.4e-5 was measured, and 3.7e-3 for int8 against float32.
MAX_DIVERGENCE = 1e-3
TESTS = (
    *("python3", "-m", "pytest", "-q", "-x", "-o", "filterwarnings=default", "-p", "no:cacheprovider"),
    *("-m", "not slow", "tests/runtime", "--ignore", "tests/runtime/live/test_virtual_microphone.py"),
)


@dataclass(frozen=True)
class Root:
    """An arm64 root and the processor model that its commands run on."""

    folder: Path
    model: str

    def run(self, *command: str, check: bool = True) -> int:
        """Run a command in the root; a failure ends this program."""
        shown = " ".join(command)
        print(f"\n== {self.model}: {shown[:100]}", flush=True)
        began, before = time.monotonic(), _children_seconds()
        done = subprocess.run([HERE / "root.sh", "run", self.folder, self.model, *command], check=False)
        print(f"-- {time.monotonic() - began:.0f} s, {_children_seconds() - before:.0f} s of CPU time", flush=True)
        if check and done.returncode != 0:
            sys.exit(f"arm64: {shown[:100]} ended with exit code {done.returncode} on {self.model}")
        return done.returncode


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def check(root: Root, short: bool, native: Path) -> None:
    """Run all checks on one processor model."""
    edgespeech = ("python3", "-m", "edgespeech.demo.cli")
    # An optional part may be missing; a required one that is broken has exit code 1 too, so the answer is read.
    root.run(*edgespeech, "doctor")
    root.run(*edgespeech, "verify")
    root.run("python3", f"/{SOURCE}/tests/arm64/sample_clips.py", "/tmp/clips.npz")
    print(compare(np.load(native), np.load(root.folder / "tmp/clips.npz")))
    if not short:
        root.run("sh", "-c", f"cd /{SOURCE} && exec {' '.join(map(_quote, TESTS))}")


def _quote(word: str) -> str:
    return f"'{word}'"


def compare(here: Any, there: Any) -> str:
    """Compare texts, word errors and divergence, and format the differences.

    Raises:
        SystemExit: The texts or the word error rate differ, or the divergence is too large.
    """
    for ours, theirs in zip(here["texts"], there["texts"], strict=True):
        if ours != theirs:
            sys.exit(f"arm64: other words than on this machine:\n  here   {ours}\n  there  {theirs}")
    if here["wer"] != there["wer"]:
        sys.exit(f"arm64: word error rate {there['wer']:.4f}; on this machine {here['wer']:.4f}")
    names = [name for name in here.files if name.startswith("log_probs_")]
    divergence = np.concatenate([(np.exp(here[name]) * (here[name] - there[name])).sum(-1) for name in names]).mean()
    if not divergence <= MAX_DIVERGENCE:
        sys.exit(f"arm64: KL {divergence:.1e} nats per frame from this machine; allowed {MAX_DIVERGENCE:g}")
    largest = max(float(np.abs(here[name] - there[name]).max()) for name in names)
    return (
        f"the same words as on this machine in {len(names)} clips (WER {here['wer']:.1%}), KL {divergence:.1e} nats "
        f"per frame, largest difference of a log-probability {largest:.1e}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Check the processor models one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="Folder of the arm64 root.")
    parser.add_argument("--model", action="append", dest="models", help="Processor model of qemu; repeatable.")
    parser.add_argument("--short", action="store_true", help="Leave out the tests, and check one model only.")
    options = parser.parse_args(arguments)
    models = options.models or (MODELS[-1:] if options.short else MODELS)
    native = options.root / "tmp/native.npz"
    subprocess.run([sys.executable, HERE / "sample_clips.py", native], check=True)
    if not options.short:
        bundles = options.root / TINY_BUNDLES
        bundles.mkdir(parents=True, exist_ok=True)
        write_cells_bundle(bundles / CELLS, write_tiny_bundle(bundles / TINY))
    for model in models:
        check(Root(options.root, model), options.short, native)


if __name__ == "__main__":
    main()
