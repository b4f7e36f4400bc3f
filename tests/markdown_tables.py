"""Markdown tables that tests read."""

from __future__ import annotations


def cells(line: str) -> list[str]:
    """Return the cells of a line of a Markdown table; another line has none."""
    return [cell.strip() for cell in line.split("|")[1:-1]]
