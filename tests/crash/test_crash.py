"""Writers that are killed, or whose disk fails, leave the old file or the new one; a short form of ``make crash``."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.killing import kill_everywhere
from tests.crash.tracing import reason_to_skip
from tests.crash.writers import WRITERS, Content, Writer
from tests.test_architecture import modules, tree

NAMES = [writer.name for writer in WRITERS]
traced = pytest.mark.skipif(reason_to_skip() != "", reason=reason_to_skip() or "strace works")
# Modules that write by other means than `replacing` and its like, without a writer of the table, and why.
OTHERS = {
    "demo.reference_page": "a tool of the project itself",
    "demo.live.screenshot": "a tool of the project itself",
    "demo.experiments.training_data.recordings": "an experiment",
    "demo.experiments.vocabulary.hot_word_lists": "an experiment",
    "demo.experiments.vocabulary.mixtures": "an experiment",
    "demo.experiments.vocabulary.own_text": "an experiment",
    "reference.language_model.own_text": "in a temporary folder, to be packed",
    "demo.web.site": "in a folder of replacing_folder",
    "demo.web.compression": "in a folder of replacing_folder",
    "export.punctuation_graph": "in a temporary folder, to be compared",
    "runtime.files": "what all of them use",
    "runtime.storage.temporaries": "what all of them use",
    "runtime.storage.durability": "opens a file to sync it",
    "runtime.live.microphone": "standard error",
}


@traced
def test_killed_writers_leave_the_old_file_or_the_new_one() -> None:
    chosen = ["bundle", "manifest", "transcripts", "live --record", "live --save, JSON lines"]
    command = [sys.executable, "-m", "tests.crash", "--points", "16", *chosen]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in chosen:
        assert name in done.stdout


@traced
def test_writers_whose_disk_fails_refuse_in_one_line_and_leave_the_old_file() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash", "--fail", "--points", "10", "bundle", "manifest", "device settings"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@traced
def test_a_writer_that_is_not_safe_is_found(tmp_path: Path) -> None:
    def write(folder: Path, version: str) -> None:
        with (folder / "file").open("w") as file:
            for _ in range(3):
                file.write(version)
                file.flush()

    def read(folder: Path) -> Content:
        return (folder / "file").read_text() if (folder / "file").exists() else None

    found = kill_everywhere(Writer("unsafe", (), write, read), 100)
    assert found.half >= 5 and found.old == 2 and found.new == 0


def test_every_module_that_writes_is_in_the_table_or_has_a_reason_not_to_be() -> None:
    tested = {module for writer in WRITERS for module in writer.modules}
    writing = {name for name, path in modules().items() if _writes(tree(path))}
    assert writing - tested - set(OTHERS) == set()
    assert set(OTHERS) - writing == set() and set(OTHERS) & tested == set()


def _writes(module: ast.Module) -> bool:
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            modes = [one.value for one in (*node.args, *(key.value for key in node.keywords))
                     if isinstance(one, ast.Constant) and isinstance(one.value, str)]  # fmt: skip
            if name in ("write_text", "write_bytes"):
                return True
            if name == "open" and any(set(mode) & set("wax+") and set(mode) <= set("rwaxbt+") for mode in modes):
                return True
    return False
