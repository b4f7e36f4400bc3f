"""`.ci/step.py`, which shows what a long step of a make target does."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / ".ci" / "step.py"

# What pip 23 to 26 print for a library of some size, one from its cache, one from a folder, and at the end.
WHEEL = "  Downloading numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl (16.9 MB)"
METADATA = "  Downloading numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl.metadata (6.6 kB)"
SMALL = "  Downloading iniconfig-2.3.1-py3-none-any.whl (7.5 kB)"
SOURCE = "  Downloading https://host/packages/kenlm-0.3.0.tar.gz (12.4 MB)"
TORCH = "Processing /wheels/torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl (from edgespeech==0.1.0)"


@pytest.fixture
def step() -> ModuleType:
    spec = importlib.util.spec_from_file_location("step", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("line", "shown", "doing"),
    [
        (WHEEL, "    numpy 2.4.6, 16.9 MB", "downloading numpy"),
        (SOURCE, "    kenlm 0.3.0, 12.4 MB", "downloading kenlm"),
        (METADATA, "", "before"),
        (SMALL, "", "before"),
        (TORCH, "", "reading torch"),
        ("Collecting onnxruntime!=1.21.0,>=1.17 (from edgespeech==0.1.0)", "", "looking for onnxruntime"),
        ("Building editable for edgespeech (pyproject.toml): started", "", "building edgespeech"),
        ("Installing collected packages: a, b, c", "    unpacking 3 packages", "unpacking 3 packages"),
        ("[ 45%] Building CXX object util/CMakeFiles/kenlm_util.dir/bit_packing.cc.o", "", "compiling, 45 %"),
        ("WARNING: Location 'file:///x' is ignored", "", "before"),
    ],
)
def test_what_matters_of_the_output_is_shown(step: ModuleType, line: str, shown: str, doing: str) -> None:
    assert step.describe(line, "before") == (shown, doing)


def run(step: ModuleType, program: str) -> int:
    return int(step.main(["a title", "--", sys.executable, "-c", program]))


def test_a_silent_command_is_reported_as_alive(
    step: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(step, "SILENCE", 0.1)
    assert run(step, f"import time; print({WHEEL!r}, flush=True); time.sleep(1)") == 0
    first, *waiting, last = capsys.readouterr().out.splitlines()
    assert first == "a title ..." and "done in" in last
    assert "    numpy 2.4.6, 16.9 MB" in waiting and any("still downloading numpy" in line for line in waiting)


def test_lines_that_are_not_shown_do_not_count_as_signs_of_life(
    step: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(step, "SILENCE", 0.3)
    program = "import time\nfor _ in range(20):\n    print('Collecting click', flush=True); time.sleep(0.05)"
    assert run(step, program) == 0
    assert "still looking for click" in capsys.readouterr().out


def test_a_failure_shows_the_output_and_keeps_the_exit_code(
    step: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(step, "import sys; print('the reason'); sys.exit(3)") == 3
    out = capsys.readouterr().out
    assert "the reason" in out and "failed after" in out and "done" not in out


@pytest.mark.parametrize(
    ("line", "warned"),
    [
        ("Collecting nvidia-cudnn-cu13==9.20.0.48 (from torch==2.13.0)", True),
        ("Collecting cuda-toolkit[cublas]==13.0.2 (from torch==2.13.0)", True),
        ("Collecting nvidia-ml-py>=12", False),
        ("Collecting torch>=2.4", False),
    ],
)
def test_cuda_libraries_are_announced_before_they_are_downloaded(
    step: ModuleType, capsys: pytest.CaptureFixture[str], line: str, warned: bool
) -> None:
    assert run(step, f"print({line!r})\nprint({line!r})") == 0
    assert capsys.readouterr().out.count("PIP_EXTRA_INDEX_URL=INDEX make test") == warned


def test_a_title_and_a_command_are_needed(step: ModuleType) -> None:
    with pytest.raises(SystemExit, match="usage"):
        step.main(["a title", "python"])
