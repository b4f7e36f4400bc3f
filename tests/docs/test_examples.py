"""The programs of docs/examples, each run on sample clips, as a person without a microphone would try them."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from edgespeech import Event, Word
from edgespeech.runtime.live.sources import Replay
from edgespeech.runtime.manifest import SAMPLE_CLIPS
from tests.docs.documents import DOCS, ROOT, inline_code
from tests.test_packaging import repository_files

EXAMPLES = DOCS / "examples"
NOTEBOOK = EXAMPLES / "checkpoint_to_bundle.ipynb"
CLIP = SAMPLE_CLIPS.parent / "speechocean762-012280206.opus"
TEXT = "he will be back in the new year"
OTHER_CLIP = SAMPLE_CLIPS.parent / "speechocean762-081530167.opus"
OTHER_TEXT = "you have no friends and in good hands"
ENVIRONMENT = {
    **os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
}  # fmt: skip


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import an example, whose recordings are then played as fast as possible."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "Replay", partial(Replay, speed=0))
    return module


def run(*arguments: object, folder: Path | None = None, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(one) for one in arguments],
        env=ENVIRONMENT, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        timeout=seconds,
    )  # fmt: skip


def code_cells() -> list[str]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_the_index_names_every_example() -> None:
    named = {text.rstrip("/") for text, _ in inline_code(EXAMPLES / "README.md")}
    there = {path.name for path in EXAMPLES.iterdir() if path.name not in {"README.md", "__pycache__"}}
    assert there - named == set()


def test_a_command_that_is_spoken_calls_its_function(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example, called = load("voice_commands", monkeypatch), []
    commands = {"we will be back in the new year": lambda: called.append("back"), **example.COMMANDS}
    for clip in (CLIP, OTHER_CLIP):
        example.listen(example.open_source(clip), commands)
    assert called == ["back"]
    assert "understood: we will be back" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "confidence", "command"),
    [
        ("turn on the light", 0.9, "turn on the light"),
        ("<unknown> turn on the light", 0.9, "turn on the light"),
        ("turn on the light", 0.3, None),
        ("<unknown>", 1.0, None),
        ("", 1.0, None),
    ],
)
def test_uncertain_words_and_other_speech_are_no_commands(
    monkeypatch: pytest.MonkeyPatch, text: str, confidence: float, command: str | None
) -> None:
    example = load("voice_commands", monkeypatch)
    words = tuple(Word(word, 0.0, 1.0, confidence) for word in text.split())
    event = Event("final", text, text, "", 0.0, 1.0, words)
    assert example.find_command(event, example.COMMANDS) == command


def test_streams_of_one_event_loop_do_not_disturb_each_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = load("asyncio_streams", monkeypatch)
    asyncio.run(example.main([str(CLIP), str(OTHER_CLIP)]))
    lines = capsys.readouterr().out.splitlines()
    assert {line.partition(": ")[2] for line in lines[:2]} == {TEXT, OTHER_TEXT}
    assert re.fullmatch(r"meanwhile the event loop ran \d+ ticks", lines[2])


def test_a_thread_recognises_while_the_main_thread_shows_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = load("threads", monkeypatch)
    monkeypatch.setattr(sys, "argv", ["threads.py", str(CLIP)])
    example.main()
    shown = [line.strip() for line in capsys.readouterr().out.replace("\r", "\n").splitlines()]
    assert "we will be" in shown and shown[-1] == f"0.8 s  {TEXT}"


@pytest.mark.parametrize("name", ["voice_commands", "asyncio_streams", "threads", "pyinstaller/app"])
def test_a_recording_that_does_not_exist_is_one_line(name: str) -> None:
    done = run(sys.executable, EXAMPLES / f"{name}.py", "missing.wav")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "missing.wav" in done.stderr


def test_captions_for_obs_appear_in_the_file_and_leave_it(tmp_path: Path) -> None:
    captions = tmp_path / "captions.txt"
    captions.write_text("of an earlier session")
    process = subprocess.Popen(
        ["sh", EXAMPLES / "obs_captions.sh", "--replay", CLIP, "--speed", "2"],
        env={**ENVIRONMENT, "CAPTIONS": str(captions)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    shown = set()
    while process.poll() is None:
        shown.add(captions.read_text())
        time.sleep(0.01)
    out, _ = process.communicate()
    assert process.returncode == 0 and out.startswith(f"captions for OBS: {captions}\n"), out
    assert any("in the ne" in text for text in shown) and captions.read_text() == ""


def test_the_notebook_is_valid_and_has_no_outputs() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    assert all(cell["outputs"] == [] for cell in notebook["cells"] if cell["cell_type"] == "code")
    for number, cell in enumerate(code_cells()):
        compile(cell, f"cell {number}", "exec")


@pytest.mark.slow
def test_the_notebook_makes_a_bundle(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    for name in ("models", "runtime"):
        (tmp_path / name).symlink_to(ROOT / name)
    done = run(sys.executable, "-c", "\n".join(code_cells()), folder=tmp_path, seconds=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "5 x 384 LSTM" in done.stdout and "final    twenty" in done.stdout
    rates = [float(rate) for rate in re.findall(r"^(?:fp32|int8): ([\d.]+)% word errors$", done.stdout, re.MULTILINE)]
    assert len(rates) == 2 and max(rates) < 40


@pytest.mark.slow
@pytest.mark.parametrize("name", ["asyncio_streams", "threads"])
def test_recordings_are_recognised_in_real_time(name: str) -> None:
    done = run(sys.executable, EXAMPLES / f"{name}.py", CLIP)
    assert done.returncode == 0 and TEXT in done.stdout, done.stderr


@pytest.mark.slow
def test_the_frozen_application_runs_in_another_folder_without_python(tmp_path: Path) -> None:
    """PyInstaller needs a package instead of an editable installation, and would collect the torch of the tests."""
    pytest.importorskip("PyInstaller")
    source, site, app = tmp_path / "source", tmp_path / "site", EXAMPLES / "pyinstaller"
    for path in repository_files():
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    install = run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, source, seconds=300)
    assert install.returncode == 0, install.stderr
    build = subprocess.run(
        [sys.executable, "-m", "PyInstaller", "--clean", "--log-level", "WARN", "--additional-hooks-dir", app,
         *(word for name in ("av", "matplotlib", "onnx", "scipy", "torch") for word in ("--exclude-module", name)),
         "--distpath", tmp_path / "dist", "--workpath", tmp_path / "build", "--specpath", tmp_path, app / "app.py"],
        env={**ENVIRONMENT, "PYTHONPATH": str(site)}, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert build.returncode == 0, build.stderr[-2000:]
    moved = (tmp_path / "dist" / "app").rename(tmp_path / "moved")
    shutil.rmtree(site)
    done = subprocess.run([moved / "app", CLIP], env={}, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, TEXT), done.stderr
    compiled = list((ROOT / "runtime" / "decoder" / "native").glob("_search.*"))
    assert bool(list(moved.rglob("native/_search.*"))) == bool(compiled)
