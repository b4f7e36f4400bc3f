"""``python -m tests.fuzz``: damaged and hostile inputs of every kind, and a table of what became of them."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

from edgespeech.runtime.measure.tables import Table, output_text
from tests.fuzz.campaign import Campaign, Tally
from tests.fuzz.kinds import KINDS

KEEP = Path(__file__).parents[2] / "work" / "fuzz"


def main() -> int:
    """Run the campaigns that the arguments ask for; return 1 if there was a finding."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--kind", choices=["all", *KINDS], action="append", help="kind of input; repeatable")
    parser.add_argument("--inputs", type=int, default=10_000, help="inputs in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of all inputs (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after this time, between two inputs")
    parser.add_argument("--resume", action="store_true", help="continue the run of this seed")
    parser.add_argument("--keep", type=Path, default=KEEP, help="folder of findings (default: work/fuzz)")
    parser.add_argument("--replay", type=int, metavar="NUMBER", help="use one input of --kind again, and end")
    wanted = parser.parse_args()
    every = [name for name, (_, _, share) in KINDS.items() if share]
    names = every if not wanted.kind or "all" in wanted.kind else list(dict.fromkeys(wanted.kind))
    if wanted.replay is not None:
        return _replay(names[0], wanted.seed, wanted.replay, wanted.keep)
    end = time.monotonic() + wanted.minutes * 60.0
    shares = {name: KINDS[name][2] or 1 for name in names}
    tallies: dict[str, Tally] = {}
    left = sum(shares.values())
    for name in names:
        # What a kind leaves of its time is that of the others.
        deadline = min(end, time.monotonic() + (end - time.monotonic()) * shares[name] / left)
        left -= shares[name]
        inputs = -(-wanted.inputs * shares[name] // sum(shares.values()))
        campaign = Campaign(name, wanted.seed, wanted.keep, wanted.resume)
        tallies[name] = campaign.run(inputs, deadline, lambda tally, name=name: _report(name, tally))  # type: ignore[misc]
    print(output_text([_table(tallies)], False))
    findings = [(name, *finding) for name, tally in tallies.items() for finding in tally.findings]
    seen: set[tuple[str, str]] = set()
    for name, number, what, words in findings:
        if (name, words) not in seen:
            seen.add((name, words))
            print(f"{what}: {words}; python -m tests.fuzz --kind {name} --seed {wanted.seed} --replay {number}")
    return 0 if all(tally.is_clean for tally in tallies.values()) else 1


def _report(name: str, tally: Tally) -> None:
    faults = tally.tracebacks + tally.hangs + tally.crashes
    print(f"{name}: {tally.inputs} inputs, {faults} findings", file=sys.stderr, flush=True)


def _replay(name: str, seed: int, number: int, keep: Path) -> int:
    folder = keep / "replay"
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "tests.fuzz.worker", name, str(seed), str(number), "0", str(folder)]
    return subprocess.run(command, check=False).returncode


def _table(tallies: dict[str, Tally]) -> Table:
    total = Tally()
    rows = []
    for name, tally in [*tallies.items(), ("all", total)]:  # the last one has the sums when its turn comes
        counts = (tally.inputs, tally.accepted, tally.refused, tally.tracebacks, tally.hangs, tally.crashes)
        rows.append([name, *(f"{count}" for count in counts), f"{tally.peak_mb:.0f}", f"{tally.cpu_seconds:.0f}"])
        for key in ("inputs", "accepted", "refused", "tracebacks", "hangs", "crashes", "cpu_seconds"):
            setattr(total, key, getattr(total, key) + getattr(tally, key))
        total.peak_mb = max(total.peak_mb, tally.peak_mb)
    names = ("kind", "inputs", "accepted", "refused", "tracebacks", "hangs", "crashes", "peak MB", "CPU s")
    return Table(names, rows)


if __name__ == "__main__":
    sys.exit(main())
