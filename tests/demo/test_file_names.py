"""A file whose name is not UTF-8 is a file like any other, in every output."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgespeech.demo.cli import _accept_any_character
from edgespeech.runtime.files import printable_name
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest

Command = Callable[..., Any]
CLIP = read_manifest(SAMPLE_CLIPS)[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with a clip and a file that is not audio, all of them with names that are not UTF-8."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("the file system wants UTF-8 names")
    shutil.copy(CLIP.path, folder / os.fsdecode(b"clip\xff.opus"))
    shutil.copy(CLIP.path, folder / "clip.opus")
    (folder / os.fsdecode(b"bad\xff.wav")).write_text("no sound")
    return folder


@pytest.mark.parametrize("output_format", ["text", "json"])
def test_the_files_after_it_are_transcribed(edgespeech: Command, folder: Path, output_format: str) -> None:
    outcome = edgespeech("transcribe", "--format", output_format, *sorted(folder.iterdir()))
    assert outcome.code == 2 and outcome.err.count("\n") == 1 and "bad" in outcome.err
    lines = outcome.out.splitlines()
    if output_format == "json":
        found = [json.loads(line) for line in lines]
        assert {one["text"] for one in found} == {found[0]["text"]} != {""}
        assert sorted(os.fsencode(one["file"])[-6:] for one in found) == [b"p.opus", b"\xff.opus"]
    else:
        texts: dict[str, list[str]] = {}
        for line in lines:
            name, text = line.split("\t")
            texts.setdefault(name, []).append(text)
        first, second = texts.values()
        assert first == second != []


@pytest.mark.parametrize("output_format", ["srt", "vtt"])
def test_it_becomes_subtitles(edgespeech: Command, folder: Path, output_format: str) -> None:
    outcome = edgespeech("transcribe", "--format", output_format, folder / os.fsdecode(b"clip\xff.opus"))
    assert outcome.code == 0 and "-->" in outcome.out


def test_it_can_be_replayed_beside_another_and_saved(edgespeech: Command, folder: Path) -> None:
    clips = [folder / os.fsdecode(b"clip\xff.opus"), folder / "clip.opus"]
    save = folder / os.fsdecode(b"saved\xff.txt")
    replays = [argument for clip in clips for argument in ("--replay", clip)]
    outcome = edgespeech("live", *replays, "--speed", 0, "--json", "--save", save)
    assert outcome.code == 0, outcome.err
    assert {json.loads(line)["source"] for line in outcome.out.splitlines()} == {"clip\ufffd", "clip"}
    assert {line.split(": ")[0] for line in save.read_text(encoding="utf-8").splitlines()} == {"clip\ufffd", "clip"}


@pytest.mark.parametrize("command", [("evaluate",), ("data", "check"), ("data", "check", "--json")])
def test_manifests_may_be_there_too(edgespeech: Command, folder: Path, command: tuple[str, ...]) -> None:
    manifest = folder / os.fsdecode(b"dev\xff.json")
    manifest.write_text(json.dumps({"audio_filepath": "clip.opus", "text": CLIP.text}))
    assert edgespeech(*command, manifest).code == 0


def test_what_a_terminal_cannot_show_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding, expected in (("utf-8", b"caf\\udce9 \xc3\xa9"), ("ascii", b"caf\\udce9 \\xe9")):
        written = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
        _accept_any_character()
        print("caf\udce9 \u00e9", end="", flush=True)
        assert written.getvalue() == expected
    assert printable_name(os.fsdecode(b"caf\xe9")) == "caf\ufffd"
