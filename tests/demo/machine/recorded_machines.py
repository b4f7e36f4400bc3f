"""What several machines say about themselves, as it stands in ``recorded/``, put where a test can read it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

RECORDED = Path(__file__).parent / "recorded"


def recorded(name: str) -> dict[str, str]:
    """Files and outputs of tools of a machine."""
    pieces = re.split(r"^== (.+)\n", (RECORDED / f"{name}.txt").read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def machine(name: str, root: Path) -> Path:
    """Lay out a machine's files below a folder."""
    for path, content in recorded(name).items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        padding = "\0" if "device-tree" in path else ""  # the kernel ends these with a zero
        target.write_text(content.rstrip("\n") + padding if padding else content, "utf-8")
    return root


def tools(name: str) -> Callable[[Sequence[str]], str | None]:
    """Answers of a machine's tools; those that it does not have answer None."""
    return lambda command: recorded(name).get(command[0])
