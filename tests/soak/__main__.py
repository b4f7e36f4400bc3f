"""``python -m tests.soak live|server|report --hours 24``: the long runs, which go on where they were stopped."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

FOLDER = Path("work/soak")


def main() -> int:
    """Run what is asked for, and print the figures; return 1 if something grew or words differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("what", choices=("live", "reference", "server", "report", "all"))
    parser.add_argument("--hours", type=float, default=24.0, help="hours of audio (default: 24)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="what is written down (default: work/soak)")
    parser.add_argument("--picture", type=Path, help="a PNG of memory and latency over time")
    asked = parser.parse_args()
    parts = max(1, round(asked.hours * 6))
    if asked.what in ("live", "reference", "all"):
        from tests.soak import live

        if asked.what != "reference":
            live.run_faulty(asked.folder, parts)
            live.run_plain(asked.folder)
        live.run_reference(asked.folder, parts)
    if asked.what in ("server", "all"):
        from tests.soak import server

        server.run_server(asked.folder, asked.hours)
    if asked.what in ("report", "all"):
        from tests.soak.report import report

        return report(asked.folder, asked.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
