"""The commands of docs/guide/training.md, one after the other, on a few seconds of tones that stand for letters."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.errors import MissingDependencyError
from edgespeech.reference.language_model.kenlm_tools import find_tool
from tests.reference.tones import HERTZ, TEXTS

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "guide" / "training.md").read_text(encoding="utf-8")
# What makes the recipe small enough for a test.
SMALLER = {
    "hidden": "24", "layers": "1", "channels": "16", "batch_seconds": "4.0", "workers": "0", "epochs": "3",
    "warmup_steps": "2", "learning_rate": "1e-2",
}  # fmt: skip


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines()]


def write_tone(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tones = [np.sin(2 * np.pi * HERTZ[letter] * np.arange(3200) / 16000) * 0.4 for letter in text]
    soundfile.write(path, np.concatenate([np.zeros(3200), *tones, np.zeros(3200)]), 16000)


def write_librispeech(folder: Path) -> None:
    for part, speakers in (("train-clean-100", (19, 26, 27)), ("dev-clean", (84,)), ("test-clean", (61,))):
        for speaker in speakers:
            chapter, lines = folder / "LibriSpeech" / part / str(speaker) / "198", []
            for index, text in enumerate(TEXTS):
                write_tone(chapter / f"{speaker}-198-{index:04}.flac", text)
                lines.append(f"{speaker}-198-{index:04} {text.upper()}\n")
            (chapter / f"{speaker}-198.trans.txt").write_text("".join(lines))


def write_common_voice(folder: Path) -> None:
    language = folder / "cv-corpus" / "en"
    rows = ["client_id\tpath\tsentence"]
    for index, text in enumerate(TEXTS):
        write_tone(language / "clips" / f"{index}.mp3", text)
        rows.append(f"c{index}\t{index}.mp3\t{text.capitalize()}.")
    (language / "train.tsv").write_text("\n".join(rows) + "\n")


def test_every_command_of_the_guide_is_one() -> None:
    programs = {line.split()[0] for line in commands()}
    assert programs == {"edgespeech", "torchrun", "shuf"} and len(commands()) == 16
    assert len(blocks("toml")) == 1
    assert all(re.search(rf"^{name} = ", blocks("toml")[0], re.MULTILINE) for name in SMALLER)


@pytest.mark.slow
def test_from_a_folder_to_a_bundle(tmp_path: Path) -> None:
    try:
        tools = find_tool("lmplz", ROOT / "work" / "kenlm" / "bin").parent
    except MissingDependencyError:
        pytest.skip("KenLM's tools are not built: make kenlm-tools")
    if shutil.which("shuf") is None:
        pytest.skip("no shuf")
    write_librispeech(tmp_path)
    write_common_voice(tmp_path)
    write_tone(tmp_path / "talk.wav", "cab ba")
    with gzip.open(tmp_path / "librispeech-lm-norm.txt.gz", "wt") as text:
        text.write("A CAB\nBA CA\nABC CAB BAC\nACB A CB\n" * 5)
    recipe = blocks("toml")[0]
    for name, value in SMALLER.items():
        recipe = re.sub(rf"^{name} = .*$", f"{name} = {value}", recipe, flags=re.MULTILINE)
    (tmp_path / "mine.toml").write_text(recipe)
    paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = {
        **os.environ, "PATH": os.pathsep.join(paths), "KENLM_BIN": str(tools), "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    for command in commands():
        small = command.replace("--nproc-per-node 8", "--nproc-per-node 2")
        done = subprocess.run(
            small, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{small}\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}"
        assert "Traceback" not in done.stderr
    assert {path.name for path in (tmp_path / "work" / "mine_scaling").glob("scaling.*")} == {
        "scaling.json",
        "scaling.png",
    }
