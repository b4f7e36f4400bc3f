"""Building a site: its files, hashes and sizes, and the bundles and language models that it refuses."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgespeech.demo.web.site import Site, SiteRequest, build_site, open_site
from edgespeech.errors import BundleError, EdgespeechError, LanguageModelError, UsageError
from edgespeech.runtime.bundle import MANIFEST, Bundle, Manifest, load_bundle, write_bundle

GOLDEN = Path(__file__).parents[2] / "golden"
LM = GOLDEN / "random_both.bin"


@pytest.fixture
def site(package: Path, tmp_path: Path, tiny_bundle: Bundle) -> Site:
    return build_site(tmp_path / "site", SiteRequest(tiny_bundle.folder, onnxruntime=package))


def changed(bundle: Bundle, folder: Path, **graph: Any) -> Bundle:
    """Write a bundle whose manifest claims something else about its graph."""

    def describe(entries: Any) -> Manifest:
        replaced = msgspec.structs.replace(bundle.manifest.graph, **graph)
        return msgspec.structs.replace(bundle.manifest, files=entries, graph=replaced)

    return write_bundle(folder, bundle.paths, describe)


def text_of(site: Site, path: str) -> str:
    return (site.folder / path).read_bytes().decode("utf-8", "replace")


def test_every_file_is_listed_with_its_size_and_hash(site: Site, tiny_bundle: Bundle) -> None:
    contents = json.loads((site.folder / "site.json").read_text())
    assert contents["format"] == "edgespeech-site" and contents["bundle"] == tiny_bundle.manifest.name
    found = {path.relative_to(site.folder).as_posix(): path.read_bytes() for path in site.folder.rglob("*.*")}
    files = {name: content for name, content in found.items() if not name.endswith((".gz", "site.json"))}
    assert contents["files"] == {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()
    }
    assert site.paths == {*files, "site.json"}
    for name in (MANIFEST, *tiny_bundle.manifest.files):
        assert files[f"bundle/{name}"] == (tiny_bundle.folder / name).read_bytes()
    assert open_site(site.folder).paths == site.paths


def test_compressed_copies_are_smaller_and_complete(site: Site) -> None:
    for name, sizes in site.sizes.items():
        packed = site.folder / f"{name}.gz"
        raw = (site.folder / name).read_bytes()
        assert sizes["raw"] == len(raw) and packed.exists() == (sizes["gzip"] < len(raw))
        if packed.exists():
            assert gzip.decompress(packed.read_bytes()) == raw and packed.stat().st_size == sizes["gzip"]
    assert (site.folder / "page" / "page.js.gz").exists()


def test_brotli_is_written_on_request(package: Path, tmp_path: Path, tiny_bundle: Bundle) -> None:
    brotli = pytest.importorskip("brotli")
    made = build_site(tmp_path / "site", SiteRequest(tiny_bundle.folder, onnxruntime=package, brotli=True))
    packed = tmp_path / "site" / "index.html.br"
    assert brotli.decompress(packed.read_bytes()) == (tmp_path / "site" / "index.html").read_bytes()
    header, *_, total = made.table().markdown().splitlines()
    assert "brotli" in header and total.startswith("| total")


def test_all_that_the_files_refer_to_is_there(site: Site) -> None:
    references = {
        ".js": r"""(?:from|import|importScripts\()\s*["'](\.[^"']+)["']|new URL\("(\w+\.js)", import\.meta\.url\)""",
        ".html": r"""(?:src|href)="(?!data:)([^"]+)\"""",
        ".webmanifest": r'"src": "([^"]+)"',
    }
    seen = set()
    for path in sorted(site.paths):
        for groups in re.findall(references.get(Path(path).suffix, "(?!)"), text_of(site, path)):
            name = "".join(groups)
            target = (site.folder / path).parent / name
            assert target.is_file(), (path, name)
            seen.add(target.resolve().relative_to(site.folder.resolve()).as_posix())
    assert {"page/worker.js", "page/worklet.js", "engine/recognizer.js", "ort/ort.wasm.bundle.min.mjs"} <= seen


def test_each_release_has_a_name_that_depends_on_its_files(
    package: Path, tmp_path: Path, tiny_bundle: Bundle, cells_bundle: Bundle
) -> None:
    def release(bundle: Bundle, name: str) -> str:
        build_site(tmp_path / name, SiteRequest(bundle.folder, onnxruntime=package))
        found: str = json.loads((tmp_path / name / "site.json").read_text())["release"]
        assert f'"{found}"' in (tmp_path / name / "service_worker.js").read_text()
        return found

    assert release(tiny_bundle, "a") == release(tiny_bundle, "b") != release(cells_bundle, "c")


def test_no_page_of_the_site_names_another_host(site: Site) -> None:
    for path in site.paths:
        if path.startswith(("page/", "engine/")) or "/" not in path:
            text = text_of(site, path)
            hosts = set(re.findall(r"(?:https?|wss?)://([\w.-]+)", text)) - {"www.w3.org", "kheafield.com"}
            assert hosts <= ({"creativecommons.org"} if path == "NOTICE.txt" else set()), path


def test_the_notice_names_onnxruntime_and_the_data(site: Site) -> None:
    text = (site.folder / "NOTICE.txt").read_text()
    assert "Microsoft" in text and "LibriSpeech" in text


def test_int4_is_refused_and_cells_are_slow(
    package: Path, tmp_path: Path, tiny_bundle: Bundle, cells_bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    int4 = changed(tiny_bundle, tmp_path / "int4", precision="int4")
    with pytest.raises(BundleError, match="has int4 weights.* WebAssembly.*; give a bundle in int8"):
        build_site(tmp_path / "site", SiteRequest(int4.folder, onnxruntime=package))
    assert not (tmp_path / "site").exists()
    with caplog.at_level(logging.WARNING):
        build_site(tmp_path / "site", SiteRequest(cells_bundle.folder, onnxruntime=package))
    assert "form cells" in caplog.text


def test_another_language_model_and_none(package: Path, tmp_path: Path, tiny_bundle: Bundle) -> None:
    site = build_site(tmp_path / "with", SiteRequest(tiny_bundle.folder, lm=LM, onnxruntime=package))
    bundle = load_bundle(site.folder / "bundle")
    assert bundle.language_model_path is not None and bundle.language_model_path.read_bytes() == LM.read_bytes()
    assert bundle.acoustic_path.read_bytes() == tiny_bundle.acoustic_path.read_bytes()
    site = build_site(tmp_path / "without", SiteRequest(bundle.folder, use_lm=False, onnxruntime=package))
    assert load_bundle(site.folder / "bundle").language_model_path is None
    with pytest.raises(UsageError, match="--lm and --no-lm clash"):
        SiteRequest(lm=LM, use_lm=False)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tiny.arpa", "is an ARPA file"),
        ("tiny.bin", "is a trie that is not quantized"),
        ("random_compressed.bin", "is a trie that is not quantized"),
        ("kenlm_scores.json", "does not begin like a KenLM binary"),
        ("nowhere.bin", "no language model at"),
    ],
)
def test_language_models_that_the_page_cannot_read(
    package: Path, tmp_path: Path, tiny_bundle: Bundle, name: str, words: str
) -> None:
    with pytest.raises(LanguageModelError, match=words):
        build_site(tmp_path / "site", SiteRequest(tiny_bundle.folder, lm=GOLDEN / name, onnxruntime=package))
    assert not (tmp_path / "site").exists()


def test_hash_tables_are_named(package: Path, tmp_path: Path, tiny_bundle: Bundle) -> None:
    header = bytearray(LM.read_bytes())
    header[88 + 8] = 0  # the kind, behind order and multiplier
    (tmp_path / "probing.bin").write_bytes(header)
    with pytest.raises(LanguageModelError, match="of the kind hash tables; the page reads only a quantized trie"):
        build_site(tmp_path / "site", SiteRequest(tiny_bundle.folder, lm=tmp_path / "probing.bin", onnxruntime=package))


def test_a_foreign_folder_and_a_damaged_bundle_are_left_alone(
    package: Path, tmp_path: Path, tiny_bundle: Bundle
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="exists and is not a site"):
        build_site(tmp_path / "notes", SiteRequest(tiny_bundle.folder, onnxruntime=package))
    damaged = changed(tiny_bundle, tmp_path / "damaged")
    damaged.acoustic_path.write_bytes(damaged.acoustic_path.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match="is damaged"):
        build_site(tmp_path / "site", SiteRequest(damaged.folder, onnxruntime=package))
    assert (tmp_path / "notes" / "thesis.txt").read_text() == "years of work" and not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    "contents", ["{}", "[]", "nonsense", '{"format": "edgespeech-site", "files": {"../secret": {}}}',
                 '{"format": "edgespeech-site", "files": {"missing.js": {}}}']
)  # fmt: skip
def test_a_folder_that_is_not_a_complete_site_is_not_served(tmp_path: Path, contents: str) -> None:
    (tmp_path / "secret").write_text("not for the web")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "site.json").write_text(contents)
    with pytest.raises(UsageError, match="is not a complete site; build it with"):
        open_site(tmp_path / "site")


def test_the_command(package: Path, tmp_path: Path, tiny_bundle: Bundle, edgespeech: Callable[..., Any]) -> None:
    line = ("web", tiny_bundle.folder, "-o", tmp_path / "site", "--ort", package)
    outcome = edgespeech(*line)
    assert outcome.code == 0, outcome.err
    *table, last = outcome.out.splitlines()
    assert last == str(tmp_path / "site") and "gzip" in table[0] and table[-1].startswith("| total")
    outcome = edgespeech(*line)
    assert (outcome.code, outcome.out) == (2, "") and "give --overwrite" in outcome.err
    assert edgespeech(*line, "--overwrite").code == 0
    for arguments, words in (
        ((tiny_bundle.folder,), "give the folder to write with -o SITE, or --serve"),
        ((tmp_path / "nowhere", "-o", tmp_path / "new", "--ort", package), "nowhere"),
        ((tiny_bundle.folder, "--serve", "--port", "70000"), "--port is 70000"),
        ((tiny_bundle.folder, "--serve", "--key", package), "a certificate and its key belong together"),
    ):
        outcome = edgespeech("web", *arguments)
        assert outcome.code == 2 and words in outcome.err and len(outcome.err.splitlines()) == 1
    assert not (tmp_path / "new").exists()


def test_errors_are_of_this_package(package: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(EdgespeechError):
        build_site(tmp_path / "file" / "site", SiteRequest(onnxruntime=package))
