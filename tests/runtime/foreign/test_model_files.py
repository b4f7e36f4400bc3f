"""Files are told by their first bytes, whatever those are; the table of all kinds is in tests/demo."""

from __future__ import annotations

import json
import os
import random
import zipfile
from pathlib import Path

import pytest

from edgespeech.errors import CheckpointError
from edgespeech.runtime.bundle import DEFAULT_BUNDLE
from edgespeech.runtime.foreign.model_files import identify, not_a_bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest

HEADS = [
    b"PK\x03\x04",
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
    b"\x80\x04\x95",
    b"\x08\x08\x12\x07pytorch:\xff\xff\x03",
    b"\x40\0\0\0\0\0\0\0{",
    b"{",
    b"text ",
    b"RIFF\0\0\0\0WAVE",
    b"",
]


def test_our_own_files_are_known() -> None:
    clip = read_manifest(SAMPLE_CLIPS)[0].path
    found = {path.name: identify(path).what for path in (DEFAULT_BUNDLE, *DEFAULT_BUNDLE.iterdir(), SAMPLE_CLIPS)}
    assert found["default_bundle"] == "a bundle of edgespeech"
    assert found["acoustic.onnx"] == "the graph of a bundle of edgespeech"
    assert found["lm.bin"] == "a language model of KenLM"
    assert found["clips.jsonl"].startswith("text (it begins with '{")
    assert identify(clip).what == "a recording (Ogg)"


@pytest.mark.parametrize("head", HEADS, ids=repr)
@pytest.mark.parametrize("seed", range(20))
def test_damaged_files_are_told_without_an_error(tmp_path: Path, head: bytes, seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(head + chance.randbytes(chance.choice((0, 1, 30, 3000))))
    for _ in range(min(2, len(data))):
        data[chance.randrange(len(data))] = chance.randrange(256)
    (tmp_path / "file.pt").write_bytes(data)
    what = identify(tmp_path / "file.pt").what
    assert what and "\n" not in what
    assert what in not_a_bundle(tmp_path / "file.pt")


def test_damaged_archives_and_descriptions_are_told_without_an_error(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "good.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", b"\x80\x02}." * 50)
    good = (tmp_path / "good.pt").read_bytes()
    for position in range(len(good)):
        damaged = bytearray(good)
        damaged[position] ^= 0xFF
        (tmp_path / "damaged.pt").write_bytes(damaged)
        assert identify(tmp_path / "damaged.pt").what
    for content in ("[]", "5", "{", '{"architectures": {}, "model_type": 3}', "[" * 100_000):
        folder = tmp_path / "folder"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(content)
        assert identify(folder).what
    header = json.dumps([1, 2]).encode()
    (tmp_path / "list.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert identify(tmp_path / "list.safetensors").what


def test_what_is_missing_or_no_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "does not exist" in not_a_bundle(tmp_path / "nowhere")
    assert identify(tmp_path / "pipe").what == "a device or a pipe, not a file"


def test_what_cannot_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    path = tmp_path / "net.pt"
    path.touch()
    monkeypatch.setattr(Path, "open", refuse)
    for read in (identify, not_a_bundle):
        with pytest.raises(CheckpointError, match="net.pt cannot be read .Permission denied.; correct its permissions"):
            read(path)
