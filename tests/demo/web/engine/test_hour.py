"""A long stream in Node: memory and time per chunk do not grow."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.demo.web.engine.hour import command

MINUTES = 10


@pytest.mark.slow
def test_memory_and_time_per_chunk_stay_flat(node: str, onnxruntime_web: Path, tmp_path: Path) -> None:
    finished = subprocess.run(
        command(MINUTES, tmp_path / "speech.f32", node), capture_output=True, text=True, check=True, timeout=1200.0
    )
    rows = [list(map(float, line.split())) for line in finished.stdout.splitlines()[1:-1]]
    names = ("rtf", "graph", "p50", "p99", "rss", "heap", "buffers", "words")
    minutes = {int(row[0]): dict(zip(names, row[1:], strict=True)) for row in rows}
    third, last = minutes[3], minutes[MINUTES]
    assert last["heap"] < third["heap"] + 5.0
    assert last["buffers"] < third["buffers"] + 15.0
    assert last["rss"] < third["rss"] + 60.0
    search = [minutes[minute]["rtf"] - minutes[minute]["graph"] for minute in (3, MINUTES)]
    assert search[1] < 3.0 * search[0], "the search takes more and more time"
    assert last["words"] > 80 * MINUTES, "hardly any words were recognised"
