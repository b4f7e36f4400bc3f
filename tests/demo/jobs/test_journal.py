"""JSON lines that are continued: what was complete stays, what was torn goes, and nobody else writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgespeech.demo.jobs.journal import Journal
from edgespeech.errors import UsageError


def test_a_torn_line_is_removed_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    complete = b'{"file": "a"}\n{"file": "b"}\n'
    path.write_bytes(complete + b'{"file": "c", "te' + b"x" * 100_000)
    with Journal(path, resume=True, overwrite=False) as journal:
        assert [line["file"] for line in journal.lines()] == ["a", "b"]
        journal.write('{"file": "c"}')
        assert path.read_bytes() == complete + b'{"file": "c"}\n'


def test_a_file_of_one_torn_line_becomes_empty(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"{" * 70_000)
    with Journal(path, resume=True, overwrite=False) as journal:
        assert list(journal.lines()) == []
    assert path.read_bytes() == b""


def test_what_exists_is_neither_lost_nor_mixed(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text('{"file": "a"}\n[1]\n')
    with pytest.raises(UsageError, match="exists; give --resume"):
        Journal(path, resume=False, overwrite=False)
    with pytest.raises(UsageError, match="exclude each other"):
        Journal(path, resume=True, overwrite=True)
    with Journal(path, resume=True, overwrite=False) as journal, pytest.raises(UsageError, match="jsonl:2 is not"):
        list(journal.lines())
    with Journal(path, resume=False, overwrite=True):
        assert path.read_bytes() == b""


def test_only_one_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with Journal(path, resume=False, overwrite=False), pytest.raises(UsageError, match="written by another process"):
        Journal(path, resume=True, overwrite=False).__enter__()
