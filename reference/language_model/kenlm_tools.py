"""KenLM's programs lmplz and build_binary: where they are, and running them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edgespeech.errors import LanguageModelError, MissingDependencyError


def find_tool(name: str, folder: Path | None = None) -> Path:
    """Find one of KenLM's programs in ``folder``, or by default in $KENLM_BIN, work/kenlm/bin and the PATH.

    Raises:
        MissingDependencyError: It is not there; the message says how to build it.
    """
    places = [folder] if folder else [Path("work/kenlm/bin")]
    if folder is None and (named := os.environ.get("KENLM_BIN")):
        places.insert(0, Path(named))
    for place in places:
        if found := shutil.which(name, path=str(place.absolute())):
            return Path(found)
    if folder is None and (found := shutil.which(name)):
        return Path(found)
    where = f"in {folder}" if folder else "in $KENLM_BIN, work/kenlm/bin or on the PATH"
    raise MissingDependencyError(
        f"KenLM's {name} was not found {where}; build it with 'make kenlm-tools' (see CONTRIBUTING.md) or set KENLM_BIN"
    )


def run_tool(command: Sequence[str | Path], output: Path | None = None) -> None:
    """Run a program with its standard output in a file; if it fails, its last message is a LanguageModelError."""
    with open(output or os.devnull, "wb") as out:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        name = Path(command[0]).name
        raise LanguageModelError(f"{name} ended with {done.returncode}: {lines[-1] if lines else 'no message'}")
