"""Bundles: damaged, hostile and foreign ones are refused in one line, and writing is atomic."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgespeech.errors import BundleError, UsageError
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import (
    ACOUSTIC,
    DEFAULT_BUNDLE,
    MANIFEST,
    Bundle,
    FileEntry,
    Manifest,
    describe_file,
    load_bundle,
    require_bundle_folder,
    write_bundle,
)

Description = dict[str, Any]
Writer = Callable[..., Bundle]


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
    assert loaded.language_model_path is None
    assert (loaded.manifest.audio.frame_seconds, loaded.manifest.audio.chunk_seconds) == (0.04, 0.08)
    assert loaded.manifest.audio.lookahead_seconds == pytest.approx(0.12)


def test_without_a_path_the_default_bundle_is_read(monkeypatch: pytest.MonkeyPatch, tiny_bundle: Bundle) -> None:
    assert DEFAULT_BUNDLE.parent.name == "runtime"
    monkeypatch.setattr("edgespeech.runtime.bundle.DEFAULT_BUNDLE", tiny_bundle.folder)
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

    monkeypatch.setattr("edgespeech.runtime.bundle.describe_file", denied)
    refused(folder, "cannot read bundle .*: Permission denied")


def test_a_file_with_the_right_hash_that_is_not_a_graph_is_refused(folder: Path) -> None:
    (folder / ACOUSTIC).write_bytes(b"no graph at all")
    entry = describe_file(folder / ACOUSTIC)
    rewrite(folder, lambda d: d["files"].update({ACOUSTIC: msgspec.to_builtins(entry)}))
    with pytest.raises(BundleError, match="does not load"):
        AcousticModel(load_bundle(folder))


@pytest.fixture
def write(tiny_bundle: Bundle) -> Writer:
    """Writes the tiny bundle, under another name if one is given."""

    def describe(files: dict[str, FileEntry], name: str) -> Manifest:
        return msgspec.structs.replace(tiny_bundle.manifest, files=files, name=name)

    def run(folder: Path, name: str = "tiny", **more: Any) -> Bundle:
        return write_bundle(folder, {ACOUSTIC: tiny_bundle.acoustic_path}, lambda files: describe(files, name), **more)

    return run


def test_writing_creates_the_folder_and_nothing_else(write: Writer, tmp_path: Path) -> None:
    seen: list[Bundle] = []
    written = write(tmp_path / "new" / "bundle", check=seen.append)
    assert seen[0].manifest == written.manifest
    assert load_bundle(tmp_path / "new" / "bundle") == written
    assert os.listdir(tmp_path / "new") == ["bundle"]
    assert (tmp_path / "new" / "bundle").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failing_check_changes_nothing(write: Writer, tmp_path: Path, error: type[BaseException]) -> None:
    def fail(bundle: Bundle) -> None:
        raise error

    with pytest.raises(error):
        write(tmp_path / "bundle", check=fail)
    assert os.listdir(tmp_path) == []
    write(tmp_path / "bundle", "old")
    with pytest.raises(error):
        write(tmp_path / "bundle", "new", check=fail)
    assert os.listdir(tmp_path) == ["bundle"]
    assert load_bundle(tmp_path / "bundle").manifest.name == "old"


def test_an_old_bundle_is_replaced(write: Writer, tmp_path: Path) -> None:
    write(tmp_path / "bundle", "old")
    (tmp_path / "bundle" / "lm.bin").write_text("no longer part of it")
    write(tmp_path / "bundle", "new")
    assert load_bundle(tmp_path / "bundle").manifest.name == "new"
    assert sorted(os.listdir(tmp_path / "bundle")) == [ACOUSTIC, MANIFEST]
    assert os.listdir(tmp_path) == ["bundle"]


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_an_old_bundle_stays_if_the_new_one_cannot_replace_it(
    write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    write(tmp_path / "bundle", "old")
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if target == tmp_path / "bundle" and path.name != ".bundle.old":
            raise error
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    monkeypatch.setattr("edgespeech.runtime.files.exchange", lambda one, other: False)
    with pytest.raises((UsageError, KeyboardInterrupt)):
        write(tmp_path / "bundle", "new")
    assert os.listdir(tmp_path) == ["bundle"]
    assert load_bundle(tmp_path / "bundle").manifest.name == "old"


def test_an_empty_folder_is_used(write: Writer, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    write(tmp_path / "bundle")
    assert os.listdir(tmp_path) == ["bundle"]
    assert load_bundle(tmp_path / "bundle").manifest.name == "tiny"


@pytest.mark.parametrize("content", ["", "{}", '{"name": "of another program", "version": 3}', '{"format": "x"}'])
def test_another_folder_is_not_changed(write: Writer, tmp_path: Path, content: str) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("years")
    if content:
        (tmp_path / "work" / MANIFEST).write_text(content)
    before = sorted(os.listdir(tmp_path / "work"))
    for target in (tmp_path / "work", tmp_path / "work" / "thesis.txt"):
        with pytest.raises(UsageError, match="exists and is not a bundle"):
            write(target)
    assert sorted(os.listdir(tmp_path / "work")) == before
    assert os.listdir(tmp_path) == ["work"]


def test_a_target_that_cannot_be_written_is_refused(write: Writer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    for target in (tmp_path / "file" / "bundle", tmp_path / "file" / "deeper" / "bundle", tmp_path / ("x" * 5000)):
        with pytest.raises(UsageError, match="cannot write .*; give another folder"):
            write(target)
    assert os.listdir(tmp_path) == ["file"]


def test_a_target_is_checked_before_the_work_without_a_trace(tmp_path: Path, tiny_bundle: Bundle) -> None:
    (tmp_path / "file").write_text("text")
    for target in (tmp_path / "new", tmp_path / "new" / "deeper", tiny_bundle.folder):
        require_bundle_folder(target)
    (tmp_path / "empty").mkdir()
    require_bundle_folder(tmp_path / "empty", overwrite=False)
    (tmp_path / "empty").rmdir()
    with pytest.raises(UsageError, match="is a bundle; give --overwrite to replace all of its files"):
        require_bundle_folder(tiny_bundle.folder, overwrite=False)
    for target, words in ((tmp_path, "is not a bundle"), (tmp_path / "file" / "new" / "bundle", "cannot write")):
        with pytest.raises(UsageError, match=words):
            require_bundle_folder(target)
    assert os.listdir(tmp_path) == ["file"]
