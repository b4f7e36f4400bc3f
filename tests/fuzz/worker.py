"""The process that uses the inputs of one kind: ``python -m tests.fuzz.worker KIND SEED FIRST COUNT FOLDER``.

Whatever an input does to it, the process that watches it (`tests.fuzz.campaign`) knows which one it was.
"""

from __future__ import annotations

import faulthandler
import logging
import resource
import shutil
import sys
import time
import traceback
import warnings
from pathlib import Path
from random import Random

import psutil

from edgespeech.errors import EdgespeechError
from tests.fuzz.kind import Kind
from tests.fuzz.kinds import make_kind
from tests.fuzz.progress import Progress, ProgressFile

MAX_BYTES = 2 << 30  # of memory that inputs may take
_SEEN_EVERY = 16  # inputs between two looks at the memory


def chance_of(kind: str, seed: int, number: int) -> Random:
    """Return the chance that makes an input."""
    return Random(f"{kind}:{seed}:{number}")


def describe_fault(error: BaseException) -> str:
    """Return the traceback, and first of all where the error was raised, by which faults of a kind are one."""
    first = error.__cause__ or error
    frames = traceback.extract_tb(first.__traceback__)
    ours = [frame for frame in frames if "tests/fuzz" not in frame.filename]
    where = f"{Path(ours[-1].filename).name}:{ours[-1].name}" if ours else "?"
    return f"{type(first).__name__} in {where}\n{''.join(traceback.format_exception(error))}"


def use(kind: Kind[object], given: object) -> str | None:
    """Use an input; return whether it was accepted (""), refused (None), or what it raised.

    A refusal is one line and has the exit code 1 or 2.
    """
    try:
        kind.run(given)
    except EdgespeechError as error:
        text = str(error)
        if not text or len(text.splitlines()) != 1 or error.exit_code not in (1, 2):
            return describe_fault(error)
        return None
    except Exception as error:
        return describe_fault(error)
    return ""


def run(name: str, seed: int, first: int, count: int, folder: Path) -> None:
    """Use the inputs ``first`` .. ``first + count``, and keep those that raise something."""
    inputs = folder / "inputs"
    shutil.rmtree(inputs, ignore_errors=True)
    inputs.mkdir(parents=True)
    kind = make_kind(name, inputs)
    for number in range(3):  # what is imported and compiled by the first inputs is not theirs
        use(kind, kind.make(Random(number)))
    this = psutil.Process()
    memory = this.memory_info()
    resource.setrlimit(resource.RLIMIT_AS, (memory.vms + MAX_BYTES, resource.RLIM_INFINITY))
    file, progress = ProgressFile(folder / "progress"), Progress(loaded=memory.rss)
    for number in range(first, first + count):
        given = kind.make(chance_of(name, seed, number))
        progress = progress._replace(number=number, began=time.process_time())
        file.write(progress)
        outcome = use(kind, given)
        if outcome is None:
            progress = progress._replace(refused=progress.refused + 1)
        elif not outcome:
            progress = progress._replace(accepted=progress.accepted + 1)
        else:
            progress = progress._replace(tracebacks=progress.tracebacks + 1)
            (folder / f"traceback-{number}.txt").write_text(outcome, errors="replace")
        if number % _SEEN_EVERY == 0:
            progress = progress._replace(peak_bytes=max(progress.peak_bytes, this.memory_info().rss))
    file.write(progress._replace(done=1, peak_bytes=max(progress.peak_bytes, this.memory_info().rss)))


def main() -> None:
    """Run a worker, or with COUNT 0 the input FIRST alone and print what it did."""
    name, seed, first, count, folder = sys.argv[1], *map(int, sys.argv[2:5]), Path(sys.argv[5])
    faulthandler.enable()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    if count:
        run(name, seed, first, count, folder)
        return
    folder.mkdir(parents=True, exist_ok=True)
    kind = make_kind(name, folder)
    given = kind.make(chance_of(name, seed, first))
    try:
        kind.run(given)
        print("accepted")
    except EdgespeechError as error:
        print(f"refused: {error}")


if __name__ == "__main__":
    main()
