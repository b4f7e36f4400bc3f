"""Chinese text in the live view: two columns for each character, and lines that end anywhere between two."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.console import Console

from edgespeech.demo.live.layout import MAX_PARTIAL_LINES, Layout
from edgespeech.runtime.transcript import Event
from tests.runtime.live.stand_ins import final

TEXT = "".join(map(chr, range(0x4E00, 0x4E00 + 60)))


@pytest.mark.parametrize("width", [12, 20, 21, 60, 61])
def test_no_line_is_wider_than_the_terminal_and_no_character_is_lost(width: int) -> None:
    layout = Layout(Console(width=width))
    lines = [line.plain for line in layout.final(final(TEXT, 61.0))]
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace("01:01", "").replace(" ", "") == TEXT
    indent = min(cell_len(line) - cell_len(line.lstrip()) for line in lines[1:])
    assert indent in (0, 2, 7)
    partial = layout.partial(Event("partial", TEXT, TEXT[:20], TEXT[20:]))
    assert len(partial) <= MAX_PARTIAL_LINES
    assert all(line.cell_len <= width for line in partial)
    assert partial[-1].plain.endswith(TEXT[-1])
