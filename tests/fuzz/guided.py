"""``python -m tests.fuzz.guided --kind KIND``: inputs that atheris looks for by the lines of our code that they reach.

It mutates the chance that makes an input, so that inputs have the structure of their kind; see `tests.fuzz` for runs
without it, which need nothing but our own libraries and can be repeated by number.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import warnings
from pathlib import Path
from random import Random

from tests.fuzz.kinds import KINDS, make_kind

KEEP = Path(__file__).parents[2] / "work" / "fuzz" / "guided"
_START_BYTES = 512  # of a first input; what an input needs beyond its bytes is drawn by chance


class GivenChance(Random):
    """Chance that reads its decisions from bytes, and draws those behind their end."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._data, self._at = data, 0

    def getrandbits(self, k: int, /) -> int:
        """Return the next whole bytes as a number of ``k`` bits."""
        count = -(-k // 8)
        taken = self._data[self._at : self._at + count]
        if len(taken) < count:
            return super().getrandbits(k)
        self._at += count
        return int.from_bytes(taken, "little") >> (8 * count - k)

    def random(self) -> float:
        """Return a number from 0 to 1 of the next seven bytes."""
        return self.getrandbits(53) / (1 << 53)


def main() -> int:
    """Look for findings of one kind until the time is over; atheris ends the process at the first one."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided", description=__doc__)
    parser.add_argument("--kind", required=True, help="kind of input, as in python -m tests.fuzz")
    parser.add_argument("--minutes", type=float, default=5.0, help="length of the run (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the mutations (default: %(default)s)")
    wanted = parser.parse_args()
    try:
        import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ModuleNotFoundError:
        print("atheris is not installed; wanted it for this run, and pip install atheris brings it", file=sys.stderr)
        return 2
    if wanted.kind not in KINDS:
        print(f"no kind {wanted.kind!r}; wanted one of {', '.join(KINDS)}", file=sys.stderr)
        return 2
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    folder = KEEP / wanted.kind
    inputs, corpus = folder / "inputs", folder / "corpus"
    shutil.rmtree(inputs, ignore_errors=True)
    for made in (inputs, corpus):
        made.mkdir(parents=True, exist_ok=True)
    if not any(corpus.iterdir()):
        for number in range(32):
            (corpus / f"first-{number}").write_bytes(Random(number).randbytes(_START_BYTES))
    with atheris.instrument_imports(include=["edgespeech"]):
        from tests.fuzz.worker import use

        kind = make_kind(wanted.kind, inputs)

    def run_one(data: bytes) -> None:
        fault = use(kind, kind.make(GivenChance(data)))
        if fault:
            raise AssertionError(fault)

    arguments = [sys.argv[0], str(corpus), f"-max_total_time={round(60 * wanted.minutes)}", f"-seed={wanted.seed}"]
    arguments += ["-timeout=30", "-rss_limit_mb=3072", f"-artifact_prefix={folder}/", "-print_final_stats=1"]
    atheris.Setup(arguments, run_one)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
