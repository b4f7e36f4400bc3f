"""``python -m tests.crash``: kills every writer at every point, and prints what was left as a table."""

from __future__ import annotations

import argparse
import sys

from edgespeech.runtime.measure.tables import Table, output_text
from tests.crash.killing import Result, fail_everywhere, kill_everywhere
from tests.crash.tracing import reason_to_skip
from tests.crash.writers import WRITERS, remove_inputs

HEADINGS = ("writer", "points", "old", "new", "beginning", "half", "next run fails", "files stay", "not synced")


def main() -> int:
    """Print the table; return 1 if a file was half."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("writers", nargs="*", help="names of writers (default: all)")
    parser.add_argument("--fail", action="store_true", help="let the calls fail instead, as on a full disk")
    parser.add_argument("--points", type=int, default=200, help="most points of a writer (default: 200)")
    asked = parser.parse_args()
    if reason := reason_to_skip():
        print(f"nothing was killed: {reason}")
        return 0
    results: list[Result] = []
    try:
        for writer in WRITERS:
            if asked.writers and writer.name not in asked.writers:
                continue
            if missing := writer.missing():
                print(f"{writer.name}: left out, because {' and '.join(missing)} is missing", file=sys.stderr)
                continue
            print(f"{writer.name} ...", file=sys.stderr, flush=True)
            points = asked.points // 5 if writer.is_slow else asked.points
            if asked.fail:
                results.append(Result(writer.name, faults=fail_everywhere(writer, points)))
            else:
                results.append(kill_everywhere(writer, points))
            for fault in results[-1].faults[:5]:
                print(f"{writer.name}: {fault}", file=sys.stderr, flush=True)
    finally:
        remove_inputs()
    if asked.fail:
        print(f"{len(results)} writers whose disk failed, {sum(len(one.faults) for one in results)} faults")
        return int(any(one.faults for one in results))
    rows = [[one.writer, *map(str, (one.points, one.old, one.new, one.beginning, one.half, one.again, one.left,
                                    len(one.unsynced)))] for one in results]  # fmt: skip
    print(output_text([Table(HEADINGS, rows, left=1), f"{sum(one.points for one in results)} kills"]))
    return int(any(one.half or one.again or one.left for one in results))


if __name__ == "__main__":
    sys.exit(main())
