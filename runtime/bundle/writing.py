"""Writing a bundle atomically, and checking before long work that its folder may be written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from edgespeech.runtime.bundle.description import FORMAT, MANIFEST, FileEntry, Manifest
from edgespeech.runtime.bundle.reading import Bundle, describe_file, load_bundle
from edgespeech.runtime.storage.folders import FolderKind, replacing_folder, require_folder

_KIND = FolderKind("bundle", MANIFEST, FORMAT)


def write_bundle(
    folder: Path,
    files: Mapping[str, Path | bytes],
    describe: Callable[[dict[str, FileEntry]], Manifest],
    check: Callable[[Bundle], None] | None = None,
) -> Bundle:
    """Write a bundle atomically: a temporary folder beside the target is renamed when it is complete.

    Args:
        folder: Target folder; an older bundle there is replaced, anything else is left alone.
        files: Content of each file, or the path of a file to copy.
        describe: Returns the manifest for these sizes and hashes.
        check: Called with the complete bundle before it is renamed; if it raises, nothing is written.

    Raises:
        UsageError: The target exists and is not a bundle, or it cannot be written.
    """
    folder = Path(os.path.abspath(folder))
    with replacing_folder(folder, _KIND) as temporary:
        for name, content in files.items():
            if isinstance(content, bytes):
                (temporary / name).write_bytes(content)
            else:
                shutil.copyfile(content, temporary / name)
        manifest = describe({name: describe_file(temporary / name) for name in files})
        (temporary / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        bundle = load_bundle(temporary)
        if check is not None:
            check(bundle)
    return Bundle(folder, bundle.manifest)


def require_bundle_folder(folder: Path, overwrite: bool = True) -> None:
    """Check that a bundle can be written to a folder, which need not exist, before the work whose result it will hold.

    Raises:
        UsageError: It exists and is not a bundle or must not be overwritten, or it cannot be written.
    """
    require_folder(folder, _KIND, overwrite)
