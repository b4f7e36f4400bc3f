"""Compressed copies of files beside them, which web servers send in their place."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edgespeech.runtime.dependencies import require

SUFFIXES = {"gzip": ".gz", "brotli": ".br"}


def compressors(with_brotli: bool) -> dict[str, Callable[[bytes], bytes]]:
    """Return the functions that compress as strongly as the methods allow; zlib and brotli release Python's lock.

    Raises:
        MissingDependencyError: The package brotli is wanted and not installed.
    """
    found: dict[str, Callable[[bytes], bytes]] = {"gzip": lambda data: gzip.compress(data, 9, mtime=0)}
    if with_brotli:
        require("brotli", "serve")
        import brotli  # type: ignore[import-untyped]

        found["brotli"] = lambda data: brotli.compress(data, quality=11, lgwin=24)
    return found


def compress_files(
    folder: Path, names: Iterable[str], methods: Mapping[str, Callable[[bytes], bytes]]
) -> dict[str, dict[str, int]]:
    """Write a compressed copy of each file wherever it is smaller.

    Returns:
        For each name the size in bytes as it is transferred: ``raw``, and for each method the smaller of both.
    """

    def shrink(name: str) -> dict[str, int]:
        data = (folder / name).read_bytes()
        sizes = {"raw": len(data)}
        for method, compress in methods.items():
            packed = compress(data)
            sizes[method] = min(len(packed), len(data))
            if len(packed) < len(data):
                (folder / f"{name}{SUFFIXES[method]}").write_bytes(packed)
        return sizes

    names = list(names)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(names, pool.map(shrink, names), strict=True))
