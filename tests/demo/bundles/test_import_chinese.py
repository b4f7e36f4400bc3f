"""A tiny Chinese model of PaddleSpeech with 4,000 labels: import, int8, language model of characters, live, SRT."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgespeech.errors import EdgespeechError
from edgespeech.reference.language_model.kenlm_tools import find_tool
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from tests.reference.foreign.originals import paddlespeech

CHARACTERS = "".join(map(chr, range(0x4E00, 0x4E00 + 3997)))  # with blank, unknown and end of sentence: 4,000 labels
WIDTH = 64  # of the input of the output layer
Command = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home: Path = tmp_path_factory.mktemp("chinese")
    paddlespeech(home / "release", hidden=24, layers=1, connected=(WIDTH,), characters=CHARACTERS)
    draw = np.random.default_rng(1)
    lines = ("".join(draw.choice(list(CHARACTERS), 12)) for _ in range(2000))
    (home / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    clip = read_manifest(SAMPLE_CLIPS)[2]
    line = {"audio_filepath": str(clip.path), "text": CHARACTERS[:20]}
    (home / "speech.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    return home


@pytest.mark.slow
def test_a_chinese_model_goes_all_the_way(edgespeech: Command, folder: Path) -> None:
    try:
        find_tool("lmplz")
    except EdgespeechError:
        pytest.skip("KenLM's programs are not here")

    def run(*arguments: object) -> str:
        outcome = edgespeech(*arguments)
        assert outcome.code == 0, outcome.err
        return str(outcome.out)

    speech, lm, bundle, clip = (
        folder / "speech.jsonl",
        folder / "lm.bin",
        folder / "small",
        read_manifest(SAMPLE_CLIPS)[2],
    )
    printed = run("import", folder / "release", "-o", folder / "model.pt")
    assert "4000: blank" in printed and "streams exactly" in printed
    run("export", folder / "model.pt", "-o", folder / "full", "--speech", speech)
    run(
        "lm",
        "build",
        folder / "text.txt",
        "-o",
        lm,
        "--unit",
        "character",
        "--prune",
        "0 0",
        "--order",
        "2",
        "--bundle",
        folder / "full",
    )
    run("export", folder / "model.pt", "-o", bundle, "--speech", speech, "--precision", "int8", "--lm", lm)
    manifest = load_bundle(bundle).manifest
    assert len(manifest.labels) == 4000 and manifest.graph.precision == "int8"
    saved = load_bundle(folder / "full").manifest.files["acoustic.onnx"].bytes - manifest.files["acoustic.onnx"].bytes
    assert saved > 0.7 * WIDTH * 4000 * 4  # the output layer has a quarter of its bytes
    assert "the language model loads and fits the labels: 2-gram" in run("verify", bundle)
    captions = run("transcribe", clip.path, "--bundle", bundle, "--format", "srt")
    lines = [line for line in captions.splitlines() if line and not line.isascii()]
    assert lines and max(map(len, lines)) <= 21
    found = json.loads(run("transcribe", clip.path, "--bundle", bundle, "--format", "json"))
    words = found["words"]
    assert "".join(word["word"] for word in words) == found["text"].replace(" ", "")
    assert len(words) > 10 and {len(word["word"]) for word in words} == {1}
    assert len({word["start"] for word in words}) > len(words) // 2
    events = run("live", "--bundle", bundle, "--replay", clip.path, "--speed", "20", "--json").splitlines()
    finals = [event["text"] for event in map(json.loads, events) if event["type"] == "final"]
    assert "".join(finals).replace("\ufffd", "").strip() and set("".join(finals)) <= {
        *manifest.labels,
        *"".join(manifest.labels),
        " ",
    }
    found = json.loads(run("evaluate", speech, "--bundle", bundle, "--json"))
    assert found["words"] == 20 and found["wer"] == found["cer"] and found["unit"] == "character"
    assert run("evaluate", speech, "--bundle", bundle).startswith("CER ")
