"""Links that lead out of a folder: even the question what is there could reach another computer."""

from __future__ import annotations

import os
from pathlib import Path

_MAX_LINKS = 8  # one after the other


def find_outer_link(folder: Path, name: str, links: int = 0) -> str | None:
    """Follow the links of a path inside a folder; return where the first one that leaves the folder leads, or None.

    Nothing outside of the folder is touched. Links in a circle lead out of it too.
    """
    parts = Path(name).parts
    if Path(name).anchor or parts[:1] == (os.pardir,) or links > _MAX_LINKS:
        return name
    for end in range(1, len(parts) + 1):
        place = folder.joinpath(*parts[:end])
        if place.is_symlink():
            target = os.path.join(*parts[: end - 1], os.readlink(place), *parts[end:])
            return find_outer_link(folder, os.path.normpath(target), links + 1)
    return None
