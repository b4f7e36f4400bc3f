"""Install edgespeech as a user does, and run what a user runs first.

It needs only the standard library of Python 3.10 or newer; the Python that runs this script is the one that is tested.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

SEARCH = "from edgespeech.runtime.decoder.native.library import search_kind; print(search_kind().name)"
README = Path(__file__).resolve().parent.parent / "README.md"
CLIPS = (
    "from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest; print(read_manifest(SAMPLE_CLIPS)[0].path)"
)
NO_COMPILER = {"CC": "false", "CXX": "false"}


def readme_block() -> str:
    """The Python code of README.md."""
    (block,) = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return str(block)


def run(command: Sequence[str | Path], shown: str, wanted: str = "") -> str:
    """Run a command; end with its output if it fails, prints a traceback, or its output does not match."""
    began = time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    print(f"  {shown}: {time.monotonic() - began:.1f} s", flush=True)
    if done.returncode or "Traceback" in output or not re.search(wanted, done.stdout):
        raise SystemExit(f"exit code {done.returncode}, wanted 0 and {wanted!r} in the output:\n{output}")
    return done.stdout


def main(source: str, folder: Path, search: str) -> None:
    """Make the environment and run the commands; the first that fails ends the check."""
    print(f"Python {sys.version.split()[0]}, {source}")
    python, edgespeech = folder / "bin" / "python", folder / "bin" / "edgespeech"
    run([sys.executable, "-m", "venv", "--clear", folder], "venv")
    run([python, "-m", "pip", "install", "--quiet", f"{source}[cpu,mic]"], "pip install '.[cpu,mic]'")
    run([python, "-c", "from importlib.util import find_spec; assert not find_spec('kenlm')"], "kenlm is missing")
    run([python, "-c", SEARCH], f"the search is {search}", rf"^{search}$")
    clip = run([python, "-c", CLIPS], "find a sample clip").strip()
    run([edgespeech, "doctor"], "edgespeech doctor", r"(?m)^bundle +ok")
    for arguments, wanted in (
        (["transcribe", clip], r"\w+ \w+ \w+"),
        (["live", "--replay", clip, "--speed", "0"], r"\w+ \w+ \w+"),
        (["verify"], "the language model loads"),
        (["info"], "latency"),
        (
            ["bench", "--quick", "--threads", "1", "--no-streams", "--launches", "1", "--json"],
            '"format":"edgespeech-bench"',
        ),
    ):
        run([edgespeech, *arguments], f"edgespeech {' '.join(arguments).replace(clip, 'CLIP')}", wanted)
    run([python, "-c", readme_block()], "the Python block of README.md", r"(?m)^final \w+")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="what pip can install: a wheel, a source distribution or a folder")
    parser.add_argument("folder", type=Path, help="folder of the new environment")
    parser.add_argument("--search", choices=["native", "numpy"], required=True, help="the search that is expected")
    parser.add_argument("--no-compiler", action="store_true", help="let the compilers of this machine fail")
    return parser.parse_args()


if __name__ == "__main__":
    options = parse()
    if options.no_compiler:
        os.environ.update(NO_COMPILER)
    main(options.source, options.folder.absolute(), options.search)
