"""Kills a writer at each of its system calls that change the disk, before the call, and looks at what is left."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.tracing import REFUSED, Point, child, list_points, trace, wait
from tests.crash.writers import Content, Writer

# What the system says of a full disk, a used quota, a broken disk, and one that became read-only.
ERRORS = ("ENOSPC", "EDQUOT", "EIO", "EROFS")
_ALLOWED_TO_FAIL = {"unlink", "unlinkat", "rmdir", "chmod", "fchmodat"}  # cleaning up


@dataclass
class Result:
    """What was found after killing a writer at its points; ``beginning`` counts valid prefixes of files that grow."""

    writer: str
    points: int = 0
    old: int = 0
    new: int = 0
    beginning: int = 0
    half: int = 0
    again: int = 0
    left: int = 0
    unsynced: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def kill_everywhere(writer: Writer, most: int) -> Result:
    """Kill a writer at its points, at most this many, evenly spread; without and with an older version there."""
    result = Result(writer.name)
    with tempfile.TemporaryDirectory(prefix="edgespeech-crash-") as name:
        for has_old in (False, True):
            base = Path(name) / ("with old" if has_old else "empty") / "base"
            base.mkdir(parents=True)
            if has_old:
                writer.write(base, "old")
            _kill_from(writer, base, -(-most // 2), result)
    return result


def _kill_from(writer: Writer, base: Path, most: int, result: Result) -> None:
    old = writer.read(base)
    whole = _copy(base)
    points, result.unsynced = list_points(writer, whole)
    new, names = writer.read(whole), _names(whole)
    step = max(1.0, len(points) / most)
    for point in dict.fromkeys(points[int(index * step)] for index in range(min(most, len(points)))):
        folder = _copy(base)
        with child(writer, folder) as (process, go):
            trace(process, go, f"--trace={point.call}", f"--inject={point.call}:signal=KILL:when={point.number}")
        result.points += 1
        _judge(writer, folder, point, (old, new), result)
        with child(writer, folder) as (process, go):
            go()
            code = wait(process)
        try:
            repeated = code == 0 and (writer.grows or writer.read(folder) == new)
        except Exception:
            repeated = False
        if not repeated:
            result.again += 1
            result.faults.append(f"{point}: the next run failed")
        if extra := _names(folder) - names:
            result.left += 1
            result.faults.append(f"{point}: {', '.join(sorted(extra))} stays")
        shutil.rmtree(folder)


def _judge(writer: Writer, folder: Path, point: Point, known: tuple[Content, Content], result: Result) -> None:
    old, new = known
    try:
        found = writer.read(folder)
    except Exception as error:
        result.half += 1
        result.faults.append(f"{point}: {type(error).__name__}: {error}")
        return
    if found == new:
        result.new += 1
    elif found == old:
        result.old += 1
    elif writer.grows and new.startswith(found or b""):
        result.beginning += 1
    else:
        result.half += 1
        result.faults.append(f"{point}: {str(found)[:100]!r}")


def _copy(base: Path) -> Path:
    folder = base.with_name("work")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base, folder)
    return folder


def _names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def fail_everywhere(writer: Writer, most: int) -> list[str]:
    """Let the calls of a writer fail, each in its own run; return what went wrong.

    A writer may refuse with an error of the package or carry on, and leaves the old version or the new one.
    """
    found: list[str] = []
    with tempfile.TemporaryDirectory(prefix="edgespeech-crash-") as name:
        base = Path(name) / "base"
        base.mkdir()
        writer.write(base, "old")
        whole = _copy(base)
        points, _ = list_points(writer, whole)
        new, names = writer.read(whole), _names(whole)
        points = [point for point in points if point.call not in _ALLOWED_TO_FAIL]
        step = max(1.0, len(points) / most)
        for index in range(min(most, len(points))):
            point, error = points[int(index * step)], ERRORS[index % len(ERRORS)]
            folder = _copy(base)
            # A disk that is full stays so.
            when = f"{point.number}+" if "write" in point.call else str(point.number)
            with child(writer, folder) as (process, go):
                code = trace(process, go, f"--trace={point.call}", f"--inject={point.call}:error={error}:when={when}")
            result = Result(writer.name)
            _judge(writer, folder, point, (writer.read(base), new), result)
            if code not in (0, REFUSED):
                result.faults.append(f"{point}: ended with {code}")
            if extra := _names(folder) - names:
                result.faults.append(f"{point}: {', '.join(sorted(extra))} stays")
            found += [f"{error}: {fault}" for fault in result.faults]
    return found
