"""Ask for known vulnerabilities of the locked runtime libraries, and say clearly what has not been answered.

    python .ci/audit.py requirements-runtime.txt

It runs pip-audit through uv. The exit code is 0 if all packages were looked up and none has a known vulnerability, 1 if
one has, and 3 if there was no answer about some of them, as without a network.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

PIP_AUDIT = "pip-audit==2.10.1"
SECONDS = 300.0


def ask(requirements: str) -> list[dict[str, Any]] | str:
    """Return what pip-audit says of each package, or why it says nothing."""
    command = [sys.executable, "-m", "uv", "tool", "run", "--quiet", "--from", PIP_AUDIT, "pip-audit"]
    command += ["--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    try:
        done = subprocess.run(
            [*command, "--requirement", requirements], capture_output=True, text=True, timeout=SECONDS, check=False
        )
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        return f"no answer in {SECONDS:g} s"
    except (ValueError, KeyError):
        return (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return found


def judge(found: list[dict[str, Any]] | str) -> tuple[int, list[str]]:
    """Return the exit code and the lines to print."""
    if isinstance(found, str):
        return 3, [f"audit: not done, because pip-audit gave no answer: {found}"]
    lines = [
        f"{one['name']} {one['version']}: {known['id']}, fixed in {', '.join(known['fix_versions']) or 'no version'}"
        for one in found
        for known in one.get("vulns", ())
    ]
    unanswered = [one["name"] for one in found if "skip_reason" in one]
    answered = len(found) - len(unanswered)
    summary = f"audit: {answered} of {len(found)} packages looked up, {len(lines)} known vulnerabilities"
    if unanswered:
        summary += f"; no answer about {', '.join(unanswered)}: this package index has no data, ask again elsewhere"
    return (1 if lines else 3 if unanswered else 0), [*lines, summary]


if __name__ == "__main__":
    code, lines = judge(ask(sys.argv[1]))
    print("\n".join(lines))
    sys.exit(code)
