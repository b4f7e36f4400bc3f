"""The unit for systemd: what it starts exists, and systemd accepts every line."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgespeech.demo.commands.serve import serve
from edgespeech.demo.server.request import ServeRequest
from tests.docs.documents import DOCS

UNIT = DOCS / "examples" / "edgespeech.service"
GUIDE = DOCS / "guide" / "server-operation.md"


@pytest.fixture
def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNIT)
    return parser


def test_it_starts_the_server_that_the_guide_installs(unit: configparser.ConfigParser) -> None:
    program, command, *options = shlex.split(unit["Service"]["ExecStart"])
    text = GUIDE.read_text(encoding="utf-8")
    assert command == "serve" and str(Path(program).parent / "pip") in text
    assert unit["Service"]["EnvironmentFile"].lstrip("-") in text
    assert serve.make_context("serve", list(options)).params["host"] == "127.0.0.1"


def test_the_environment_of_the_guide_has_options() -> None:
    known = {f"EDGESPEECH_{one.name.upper()}" for one in serve.params if one.name}
    used = set(re.findall(r"EDGESPEECH_[A-Z_]+(?==)", GUIDE.read_text(encoding="utf-8"))) - {"EDGESPEECH_NAME"}
    assert used and used <= known


def test_open_streams_have_their_time_before_it_is_killed(unit: configparser.ConfigParser) -> None:
    assert float(unit["Service"]["TimeoutStopSec"]) > ServeRequest().grace_seconds + 10.0
    assert unit["Service"]["KillMode"] == "mixed"


def test_systemd_accepts_it(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs the program systemd-analyze")
    copy = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8").replace("/opt/edgespeech/bin/edgespeech", sys.executable)
    copy.write_text(text, encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False, timeout=60)
    if "Failed to initialize" in done.stderr or "Failed to create" in done.stderr:
        pytest.skip("systemd-analyze cannot run here")
    assert (done.returncode, [line for line in done.stderr.splitlines() if UNIT.name in line]) == (0, []), done.stderr
