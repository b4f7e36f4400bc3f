"""German from a table to text: labels in the recipe, umlauts in the language model, the bundle and the word errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.errors import MissingDependencyError
from edgespeech.reference.language_model.kenlm_tools import find_tool
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.manifest import read_manifest

Command = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]
LABELS = " 'abcdefghijklmnopqrstuvwxyzäöüß"
LETTERS = "äöüßa"  # every letter is a tone
WORDS = [first + second for first in LETTERS for second in LETTERS if first != second]
RECIPE = f"""
name = "deutsch"
output = "out"
labels = "{LABELS}"

[model]
cell = "gru"
hidden = 32
layers = 1
lookahead_frames = 1

[model.features]
bins = 16

[[model.convolutions]]
channels = 24
kernel = 5
stride = 4

[data]
train = ["train.jsonl"]
dev = ["train.jsonl"]
batch_seconds = 4.0
workers = 0

[augmentation]
speed_prob = 0.0
frequency_mask_bins = 2
time_mask_fraction = 0.0

[optimisation]
epochs = 30
learning_rate = 2e-2
warmup_steps = 5
ema_decay = 0.8
dropout = 0.0
precision = "float32"
evaluate_every = 30
threads = 1
"""


def write_tones(folder: Path) -> None:
    """Write a recording for every word, and a table of them with capitals and punctuation."""
    rows = ["path,text"]
    for number, word in enumerate(WORDS):
        tones = [np.sin(2 * np.pi * 300.0 * 1.75 ** LETTERS.index(one) * np.arange(3200) / 16000) * 0.4 for one in word]
        samples = np.concatenate([np.zeros(4800), *tones, np.zeros(4800)])
        noise = 0.003 * np.random.default_rng(number).standard_normal(len(samples))
        soundfile.write(folder / f"{number}.wav", samples + noise, 16000)
        rows.append(f'{number}.wav,"{word[0].upper() if word[0] != "ß" else "ß"}{word[1]}!"')
    (folder / "train.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "run.toml").write_text(RECIPE, encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Path(tmp_path_factory.mktemp("deutsch"))
    write_tones(home)
    return home


@pytest.fixture
def german(folder: Path, edgespeech: Command, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with a trained model and its bundle, made by the first test that needs it."""
    monkeypatch.chdir(folder)
    if not (folder / "bundle").exists():
        for line in ("data csv train.csv -o train.jsonl --labels", "train run.toml", "export out/best.pt -o bundle"):
            outcome = edgespeech(*line.split(), *([LABELS] if line.endswith("--labels") else []))
            assert outcome.code == 0, outcome.err
    return folder


def test_umlauts_are_trained_exported_and_recognised(german: Path, edgespeech: Command) -> None:
    assert [one.text for one in read_manifest("train.jsonl")] == WORDS
    assert load_bundle("bundle").manifest.labels == ("", *LABELS)
    recordings = [f"{number}.wav" for number in range(len(WORDS))]
    outcome = edgespeech("transcribe", *recordings, "--bundle", "bundle", "--format", "json")
    assert [json.loads(line)["text"] for line in outcome.out.splitlines()] == WORDS
    assert edgespeech("verify", "bundle").code == 0


@pytest.mark.parametrize("form", ["as in the table", "with accents of their own"])
def test_word_errors_keep_umlauts(german: Path, edgespeech: Command, form: str) -> None:
    texts = [f"{word[0].upper()}{word[1]} -- " if word[0] != "ß" else f"„{word}“" for word in WORDS]
    if form == "with accents of their own":
        texts = [text.replace("ä", "a\u0308").replace("Ö", "O\u0308") for text in texts]
    lines = [json.dumps({"audio_filepath": f"{number}.wav", "text": text}) for number, text in enumerate(texts)]
    Path("dev.jsonl").write_text("\n".join(lines), encoding="utf-8")
    found = json.loads(edgespeech("evaluate", "dev.jsonl", "--bundle", "bundle", "--json").out)
    assert (found["wer"], found["words"]) == (0.0, len(WORDS)) and found["normalised"] == len(WORDS)
    plain = [json.dumps({"audio_filepath": f"{n}.wav", "text": word.replace("ä", "a")}) for n, word in enumerate(WORDS)]
    Path("dev.jsonl").write_text("\n".join(plain), encoding="utf-8")
    assert json.loads(edgespeech("evaluate", "dev.jsonl", "--bundle", "bundle", "--json").out)["substitutions"] > 4


def test_a_language_model_keeps_umlauts(
    german: Path, edgespeech: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    try:
        tools = find_tool("lmplz", ROOT / "work" / "kenlm" / "bin").parent
    except MissingDependencyError:
        pytest.skip("KenLM's tools are not built: make kenlm-tools")
    monkeypatch.setenv("KENLM_BIN", str(tools))
    text = tmp_path / "text.txt"
    text.write_text("\n".join(f"{word.capitalize()}, Äö ßü." for word in WORDS) + "\n", encoding="utf-8")
    build = ["lm", "build", text, "--prune", "0", "--held-out-fraction", "0"]
    for name, options in (("labels", ["--labels", LABELS]), ("bundle", ["--bundle", "bundle"])):
        outcome = edgespeech(*build, "-o", tmp_path / f"{name}.bin", *options)
        assert outcome.code == 0 and "lose the accents" not in outcome.err, outcome.err
    assert (tmp_path / "labels.bin").read_bytes() == (tmp_path / "bundle.bin").read_bytes()
    assert {"äö", "ßü", "öß"} <= set(LanguageModel(tmp_path / "labels.bin").vocabulary or ())
    outcome = edgespeech(*build, "-o", tmp_path / "english.bin")
    assert outcome.code == 2 or "lose the accents of ä, ö" in outcome.err
    export = ["export", "out/best.pt", "-o", tmp_path / "with-lm", "--lm", tmp_path / "labels.bin", "--alpha", "0.2"]
    outcome = edgespeech(*export)
    assert outcome.code == 0 and "spell" not in outcome.err, outcome.err
    words = [WORDS.index(word) for word in ("äö", "ßü")]
    outcome = edgespeech("transcribe", *(f"{number}.wav" for number in words), "--bundle", tmp_path / "with-lm")
    assert [line.split("\t")[1] for line in outcome.out.splitlines()] == ["äö", "ßü"]


def test_the_recipe_of_another_alphabet_is_checked(german: Path, edgespeech: Command) -> None:
    lines = [
        json.dumps({"audio_filepath": "0.wav", "text": "äö"}),
        json.dumps({"audio_filepath": "1.wav", "text": "ño"}),
    ]
    Path("mixed.jsonl").write_text("\n".join(lines), encoding="utf-8")
    outcome = edgespeech("data", "check", "mixed.jsonl", "--labels", LABELS, "--headers-only")
    assert outcome.code == 0 and "LATIN SMALL LETTER N WITH TILDE" in outcome.out
    Path("english.toml").write_text(RECIPE.replace(LABELS, " abc").replace('"out"', '"out2"'), encoding="utf-8")
    outcome = edgespeech("train", "english.toml")
    assert outcome.code == 2 and "`edgespeech data check` names the characters" in outcome.err
    resumed = RECIPE.replace(LABELS, LABELS + "é").replace("epochs = 30", "epochs = 31")
    Path("more.toml").write_text(resumed, encoding="utf-8")
    assert "has other labels than the configuration gives" in edgespeech("train", "more.toml", "--resume").err
