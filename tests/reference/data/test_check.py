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
from tests.markdown_tables import cells

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
    lines = [cells(line) for line in outcome.out.splitlines()]
    assert lines[0] == ["to train on", "clips", "hours", "kept", "hours", "speakers"]
    assert lines[2][:2] == ["corpus/train.jsonl", "7"]
    assert lines[4] == ["dropped from", "reason", "for example", "clips", "hours"]
    assert lines[6] == ["corpus/train.jsonl", "duplicate", "1.wav", "2", "0.00"]
    assert ["corpus/train.jsonl", "missing file", "lost.wav", "1", "0.00"] in lines
    assert any(line[:1] == ["kept apart (dev)"] for line in lines)


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


def german(folder: Path) -> Path:
    texts = ["Das Schiff fährt.", "öfter fahren wir, ja", "zwei mal 2", "ganz ohne", "Grüße - überall"]
    return write_speech(folder, "train", [(f"{index}.wav", "eva", text) for index, text in enumerate(texts)])


def test_characters_without_a_label_are_listed_with_place_and_advice(edgespeech: Command, tmp_path: Path) -> None:
    outcome = edgespeech("data", "check", german(tmp_path / "x"), "--headers-only")
    assert outcome.code == 0
    rows = [re.split(r" *\| *", line.strip("| ")) for line in outcome.out.splitlines() if "U+" in line]
    assert rows == [
        ["ü", "U+00FC", "LATIN SMALL LETTER U WITH DIAERESIS", "train.jsonl:5", "2", "1"],
        ["ä", "U+00E4", "LATIN SMALL LETTER A WITH DIAERESIS", "train.jsonl:1", "1", "1"],
        [".", "U+002E", "FULL STOP", "train.jsonl:1", "1", "1"],
        ["ö", "U+00F6", "LATIN SMALL LETTER O WITH DIAERESIS", "train.jsonl:2", "1", "1"],
        [",", "U+002C", "COMMA", "train.jsonl:2", "1", "1"],
        ["2", "U+0032", "DIGIT TWO", "train.jsonl:3", "1", "1"],
        ["ß", "U+00DF", "LATIN SMALL LETTER SHARP S", "train.jsonl:5", "1", "1"],
        ["-", "U+002D", "HYPHEN-MINUS", "train.jsonl:5", "1", "1"],
    ]
    assert outcome.err.splitlines() == [
        "if ßäöü are letters of the language, list them: labels in the recipe, or --labels for manifests",
        "write numbers as the words that are spoken",
    ]
    found = json.loads(edgespeech("data", "check", german(tmp_path / "y"), "--headers-only", "--json").out)
    assert found["characters"][1] == {
        "character": "ä", "code": "U+00E4", "name": "LATIN SMALL LETTER A WITH DIAERESIS", "count": 1, "texts": 1,
        "manifest": str(tmp_path / "y" / "train.jsonl"), "line": 1,
    }  # fmt: skip


def test_texts_are_normalised_as_evaluate_does(edgespeech: Command, tmp_path: Path) -> None:
    manifest, clean = german(tmp_path / "x"), tmp_path / "clean.jsonl"
    write_speech(tmp_path / "z", "dev", [("1.wav", "ann", "Üben, üben!")])
    labels = "abcdefghijklmnopqrstuvwxyz 'äöüß"
    outcome = edgespeech("data", "check", manifest, "--headers-only", "--labels", labels, "-o", clean)
    assert "3 of the 4 texts can be used with --normalise: lower case, no punctuation" in outcome.err
    assert [one.text for one in read_manifest(clean)] == ["ganz ohne"]
    arguments = [manifest, "--headers-only", "--labels", labels, "-o", clean, "--overwrite", "--normalise"]
    outcome = edgespeech("data", "check", *arguments)
    assert outcome.err.splitlines()[0].startswith(f"{manifest}: 3 of 5 texts were normalised (lower case, no punct")
    texts = ["das schiff fährt", "öfter fahren wir ja", "ganz ohne", "grüße überall"]
    assert [one.text for one in read_manifest(clean)] == texts
    (tmp_path / "run.toml").write_text(
        f"labels = \"{labels}\"\noutput = 'out'\n[data]\ntrain = ['x/train.jsonl']\ndev = ['z/dev.jsonl']\n"
    )
    outcome = edgespeech("data", "check", tmp_path / "run.toml", "--headers-only", "--json", "--normalise")
    assert [one["character"] for one in json.loads(outcome.out)["characters"]] == ["2"]
    outcome = edgespeech("data", "check", tmp_path / "run.toml", "--labels", labels)
    assert outcome.code == 2 and "give labels in the recipe" in outcome.err


def test_without_any_usable_clip_the_error_names_the_characters(edgespeech: Command, tmp_path: Path) -> None:
    train = write_speech(tmp_path / "x", "train", [("1.wav", "eva", "fährt"), ("2.wav", "eva", "schön, ja")])
    outcome = edgespeech("data", "check", train, "--headers-only")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "2 text with a character that no label has; no label for 'ä' U+00E4 (1), 'ö' U+00F6 (1)" in outcome.err
    assert "if äö are letters of the language, list them: labels in the recipe" in outcome.err


def test_control_characters_and_accents_are_shown_as_far_as_possible(edgespeech: Command, tmp_path: Path) -> None:
    lines = [("1.wav", "a", "one\u200b two\x07"), ("2.wav", "a", "x\u0302 y"), ("3.wav", "a", "good")]
    train = write_speech(tmp_path / "x", "train", [*lines, ("4.wav", "a", "".join(map(chr, range(0x4E00, 0x4E20))))])
    outcome = edgespeech("data", "check", train, "--headers-only")
    assert "U+200B" in outcome.out and "ZERO WIDTH SPACE" in outcome.out and "(Cc)" in outcome.out
    assert "\u25cc\u0302" in outcome.out and "\u200b" not in outcome.out and "\x07" not in outcome.out
    assert outcome.out.count("U+") == 20 and "15 rarer characters have no label either; --json lists" in outcome.err
