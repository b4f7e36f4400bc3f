"""Reading a bundle: nothing is used before its description is valid and its files match their hashes."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgespeech.errors import BundleError
from edgespeech.runtime.bundle.description import (
    ACOUSTIC,
    LANGUAGE_MODEL,
    MANIFEST,
    PUNCTUATION,
    VERSION,
    FileEntry,
    Manifest,
)
from edgespeech.runtime.graph.limits import check_graph
from edgespeech.runtime.storage.links import find_outer_link

log = logging.getLogger(__name__)

DEFAULT_BUNDLE = Path(__file__).parents[1] / "default_bundle"
MAX_MANIFEST_BYTES = 1 << 24  # no model needs more


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files match their hashes."""

    folder: Path
    manifest: Manifest

    @property
    def paths(self) -> dict[str, Path]:
        """Path of each file by its name, without ``bundle.json``; as `write_bundle` takes them for a copy."""
        return {name: self.folder / name for name in self.manifest.files}

    @property
    def acoustic_path(self) -> Path:
        """Path of the ONNX graph."""
        return self.folder / ACOUSTIC

    @property
    def language_model_path(self) -> Path | None:
        """Path of the KenLM model, if the bundle has one."""
        return self.paths.get(LANGUAGE_MODEL)

    @property
    def punctuation_path(self) -> Path | None:
        """Path of the tagger that writes marks and capitals, if the bundle has one."""
        return self.paths.get(PUNCTUATION)


def load_bundle(path: str | Path | None = None) -> Bundle:
    """Read a bundle and compare every file with its hash.

    Args:
        path: Bundle folder; None for the default bundle, which is part of the package.

    Raises:
        BundleError: The folder or a file is missing, damaged, or of another version.
    """
    folder = DEFAULT_BUNDLE if path is None else Path(path)
    try:
        if not folder.is_dir():
            raise _not_a_bundle(folder)
        manifest = _read_manifest(folder)
        for name, entry in manifest.files.items():
            _check_file(folder / name, entry)
        states = manifest.graph.states
        check_graph(
            folder / ACOUSTIC, {one.name: one.shape for one in states}, {one.output: one.shape for one in states}
        )
        if PUNCTUATION in manifest.files:
            check_graph(folder / PUNCTUATION, {}, {})
    except OSError as error:
        raise BundleError(f"cannot read bundle {folder}: {error.strerror}; repair it or give another folder") from None
    log.debug("bundle %s: %s, %s, %s", folder, manifest.name, manifest.graph.form, manifest.graph.precision)
    return Bundle(folder, manifest)


def _not_a_bundle(folder: Path) -> BundleError:
    from edgespeech.runtime.foreign.model_files import not_a_bundle  # many modules, for errors alone

    return BundleError(not_a_bundle(folder))


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    _refuse_link(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_MANIFEST_BYTES + 1)
        if len(raw) > MAX_MANIFEST_BYTES:
            raise BundleError(f"{path} has more than {MAX_MANIFEST_BYTES} bytes, which no model needs; export it again")
        version = msgspec.json.decode(raw, type=_Header).version
        if version != VERSION:
            raise BundleError(f"{path} has version {version}; this edgespeech reads version {VERSION}: export it again")
        return msgspec.json.decode(raw, type=Manifest)
    except FileNotFoundError:
        raise _not_a_bundle(folder) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:160]
        raise BundleError(f"{path} is not a valid bundle description: {reason}; export the bundle again") from None


class _Header(msgspec.Struct):
    version: int
    format: str = ""


def _refuse_link(path: Path) -> None:
    if (target := find_outer_link(path.parent, path.name)) is not None:
        raise BundleError(f"{path} is a link out of its bundle, to {target}; copy the bundle with its files (cp -rL)")


def _check_file(path: Path, entry: FileEntry) -> None:
    _refuse_link(path)
    if not path.is_file():
        raise BundleError(f"{path} is missing; copy the whole bundle again")
    size = path.stat().st_size
    if size != entry.bytes:
        raise BundleError(f"{path} has {size} bytes, wanted {entry.bytes}; copy or export the bundle again")
    if describe_file(path).sha256 != entry.sha256:
        raise BundleError(f"{path} is damaged: its SHA-256 is not the one in {MANIFEST}; copy the bundle again")


def describe_file(path: Path) -> FileEntry:
    """Compute size and hash of a file."""
    digest, block = hashlib.sha256(), memoryview(bytearray(1 << 17))  # new memory for each block takes longer
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(block):
            digest.update(block[:count])
    return FileEntry(bytes=path.stat().st_size, sha256=digest.hexdigest())
