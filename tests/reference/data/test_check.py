"""`data check` drops every faulty clip for its own reason and keeps dev apart from training."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.runtime.manifest import read_manifest

Command = Callable[..., Any]
RATE = 16000
SENTENCE = "the quick brown fox jumps over the lazy dog"


def write_speech(folder: Path, name: str, lines: list[tuple[str, str, str]], seconds: float = 4.0) -> Path:
    """Write a manifest ``folder/name.jsonl`` of (audio file, speaker, text); every new file has its own tone."""
    folder.mkdir(exist_ok=True)
    for index, (audio, _, _) in enumerate(lines):
        if not (folder / audio).exists() and not audio.startswith("lost"):
            hertz = 200.0 + 10.0 * index + 3.0 * len(name)
            tone = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)
            soundfile.write(folder / audio, tone, RATE)
    manifest = folder / f"{name}.jsonl"
    objects = ({"audio_filepath": audio, "speaker": who, "text": text} for audio, who, text in lines)
    manifest.write_text("".join(json.dumps(one) + "\n" for one in objects))
    return manifest


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """Write training speech with one clip of each kind that repeats dev, and a missing file."""
    write_speech(tmp_path / "dev", "dev", [("a.wav", "dora", SENTENCE), ("b.wav", "dora", "yes")])
    soundfile.write(tmp_path / "dev" / "c.wav", np.zeros(0), RATE)
    train = [
        ("1.wav", "tom", "good morning to you"),
        ("2.wav", "dora", "words of another kind"),
        ("3.wav", "tom", "a very quick brown fox jumps over the hedge"),
        ("4.wav", "tom", "yes"),
        ("1.wav", "tom", "good morning to you"),
        ("lost.wav", "tom", "nothing there"),
    ]
    write_speech(tmp_path / "corpus", "train", train)
    sound, _ = soundfile.read(tmp_path / "dev" / "a.wav")
    soundfile.write(tmp_path / "corpus" / "5.wav", sound, RATE)
    with (tmp_path / "corpus" / "train.jsonl").open("a") as manifest:
        manifest.write(json.dumps({"audio_filepath": "5.wav", "text": "some other text"}) + "\n")
    path = tmp_path / "run.toml"
    path.write_text('output = "out"\n[data]\ntrain = ["corpus/train.jsonl"]\ndev = ["dev/dev.jsonl"]\n')
    return path


def test_speakers_sentences_and_recordings_of_dev_are_dropped(
    edgespeech: Command, configuration: Path, tmp_path: Path
) -> None:
    outcome = edgespeech("data", "check", configuration, "--json", "--jobs", "2", "-o", tmp_path / "clean.jsonl")
    assert outcome.code == 0 and outcome.err.strip().endswith("clean.jsonl: 2 clips")
    found = json.loads(outcome.out)
    assert {one["audio_filepath"]: one["reason"] for one in found["train"]["dropped"]} == {
        "1.wav": "duplicate",  # its second line
        "2.wav": "speaker of the dev speech",
        "3.wav": "sentence of the dev speech",
        "lost.wav": "missing file",
        "5.wav": "duplicate",  # of a dev recording
    }
    sums = found["train"]["all"]
    assert (sums["clips"], sums["kept"], sums["speakers"]) == (7, 2, 1)
    assert sums["kept_hours"] == pytest.approx(8.0 / 3600.0)
    assert found["dev"]["all"]["kept"] == 2 and found["dev"]["dropped"] == []
    kept = read_manifest(tmp_path / "clean.jsonl", check_files=True)
    assert [(one.audio_filepath, one.duration, one.speaker, one.text) for one in kept] == [
        ("corpus/1.wav", 4.0, "tom", "good morning to you"),
        ("corpus/4.wav", 4.0, "tom", "yes"),
    ]


def test_the_table_has_hours_and_reasons_with_an_example(edgespeech: Command, configuration: Path) -> None:
    outcome = edgespeech("data", "check", configuration)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0].split() == "to train on clips hours kept hours speakers".split()
    assert lines[1].split()[:2] == ["corpus/train.jsonl", "7"]
    assert lines[3].split() == "dropped from reason for example clips hours".split()
    assert lines[4].split() == ["corpus/train.jsonl", "duplicate", "1.wav", "2", "0.00"]
    assert any(line.split()[1:] == ["missing", "file", "lost.wav", "1", "0.00"] for line in lines)
    assert any(line.startswith("kept apart (dev)") for line in lines)


def test_manifests_are_checked_with_and_without_dev(edgespeech: Command, tmp_path: Path) -> None:
    train = write_speech(tmp_path / "x", "train", [("1.wav", "tom", SENTENCE), ("2.wav", "ann", "good morning")])
    other = write_speech(tmp_path / "y", "train", [("1.wav", "eve", "good evening")], seconds=3.0)
    found = json.loads(edgespeech("data", "check", train, other, "--json").out)
    assert [corpus["kept"] for corpus in found["train"]["corpora"]] == [2, 1] and found["dev"]["corpora"] == []
    dev = write_speech(tmp_path / "z", "dev", [("1.wav", "ann", SENTENCE)], seconds=5.0)
    outcome = edgespeech("data", "check", train, other, "--dev", dev, "--headers-only", "--json")
    assert {one["reason"] for one in json.loads(outcome.out)["train"]["dropped"]} == {
        "speaker of the dev speech",
        "sentence of the dev speech",
    }


@pytest.mark.parametrize("name", ["dev.json", "dev.manifest"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_dev_sentences_are_kept_apart_whatever_the_name_of_their_manifest(
    edgespeech: Command, tmp_path: Path, name: str, mark: str
) -> None:
    sentences = (SENTENCE, "mr brown reads")
    train = write_speech(tmp_path / "x", "train", [(f"{n}.wav", "tom", text) for n, text in enumerate(sentences)])
    train.write_text(train.read_text() + json.dumps({"audio_filepath": "0.wav", "offset": 0.5, "text": "hello there"}))
    dev = tmp_path / "z" / name
    lines = [(f"{n}.wav", "ann", text) for n, text in enumerate(sentences)]
    write_speech(tmp_path / "z", "dev", lines, 5.0).rename(dev)
    dev.write_text(mark + dev.read_text(), encoding="utf-8")
    found = json.loads(edgespeech("data", "check", train, "--dev", dev, "--headers-only", "--json").out)
    assert [one["reason"] for one in found["train"]["dropped"]] == ["sentence of the dev speech"] * 2


def test_texts_far_from_the_pace_of_their_corpus_are_dropped(edgespeech: Command, tmp_path: Path) -> None:
    lines = [(f"{index}.wav", "tom", "twenty letters spoken") for index in range(24)]
    manifest = write_speech(tmp_path / "x", "train", [*lines, ("slow.wav", "tom", "a")])
    dropped = json.loads(edgespeech("data", "check", manifest, "--json").out)["train"]["dropped"]
    assert [(one["audio_filepath"], one["reason"]) for one in dropped] == [
        ("slow.wav", "text far too long or too short for the recording")
    ]


def test_errors_are_one_line_and_write_nothing(edgespeech: Command, configuration: Path, tmp_path: Path) -> None:
    lost = write_speech(tmp_path / "x", "train", [("lost.wav", "tom", SENTENCE)])
    for arguments, message in (
        ((lost, "-o", tmp_path / "clean.jsonl"), "no usable clip in .*train.jsonl: 1 missing file"),
        ((tmp_path / "no.jsonl",), "no.jsonl does not exist"),
        ((tmp_path / "no.toml",), "cannot read the configuration"),
        ((configuration, lost), "give one .toml file or manifests only"),
        ((configuration, "-o", tmp_path / "no" / "clean.jsonl"), "cannot write"),
        ((configuration, "--jobs", "0"), "--jobs"),
    ):
        outcome = edgespeech("data", "check", *arguments)
        assert outcome.code == 2, message
        assert outcome.err.count("\n") == 1 and outcome.err.startswith("edgespeech: ")
        assert re.search(message, outcome.err)
    assert not (tmp_path / "clean.jsonl").exists()
