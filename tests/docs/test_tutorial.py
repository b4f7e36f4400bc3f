"""The commands of docs/guide/tutorial.md, one after the other, in a copy of what they need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgespeech.errors import MissingDependencyError
from edgespeech.reference.language_model.kenlm_tools import find_tool
from tests.docs.documents import DOCS, ROOT, Block, blocks

TUTORIAL = DOCS / "guide" / "tutorial.md"
NEEDED = ("README.md", "docs", "models", "runtime")


def steps() -> list[Block]:
    """The shell blocks with a fence; the installation is an indented block."""
    return [block for block in blocks(TUTORIAL) if block.language == "sh"]


def test_the_tutorial_has_its_steps() -> None:
    commands = [line for block in steps() for line in block.text.splitlines()]
    assert len(commands) > 10 and all(command.startswith("edgespeech ") for command in commands)


@pytest.mark.slow
def test_every_command_of_the_tutorial_succeeds(tmp_path: Path) -> None:
    try:
        tools = find_tool("lmplz", ROOT / "work" / "kenlm" / "bin").parent
    except MissingDependencyError:
        pytest.skip("KenLM's tools are not built: make kenlm-tools")
    for name in NEEDED:
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "work").mkdir()
    paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = {
        **os.environ, "PATH": os.pathsep.join(paths), "KENLM_BIN": str(tools), "OMP_NUM_THREADS": "1",
        "XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }  # fmt: skip
    for block in steps():
        for command in block.text.splitlines():
            done = subprocess.run(
                command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
            )
            assert done.returncode == 0, f"{command}\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}"
            assert "Traceback" not in done.stderr
    assert {"full", "small", "lm.bin", "mine"} <= {path.name for path in (tmp_path / "work").iterdir()}
