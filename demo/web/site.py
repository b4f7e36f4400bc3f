"""A site: a folder of files that any web server can serve, with the page, its engine, onnxruntime-web and a bundle.

- index.html, manifest.webmanifest, service_worker.js, icon.svg, page/: the page, which works offline after one visit
- engine/: the recogniser in JavaScript
- ort/: onnxruntime-web
- bundle/: the bundle, whose files are unchanged
- site.json: size and SHA-256 of every file; the page checks what it downloads
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import as_file, files
from pathlib import Path, PurePosixPath
from typing import Any

from edgespeech import __version__
from edgespeech.demo.web.bundle import site_bundle
from edgespeech.demo.web.compression import compress_files, compressors
from edgespeech.demo.web.onnxruntime_web import find_onnxruntime_web
from edgespeech.errors import UsageError
from edgespeech.runtime.bundle import MANIFEST, Bundle, describe_file
from edgespeech.runtime.measure.tables import Table
from edgespeech.runtime.storage.folders import FolderKind, replacing_folder

log = logging.getLogger(__name__)

CONTENTS = "site.json"
KIND = FolderKind("site", CONTENTS, "edgespeech-site")
_VERSION = 1
_AT_THE_ROOT = ("index.html", "manifest.webmanifest", "service_worker.js", "icon.svg", "icon.png", "NOTICE.txt")
_SHARED = ("page.css", "sources.js", "worklet.js")  # with the page of `edgespeech serve`
_RELEASE = "@release@"  # in the service worker, whose change makes browsers look for the others
_PARTS = {"ort/": "onnxruntime-web", "bundle/acoustic.onnx": "acoustic model", "bundle/lm.bin": "language model"}


@dataclass(frozen=True)
class SiteRequest:
    """What a site is made of.

    Attributes:
        bundle: Folder of the bundle; None for the default bundle.
        lm: Language model to use instead of the bundle's.
        use_lm: Whether the site has a language model.
        onnxruntime: Folder or package of onnxruntime-web; None for the cache or npm.
        brotli: Whether to compress with brotli too, which takes minutes.
    """

    bundle: Path | None = None
    lm: Path | None = None
    use_lm: bool = True
    onnxruntime: Path | None = None
    brotli: bool = False

    def __post_init__(self) -> None:
        if self.lm is not None and not self.use_lm:
            raise UsageError("--lm and --no-lm clash; choose one")


@dataclass(frozen=True)
class Site:
    """A site in a folder.

    Attributes:
        folder: The folder.
        paths: Its files as the page asks for them, with the list of them, without compressed copies.
        sizes: Bytes of each file, raw and by each method of compression; empty for a site that was only read.
    """

    folder: Path
    paths: frozenset[str]
    sizes: dict[str, dict[str, int]]

    def table(self) -> Table:
        """Lay out what a first visit downloads, in MB."""
        totals: dict[str, dict[str, int]] = {}
        for path, sizes in self.sizes.items():
            part = next((name for start, name in _PARTS.items() if path.startswith(start)), "page and engine")
            for row in (part, "total"):
                for method, size in sizes.items():
                    totals.setdefault(row, {})[method] = totals.get(row, {}).get(method, 0) + size
        total = totals.pop("total")
        ordered = {
            **{name: totals[name] for name in ("page and engine", *_PARTS.values()) if name in totals},
            "total": total,
        }
        rows = [(name, *(f"{sizes[method] / 1e6:.2f}" for method in total)) for name, sizes in ordered.items()]
        return Table(("download, MB", *total), rows, left=1)


def build_site(output: Path, request: SiteRequest) -> Site:
    """Write a site as a whole or not at all; a site that is there already is replaced.

    Raises:
        EdgespeechError: The bundle, the language model or onnxruntime-web is unsuitable, or the folder cannot be
            written.
    """
    methods = compressors(request.brotli)
    runtime = find_onnxruntime_web(request.onnxruntime)
    with site_bundle(request.bundle, request.lm, request.use_lm) as bundle, replacing_folder(output, KIND) as folder:
        for path, source in _sources(bundle, runtime):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        _add_notice(folder / "NOTICE.txt")
        contents = _describe(folder, bundle)
        (folder / CONTENTS).write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")
        paths = [*contents["files"], CONTENTS]
        if request.brotli:
            log.info("compressing with brotli: some minutes of CPU time ...")
        sizes = compress_files(folder, paths, methods)
    return Site(output, frozenset(paths), sizes)


def open_site(folder: Path) -> Site:
    """Read a site that was built earlier.

    Raises:
        UsageError: The folder is not a site.
    """
    try:
        contents = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
        paths = frozenset([*contents["files"], CONTENTS]) if contents["format"] == KIND.format else frozenset()
    except (OSError, ValueError, KeyError, TypeError):
        paths = frozenset()
    if not paths or not all(_is_inside(path) and (folder / path).is_file() for path in paths):
        raise UsageError(f"{folder} is not a complete site; build it with: edgespeech web BUNDLE -o {folder}")
    return Site(folder, paths, {})


def is_site(folder: Path) -> bool:
    """Decide whether a folder claims to be a site."""
    return (folder / CONTENTS).is_file()


def _is_inside(path: object) -> bool:
    return isinstance(path, str) and not PurePosixPath(path).is_absolute() and ".." not in path and "\\" not in path


def _sources(bundle: Bundle, runtime: dict[str, Path]) -> Iterator[tuple[str, Path]]:
    """Yield the path of each file in the site and the file to copy."""
    with as_file(files("edgespeech.demo.web")) as web, as_file(files("edgespeech.demo.server.page")) as server:
        for source in sorted((web / "page").iterdir()):
            yield source.name if source.name in _AT_THE_ROOT else f"page/{source.name}", source
        for name in _SHARED:
            yield f"page/{name}", server / name
        for source in sorted((web / "engine").rglob("*.js")):
            yield f"engine/{source.relative_to(web / 'engine').as_posix()}", source
        for name, source in runtime.items():
            yield f"ort/{name}", source
        yield f"bundle/{MANIFEST}", bundle.folder / MANIFEST
        for name, source in sorted(bundle.paths.items()):
            yield f"bundle/{name}", source


def _add_notice(path: Path) -> None:
    """Add the notice of this package, which names the data of the default bundle."""
    try:
        found = [one for one in distribution("edgespeech").files or [] if one.name == "NOTICE"]
    except PackageNotFoundError:
        found = []
    for one in found[:1]:
        with path.open("a", encoding="utf-8") as file:
            file.write("\n" + one.read_text(encoding="utf-8"))


def _describe(folder: Path, bundle: Bundle) -> dict[str, Any]:
    """List all files, after the service worker got the hash of all others."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    entries = {name: describe_file(folder / name) for name in names}
    release = hashlib.sha256("".join(f"{name} {one.sha256}\n" for name, one in entries.items()).encode()).hexdigest()[
        :16
    ]
    worker = folder / "service_worker.js"
    worker.write_text(worker.read_text(encoding="utf-8").replace(_RELEASE, release), encoding="utf-8")
    entries["service_worker.js"] = describe_file(worker)
    return {
        "format": KIND.format,
        "version": _VERSION,
        "release": release,
        "edgespeech": __version__,
        "bundle": bundle.manifest.name,
        "files": {name: {"bytes": one.bytes, "sha256": one.sha256} for name, one in entries.items()},
    }
