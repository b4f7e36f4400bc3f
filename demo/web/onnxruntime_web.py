"""The two files of onnxruntime-web that the page needs: from a folder or package, from the cache, or by npm."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from edgespeech.errors import MissingDependencyError, UsageError
from edgespeech.runtime.files import cache_folder, make_folder, replacing

log = logging.getLogger(__name__)

VERSION = "1.30.0"
PACKAGE = f"onnxruntime-web@{VERSION}"
SCRIPT, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
SHA256 = {
    SCRIPT: "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    WASM: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
_MAX_BYTES = 1 << 26  # of one of the files
_FOLDERS = ("", "dist", "package/dist", "node_modules/onnxruntime-web/dist")
_ADVICE = f"give --ort the folder of {PACKAGE}, or the package that `npm pack {PACKAGE}` writes"
_NPM_SECONDS = 600.0


def find_onnxruntime_web(given: Path | None = None) -> dict[str, Path]:
    """Find the files and compare them with their hashes; by default in the cache folder, where npm puts them once.

    Args:
        given: The folder of the package onnxruntime-web, a folder with it in ``node_modules``, or its ``.tgz``.

    Returns:
        The path of each file by its name.

    Raises:
        UsageError: The package is missing, or of another version.
        MissingDependencyError: npm is needed and not installed.
    """
    cache = cache_folder() / f"onnxruntime-web-{VERSION}"
    if given is not None and given.is_dir():
        return _checked(_folder_of_files(given))
    if given is not None:
        _extract(given, cache)
    elif not all(_is_right(cache / name) for name in SHA256):
        _download(cache)
    return _checked(cache)


def _folder_of_files(given: Path) -> Path:
    for name in _FOLDERS:
        if all((given / name / one).is_file() for one in SHA256):
            return given / name
    raise UsageError(f"{given} does not contain {SCRIPT} and {WASM}; {_ADVICE}")


def _is_right(path: Path) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == SHA256[path.name]


def _checked(folder: Path) -> dict[str, Path]:
    for name in SHA256:
        if not _is_right(folder / name):
            raise UsageError(f"{folder / name} is not the file of {PACKAGE}: its SHA-256 differs; {_ADVICE}")
    return {name: folder / name for name in SHA256}


def _download(cache: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise MissingDependencyError(f"{PACKAGE} comes by npm, which is not installed; install Node.js, or {_ADVICE}")
    log.info("%s by npm, once: 33 MB to download ...", PACKAGE)
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", "--loglevel=error", "--pack-destination", folder, PACKAGE]
        try:
            run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_NPM_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise UsageError(
                f"npm has not downloaded {PACKAGE} in {_NPM_SECONDS:g} s; try again, or {_ADVICE}"
            ) from None
        packed = next(Path(folder).glob("*.tgz"), None)
        if run.returncode != 0 or packed is None:
            code = re.search(r"^npm (?:error|ERR!) code (\w+)", run.stderr, re.MULTILINE)
            reason = code[1] if code else "no reason given"
            raise UsageError(
                f"npm cannot download {PACKAGE}: {reason}; check the network and its registry, or {_ADVICE}"
            )
        _extract(packed, cache)


def _extract(packed: Path, cache: Path) -> None:
    """Take the files out of a package and put them into the cache, if their hashes are right."""
    try:
        with tarfile.open(packed, "r:gz") as archive:
            contents = {name: _read_member(archive, name) for name in SHA256}
    except KeyError as error:
        raise UsageError(f"{packed} does not contain {error.args[0]}; {_ADVICE}") from None
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UsageError(f"{packed} is not a package of npm: {error}; {_ADVICE}") from None
    make_folder(cache)
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != SHA256[name]:
            raise UsageError(f"{name} in {packed} is not the file of {PACKAGE}: its SHA-256 differs; {_ADVICE}")
        with replacing(cache / name) as file:
            file.write(content)


def _read_member(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.getmember(f"package/dist/{name}")
    file = archive.extractfile(member) if member.size <= _MAX_BYTES else None
    if file is None:
        raise KeyError(name)
    with file:
        return file.read()
