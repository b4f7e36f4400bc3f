"""Reading: damaged, hostile and foreign bundles are refused in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgespeech.errors import BundleError
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import (
    ACOUSTIC,
    DEFAULT_BUNDLE,
    MANIFEST,
    Bundle,
    FileEntry,
    describe_file,
    load_bundle,
)

Description = dict[str, Any]


@pytest.fixture
def folder(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    """Copy the tiny bundle, so that a test may damage it."""
    return Path(shutil.copytree(tiny_bundle.folder, tmp_path / "bundle"))


def rewrite(folder: Path, change: Callable[[Description], object]) -> None:
    description = json.loads((folder / MANIFEST).read_bytes())
    change(description)
    (folder / MANIFEST).write_text(json.dumps(description))


def refused(folder: Path | str, words: str) -> None:
    with pytest.raises(BundleError, match=words) as error:
        load_bundle(folder)
    assert len(str(error.value).splitlines()) == 1


def test_a_written_bundle_is_read(tiny_bundle: Bundle) -> None:
    loaded = load_bundle(tiny_bundle.folder)
    assert loaded == tiny_bundle
    assert loaded.acoustic_path.is_file()
    assert loaded.paths == {ACOUSTIC: loaded.acoustic_path}
    assert loaded.language_model_path is None and loaded.punctuation_path is None
    assert (loaded.manifest.audio.frame_seconds, loaded.manifest.audio.chunk_seconds) == (0.04, 0.08)
    assert loaded.manifest.audio.lookahead_seconds == pytest.approx(0.12)


def test_without_a_path_the_default_bundle_is_read(monkeypatch: pytest.MonkeyPatch, tiny_bundle: Bundle) -> None:
    assert DEFAULT_BUNDLE.parent.name == "runtime"
    monkeypatch.setattr("edgespeech.runtime.bundle.reading.DEFAULT_BUNDLE", tiny_bundle.folder)
    assert load_bundle().folder == tiny_bundle.folder


def test_a_path_without_a_bundle_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "does not exist")
    (tmp_path / "file").write_text("text")
    refused(tmp_path / "file", "is a file")
    refused(tmp_path / "file" / "below", "does not exist")
    refused(tmp_path, f"has no {MANIFEST}")
    refused("x" * 5000, "File name too long")
    (tmp_path / MANIFEST).mkdir()
    refused(tmp_path, "cannot read bundle")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not a valid bundle description"),
        (b"{", "is not a valid bundle description"),
        (b"null", "is not a valid bundle description"),
        (b"\xff\xfe{}", "is not a valid bundle description"),
        (b'{"version": 1, "name": "\xff"}', "is not a valid bundle description"),
        (b"[" * 200_000, "is not a valid bundle description"),
        (b'{"version": 1, "provenance": ' + b'{"a":' * 100_000, "is not a valid bundle description"),
        (b'{"version": 1, "a\\nb": 1}', "is not a valid bundle description"),
        (b"{}", "missing required field `version`"),
        (b'{"version": 2}', "has version 2; this edgespeech reads version 1"),
        (b'{"version": "1"}', "Expected `int`"),
        (b'{"version": 1}', "missing required field"),
    ],
)
def test_an_invalid_description_is_refused(folder: Path, content: bytes, words: str) -> None:
    (folder / MANIFEST).write_bytes(content)
    refused(folder, words)


WRONG: list[tuple[str, Callable[[Description], object]]] = [
    ("unknown field `extra`", lambda d: d.update(extra=1)),
    ("unknown field `extra`", lambda d: d["audio"].update(extra=1)),
    ("Invalid enum value 'zip'", lambda d: d.update(format="zip")),
    ("not the blank", lambda d: d.update(labels=d["labels"][1:])),
    ("not the blank", lambda d: d.update(labels=[])),
    ("not the blank", lambda d: d.update(blank=1)),
    ("not the blank", lambda d: d.update(blank=1000)),
    (">= 0", lambda d: d.update(blank=-1)),
    ("a label is listed twice", lambda d: d.update(labels=["", "a", "a"])),
    ("a label is listed twice", lambda d: d.update(labels=["", "a", ""])),
    ("not a multiple of 640", lambda d: d["audio"].update(chunk_samples=1281)),
    (">= 1", lambda d: d["audio"].update(frame_samples=0)),
    (">= 1", lambda d: d["audio"].update(chunk_samples=-640)),
    (">= 0", lambda d: d["audio"].update(delay_frames=-1)),
    (">= 1000", lambda d: d["audio"].update(sample_rate=1)),
    ("longer than 60 s", lambda d: d["audio"].update(chunk_samples=640 * 10**9)),
    ("longer than 60 s", lambda d: d["audio"].update(delay_frames=10**12)),
    ("is listed twice", lambda d: d["graph"]["states"].append(d["graph"]["states"][0])),
    ("is listed twice", lambda d: d["graph"]["states"][0].update(name="samples")),
    (">= 0", lambda d: d["graph"]["states"][0].update(shape=[-160])),
    ("Invalid enum value", lambda d: d["graph"]["states"][0].update(dtype="object")),
    ("Invalid enum value", lambda d: d["graph"].update(form="both")),
    (">= 1", lambda d: d["decoder"].update(beam_width=0)),
    ("<= 100", lambda d: d["decoder"].update(alpha=101)),
    ("got `null`", lambda d: d["decoder"].update(beta=None)),
    ("not a plain name", lambda d: d["files"].update({"../secret": d["files"][ACOUSTIC]})),
    ("not a plain name", lambda d: d["files"].update({"/etc/passwd": d["files"][ACOUSTIC]})),
    ("not a plain name", lambda d: d["files"].update({"..": d["files"][ACOUSTIC]})),
    ("not a plain name", lambda d: d["files"].update({"": d["files"][ACOUSTIC]})),
    ("not a plain name", lambda d: d["files"].update({"..\\secret": d["files"][ACOUSTIC]})),
    ("not a plain name", lambda d: d["files"].update({MANIFEST: d["files"][ACOUSTIC]})),
    ("files lacks acoustic.onnx", lambda d: d["files"].clear()),
    (">= 0", lambda d: d["files"][ACOUSTIC].update(bytes=-1)),
    ("wanted 7; copy", lambda d: d["files"][ACOUSTIC].update(bytes=7)),
    ("is damaged", lambda d: d["files"][ACOUSTIC].update(sha256="0" * 64)),
    ("regex", lambda d: d["files"][ACOUSTIC].update(sha256="0")),
    ("lm.bin is missing", lambda d: d["files"].update({"lm.bin": d["files"][ACOUSTIC]})),
    ("Expected `object`", lambda d: d.update(files=[])),
    ("label_priors has 1 numbers", lambda d: d.update(label_priors=[-1.0])),
    ("Expected `float` <= 0.0", lambda d: d.update(label_priors=[0.5] * len(d["labels"]))),
]


@pytest.mark.parametrize(("words", "change"), WRONG)
def test_a_wrong_description_is_refused(folder: Path, words: str, change: Callable[[Description], object]) -> None:
    rewrite(folder, change)
    refused(folder, words)


def test_a_damaged_file_is_refused(folder: Path) -> None:
    path = folder / ACOUSTIC
    content = path.read_bytes()
    path.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    refused(folder, f"{ACOUSTIC} is damaged")
    path.write_bytes(content[:-1])
    refused(folder, f"{ACOUSTIC} has {len(content) - 1} bytes, wanted {len(content)}")
    path.unlink()
    refused(folder, f"{ACOUSTIC} is missing")
    path.mkdir()
    refused(folder, f"{ACOUSTIC} is missing")


def test_an_unreadable_file_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> FileEntry:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("edgespeech.runtime.bundle.reading.describe_file", denied)
    refused(folder, "cannot read bundle .*: Permission denied")


def test_a_file_with_the_right_hash_that_is_not_a_graph_is_refused(folder: Path) -> None:
    (folder / ACOUSTIC).write_bytes(b"no graph at all")
    entry = describe_file(folder / ACOUSTIC)
    rewrite(folder, lambda d: d["files"].update({ACOUSTIC: msgspec.to_builtins(entry)}))
    with pytest.raises(BundleError, match="does not load"):
        AcousticModel(load_bundle(folder))
