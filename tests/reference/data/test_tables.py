"""Tables become manifests by the command that the error names; other alphabets keep their letters."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.runtime.bundle import DEFAULT_BUNDLE
from edgespeech.runtime.manifest import read_manifest

Command = Callable[..., Any]
GERMAN = " 'abcdefghijklmnopqrstuvwxyzäöüß"


def sound(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(16000) * 0.1), 16000)


# Name of the table, its text, how it is named, and what the manifest then has: recording, text, speaker.
TABLES: list[tuple[str, str, str, list[tuple[str, str, str | None]]]] = [
    ("paths.csv", 'path,text\na.wav,"Hello, there!"\nb.wav,Good morning\n', "a CSV with the columns path, text",
     [("a.wav", "hello there", None), ("b.wav", "good morning", None)]),
    ("shop.csv", "Wav_Filename;Wav_Filesize;Transcript;Speaker_ID\na.wav;3;Hello;ann\n",
     "a CSV table divided by semicolons with the columns Wav_Filename, Wav_Filesize, Transcript, Speaker_ID",
     [("a.wav", "hello", "ann")]),
    ("plain.csv", "a.wav,hello\nb.wav,\"two\nlines\"\n", "a CSV of recordings and texts",
     [("a.wav", "hello", None), ("b.wav", "two lines", None)]),
    ("list.txt", 'a.wav\t"Hello"\n', "a TSV of recordings and texts", [("a.wav", "hello", None)]),
    ("bom.tsv", "\ufefffile\tsentence\r\na.wav\tHello\r\n", "a TSV with the columns file, sentence",
     [("a.wav", "hello", None)]),
    ("bars.csv", "audio|speaker|text\na.wav|eve|Hello\n", "a table divided by | with the columns audio, speaker, text",
     [("a.wav", "hello", "eve")]),
    ("metadata.csv", 'one|Hello, "Dr. X"|Hello Doctor X\ntwo|Good morning\n', "a list in the layout of LJSpeech",
     [("wavs/one.wav", "hello doctor x", None), ("wavs/two.wav", "good morning", None)]),
    ("train.tsv", "client_id\tpath\tsentence\tup_votes\nabc\ta\tHello\t2\n", "a list of Common Voice (TSV)",
     [("clips/a.mp3", "hello", "cv_abc")]),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.wav", "b.wav", "wavs/one.wav", "wavs/two.wav", "clips/a.mp3"):
        sound(tmp_path / name)
    for name in ("lmplz", "build_binary"):  # which `lm build` looks for before it reads a text
        tool = tmp_path / "tools" / name
        tool.parent.mkdir(exist_ok=True)
        tool.write_text("#!/bin/sh\nexit 9\n")
        tool.chmod(0o755)
    monkeypatch.setenv("KENLM_BIN", str(tmp_path / "tools"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "command", ["data check {}", "evaluate {}", "train recipe.toml", "lm build {} -o lm.bin", "lm info {lm} --text {}"]
)
@pytest.mark.parametrize(("name", "text", "what", "lines"), TABLES)
def test_a_table_is_named_and_its_command_makes_the_manifest(
    edgespeech: Command, folder: Path, name: str, text: str, what: str, lines: list[Any], command: str
) -> None:
    (folder / "home").mkdir()
    for audio in ("a.wav", "b.wav", "wavs", "clips"):
        (folder / audio).rename(folder / "home" / audio)
    (folder / "home" / name).write_bytes(text.encode())
    (folder / "recipe.toml").write_text(f'output = "out"\n[data]\ntrain = ["home/{name}"]\ndev = ["home/{name}"]\n')
    outcome = edgespeech(*command.format(f"home/{name}", lm=DEFAULT_BUNDLE / "lm.bin").split())
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    is_text = command.startswith("lm")
    assert f"home/{name}{' is' if is_text else ':1: invalid JSON, because the file is'} {what}" in outcome.err
    advice = re.search(r"make a manifest of it: edgespeech (data .*)", outcome.err)
    assert advice is not None
    made = edgespeech(*shlex.split(advice[1]))
    assert made.code == 0, made.err
    found = read_manifest(folder / f"{Path(name).stem}.jsonl", check_files=True)
    assert [(one.audio_filepath.removeprefix("home/"), one.text, one.speaker) for one in found] == lines
    assert all(one.duration == pytest.approx(1.0, abs=0.1) for one in found)


def test_columns_of_other_names_are_chosen(edgespeech: Command, folder: Path) -> None:
    (folder / "odd.csv").write_text("Nr,Aufnahme,Wortlaut,Wer\n1,a.wav,Hello,ann\n2,lost.wav,Bye,eve\n")
    outcome = edgespeech("data", "check", "odd.csv")
    assert "a table with the columns Nr, Aufnahme, Wortlaut, Wer; make a manifest of it" in outcome.err
    assert "--audio-column NAME --text-column NAME" in outcome.err
    outcome = edgespeech("data", "csv", "odd.csv", "-o", "odd.jsonl")
    assert outcome.code == 2 and "none of them is a usual name of the audio; give --audio-column" in outcome.err
    chosen = ["--audio-column", "aufnahme", "--text-column", "Wortlaut", "--speaker-column", "Wer"]
    outcome = edgespeech("data", "csv", "odd.csv", "-o", "odd.jsonl", *chosen)
    assert (outcome.code, outcome.err) == (0, "left out 1 of 2: missing file\n")
    assert [(one.text, one.speaker) for one in read_manifest(folder / "odd.jsonl")] == [("hello", "ann")]


@pytest.mark.parametrize(
    ("command", "text", "message"),
    [
        ("csv t.csv", "", "is not a table"),
        ("csv t.csv", "only words here\n", "is not a table"),
        ("csv t.csv", "path,text\n", "lists no recording"),
        ("csv t.csv", "path,text\na.wav\n", "'a.wav' has 1 columns, wanted 2 or more"),
        ("csv t.csv --speaker-column who", "path,text\na.wav,hello\n", "give --speaker-column one of them"),
        ("csv t.csv --text-column words", "path,text\na.wav,hello\n", "words is none of them; give --text-column"),
        ("csv t.csv --labels ABC", "path,text\na.wav,hello\n", "upper case"),
        ("csv t.csv", "path,text\nlost.wav,hello\n", "none of 1 recordings can be used: missing file"),
        ("csv lost.csv", "", "cannot be read"),
        ("ljspeech .", "", "has no metadata.csv"),
        ("ljspeech lj", "", "lists no recording"),
        ("ljspeech lj", "one\n", "metadata.csv:1: 'one' is not NAME|TEXT"),
    ],
)
def test_tables_that_cannot_be_used_are_named(
    edgespeech: Command, folder: Path, command: str, text: str, message: str
) -> None:
    (folder / "lj").mkdir()
    (folder / "lj" / "metadata.csv").write_text(text)
    (folder / "t.csv").write_text(text)
    outcome = edgespeech("data", *command.split(), "-o", "out.jsonl")
    assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1
    assert not (folder / "out.jsonl").exists()


@pytest.mark.parametrize("layout", ["csv", "ljspeech", "common-voice"])
def test_letters_of_another_alphabet_are_kept_with_labels_and_reported_without(
    edgespeech: Command, folder: Path, layout: str
) -> None:
    texts = {"one": "Größe fährt", "two": "Übel, Öl!", "three": "schön"}
    for name in texts:
        sound(folder / "wavs" / f"{name}.wav")
        sound(folder / "clips" / f"{name}.mp3")
    tables = {
        "csv": ("t.csv", "path,text\n" + "".join(f'wavs/{name}.wav,"{text}"\n' for name, text in texts.items())),
        "ljspeech": ("metadata.csv", "".join(f"{name}|{text}\n" for name, text in texts.items())),
        "common-voice": ("train.tsv", "client_id\tpath\tsentence\n" + "".join(f"a\t{n}\t{texts[n]}\n" for n in texts)),
    }  # fmt: skip
    name, content = tables[layout]
    (folder / name).write_text(content, encoding="utf-8")
    source = name if layout == "csv" else "."
    outcome = edgespeech("data", layout, source, "-o", "en.jsonl")
    assert outcome.code == 0 and "3 of 3 lines lose the accents of ö" in outcome.err
    outcome = edgespeech("data", layout, source, "-o", "de.jsonl", "--labels", GERMAN)
    assert (outcome.code, outcome.err) == (0, "")
    assert [one.text for one in read_manifest(folder / "de.jsonl")] == ["größe fährt", "übel öl", "schön"]


def test_a_json_list_and_a_recording_are_named(edgespeech: Command, folder: Path) -> None:
    (folder / "list.json").write_text(json.dumps([{"audio_filepath": "a.wav", "text": "a"}]))
    assert (
        "list.json:1: invalid JSON, because the file is a JSON list; write" in edgespeech("evaluate", "list.json").err
    )
    assert "a.wav:1: invalid JSON, because the file is a recording (WAV)" in edgespeech("evaluate", "a.wav").err
