"""Check edgespeech on processor models of Arm, under emulation.

``python -m tests.arm64.check ROOT`` runs doctor, verify, the sample clips and the tests of the runtime in a root that
``root.sh`` made; ``--short`` runs everything but the tests, on one model, and ``--bundle`` compares another bundle.
What is compared with this machine are texts, word errors and divergence: the numbers of log-probabilities differ
between processors (docs/results/quantization.md).
"""

from __future__ import annotations

import argparse
import resource
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
MODELS = (
    "cortex-a72",
    "cortex-a76",
)  # Raspberry Pi 4 without, 5 with dot product; a Jetson Orin is close to the latter
# Without the compiled search everything fails instead of going on with the one in numpy.
NATIVE = ("env", "EDGESPEECH_SEARCH=native")
SOURCE, BUNDLE = Path("opt/source"), Path("tmp/bundle")
EDGESPEECH = ("python3", "-m", "edgespeech.demo.cli")
# Nats per frame between this machine and an Arm one: 1e-4 was measured, and 3.7e-3 for int8 against float32.
MAX_DIVERGENCE = 1e-3
TESTS = (
    *("python3", "-m", "pytest", "-q", "-x", "-o", "filterwarnings=default", "-p", "no:cacheprovider"),
    *("-m", "not slow", "tests/runtime", "tests/test_default_bundle.py"),
    *("--ignore", "tests/runtime/live/test_virtual_microphone.py"),
)


@dataclass(frozen=True)
class Root:
    """An arm64 root and the processor model that its commands run on."""

    folder: Path
    model: str

    def run(self, *command: str) -> None:
        """Run a command in the root; a failure ends this program."""
        shown = " ".join(command)
        print(f"\n== {self.model}: {shown[:100]}", flush=True)
        began, before = time.monotonic(), _children_seconds()
        done = subprocess.run([HERE / "root.sh", "run", self.folder, self.model, *NATIVE, *command], check=False)
        print(f"-- {time.monotonic() - began:.0f} s, {_children_seconds() - before:.0f} s of CPU time", flush=True)
        if done.returncode != 0:
            sys.exit(f"arm64: {shown[:100]} ended with exit code {done.returncode} on {self.model}")


@dataclass(frozen=True)
class Request:
    """What to check: results of this machine, without the tests, and another bundle than the default one."""

    native: Path
    short: bool
    bundle: Path | None


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def check(root: Root, request: Request) -> None:
    """Run all checks on one processor model."""
    if request.bundle is not None:
        shutil.copytree(request.bundle, root.folder / BUNDLE, dirs_exist_ok=True)
        root.run(*EDGESPEECH, "verify", f"/{BUNDLE}")
        root.run("python3", f"/{SOURCE}/tests/arm64/sample_clips.py", "/tmp/clips.npz", f"/{BUNDLE}")
        print(compare(np.load(request.native), np.load(root.folder / "tmp/clips.npz"), words=False))
        return
    root.run(*EDGESPEECH, "doctor")
    root.run(*EDGESPEECH, "verify")
    root.run("python3", f"/{SOURCE}/tests/arm64/sample_clips.py", "/tmp/clips.npz")
    print(compare(np.load(request.native), np.load(root.folder / "tmp/clips.npz")))
    if not request.short:
        root.run("sh", "-c", f"cd /{SOURCE} && exec {shlex.join(TESTS)}")


def compare(here: Any, there: Any, words: bool = True) -> str:
    """Compare texts, word errors and divergence, and format the differences.

    Args:
        here: Results of this machine.
        there: Results of the other one.
        words: Whether other words are a failure.

    Raises:
        SystemExit: The texts or the word error rate differ, or the divergence is too large.
    """
    equal = 0
    for ours, theirs in zip(here["texts"], there["texts"], strict=True):
        equal += int(ours == theirs)
        if words and ours != theirs:
            sys.exit(f"arm64: other words than on this machine:\n  here   {ours}\n  there  {theirs}")
    if words and here["wer"] != there["wer"]:
        sys.exit(f"arm64: word error rate {there['wer']:.4f}; on this machine {here['wer']:.4f}")
    names = [name for name in here.files if name.startswith("log_probs_")]
    ours, theirs = (np.concatenate([results[name] for name in names]) for results in (here, there))
    divergence = (np.exp(ours) * (ours - theirs)).sum(-1).mean()
    if not divergence <= MAX_DIVERGENCE:
        sys.exit(f"arm64: KL {divergence:.1e} nats per frame from this machine; allowed {MAX_DIVERGENCE:g}")
    return (
        f"beside this machine: {equal} of {len(names)} texts equal, WER {there['wer']:.1%} and {here['wer']:.1%}, "
        f"KL {divergence:.1e} nats per frame, same best label {np.mean(ours.argmax(-1) == theirs.argmax(-1)):.2%}, "
        f"largest difference of a log-probability {np.abs(ours - theirs).max():.1e}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Check the processor models one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="Folder of the arm64 root.")
    parser.add_argument("--model", action="append", dest="models", help="Processor model of qemu; repeatable.")
    parser.add_argument("--short", action="store_true", help="Leave out the tests, and check one model only.")
    parser.add_argument("--bundle", type=Path, help="Compare the results of this bundle instead.")
    options = parser.parse_args(arguments)
    native = options.root / "tmp/native.npz"
    bundles = [] if options.bundle is None else [options.bundle]
    subprocess.run([sys.executable, HERE / "sample_clips.py", native, *bundles], check=True)
    for model in options.models or (MODELS[-1:] if options.short else MODELS):
        check(Root(options.root, model), Request(native, options.short, options.bundle))


if __name__ == "__main__":
    main()
