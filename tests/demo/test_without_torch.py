"""The commands that need neither torch nor scipy nor onnx work where these are not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.runtime import audio
from edgespeech.runtime.manifest import SAMPLE_CLIPS, Utterance, read_manifest, write_manifest

# Imports of these fail as if they were not installed.
RUN = """
import sys
sys.modules.update(dict.fromkeys(("torch", "scipy", "onnx", "matplotlib", "av", "kenlm", "tomli")))
from edgespeech.demo.cli import main
sys.argv = ["edgespeech", *sys.argv[1:]]
main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short clip and its manifest, folders of noise and of rooms, a table and a recipe."""
    home = Path(tmp_path_factory.mktemp("home"))
    clip = read_manifest(SAMPLE_CLIPS)[0]
    soundfile.write(home / "a.wav", audio.read(clip.path, 16000)[:32000], 16000)
    write_manifest(home / "dev.jsonl", [Utterance("a.wav", home / "a.wav", "a few words")])
    (home / "noise").mkdir()
    (home / "rooms").mkdir()
    random = np.random.default_rng(1)
    soundfile.write(home / "noise" / "hiss.wav", 0.1 * random.standard_normal(32000), 16000)
    response = np.exp(-np.arange(4000) / 800) * random.standard_normal(4000) * 0.2
    response[0] = 1.0
    soundfile.write(home / "rooms" / "hall.wav", response / 4, 16000)
    (home / "t.csv").write_text("path,text\na.wav,a few words\n")
    (home / "run.toml").write_text('output = "out"\n[data]\ntrain = ["dev.jsonl"]\ndev = []\n')
    return home


def run(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, *line.split()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_noise_and_rooms_are_evaluated(folder: Path, tiny_bundle: Any) -> None:
    line = f"evaluate dev.jsonl --bundle {tiny_bundle.folder} --rooms rooms --noise noise --snr 20,5 --json"
    done = run(folder, line)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(row) for row in done.stdout.splitlines()]
    assert [row["condition"] for row in rows] == ["as recorded", "noise, 20 dB", "noise, 5 dB", "rooms"]


@pytest.mark.parametrize(
    "line",
    [
        "info {}",
        "verify {}",
        "transcribe noise/hiss.wav --bundle {}",
        "data check dev.jsonl",
        pytest.param("data check run.toml", marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="needs tomli")),
        "data csv t.csv -o csv.jsonl",
        "confidence dev.jsonl --bundle {}",
        "evaluate dev.jsonl --bundle {} --confusions 2",
    ],
)
def test_the_other_commands_work(folder: Path, tiny_bundle: Any, line: str) -> None:
    done = run(folder, line.format(tiny_bundle.folder))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("line", "extra"),
    [
        ("export a.pt -o out", "export"),
        ("quantize {} -o out --precision int8", "export"),
        ("calibrate a.pt -o b.pt --speech dev.jsonl", "train"),
        ("average a.pt -o b.pt", "train"),
        ("train run.toml", "train"),
        ("bench --checkpoint a.pt", "export"),
    ],
)
def test_those_that_need_them_name_the_extra(folder: Path, tiny_bundle: Any, line: str, extra: str) -> None:
    done = run(folder, line.format(tiny_bundle.folder))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"pip install 'edgespeech[{extra}]'" in done.stderr
