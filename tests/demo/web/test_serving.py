"""The web server of a site: types, compression, headers, and nothing beside the files of the site."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edgespeech.demo.web.serving import ServeRequest, serve_site
from edgespeech.demo.web.site import Site, SiteRequest, build_site
from edgespeech.errors import UsageError
from edgespeech.runtime.bundle import Bundle
from tests.demo.web.page_driver import served


@pytest.fixture
def site(package: Path, tmp_path: Path, tiny_bundle: Bundle) -> Site:
    return build_site(tmp_path / "site", SiteRequest(tiny_bundle.folder, onnxruntime=package, brotli=True))


def answers(site: Site, *requests: tuple[str, dict[str, str]]) -> list[tuple[int, Any, bytes]]:
    async def ask() -> list[tuple[int, Any, bytes]]:
        found = []
        async with served(site) as address, aiohttp.ClientSession(auto_decompress=False) as client:
            for path, headers in requests:
                async with client.get(address + path, headers=headers) as answer:
                    found.append((answer.status, answer.headers, await answer.read()))
        return found

    return asyncio.run(ask())


def test_every_file_has_its_type_and_the_policy(site: Site) -> None:
    types = {
        "": "text/html; charset=utf-8", "index.html": "text/html; charset=utf-8",
        "page/page.js": "text/javascript; charset=utf-8",
        "ort/ort.wasm.bundle.min.mjs": "text/javascript; charset=utf-8",
        "ort/ort-wasm-simd-threaded.wasm": "application/wasm", "page/page.css": "text/css; charset=utf-8",
        "manifest.webmanifest": "application/manifest+json", "bundle/acoustic.onnx": "application/octet-stream",
        "icon.svg": "image/svg+xml", "site.json": "application/json",
    }  # fmt: skip
    plain = {"Accept-Encoding": "identity"}
    for (path, kind), (status, headers, body) in zip(
        types.items(), answers(site, *((path, plain) for path in types)), strict=True
    ):
        assert (status, headers["Content-Type"]) == (200, kind), path
        assert body == (site.folder / (path or "index.html")).read_bytes()
        policy = headers["Content-Security-Policy"]
        assert "script-src 'self' 'wasm-unsafe-eval'" in policy and "connect-src 'self'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cache-Control"] == "no-cache"


def test_the_page_has_the_policy_of_the_header(site: Site) -> None:
    ((_, headers, body),) = answers(site, ("", {"Accept-Encoding": "identity"}))
    policy = headers["Content-Security-Policy"].removesuffix("; frame-ancestors 'none'")  # not allowed in the page
    assert f'content="{policy}"' in body.decode()


def test_the_best_compression_that_the_browser_takes(site: Site) -> None:
    path = "page/page.js"
    found = answers(
        site, (path, {"Accept-Encoding": "gzip, br"}), (path, {"Accept-Encoding": "gzip"}),
        (path, {"Accept-Encoding": "identity"}),
    )  # fmt: skip
    for (status, headers, body), encoding, suffix in zip(found, ("br", "gzip", None), (".br", ".gz", ""), strict=True):
        assert (status, headers.get("Content-Encoding")) == (200, encoding)
        assert body == (site.folder / f"{path}{suffix}").read_bytes()
        assert headers["Content-Type"].startswith("text/javascript")


def test_a_file_that_has_not_changed_is_not_sent_again(site: Site) -> None:
    ((_, headers, _),) = answers(site, ("bundle/acoustic.onnx", {}))
    ((status, _, body),) = answers(site, ("bundle/acoustic.onnx", {"If-None-Match": headers["ETag"]}))
    assert (status, body) == (304, b"")


def test_nothing_else_is_served(site: Site) -> None:
    (site.folder / "private.txt").write_text("not part of the site")
    (site.folder.parent / "secret.txt").write_text("outside")
    paths = ("private.txt", "page/", "..%2fsecret.txt", "page/..%2f..%2fsecret.txt", "bundle", "index.html.gz")
    assert [status for status, _, _ in answers(site, *((path, {}) for path in paths))] == [404] * len(paths)


def test_addresses_and_certificates_that_cannot_be_used(site: Site, tmp_path: Path) -> None:
    (tmp_path / "note.pem").write_text("not a certificate")
    for request, words in (
        (ServeRequest(host="256.0.0.1"), "cannot listen on 256.0.0.1:8090"),
        (ServeRequest(certificate=tmp_path / "none.pem", key=tmp_path / "none.pem"), "cannot read"),
        (ServeRequest(certificate=tmp_path / "note.pem", key=tmp_path / "note.pem"), "not a certificate and its key"),
    ):
        with pytest.raises(UsageError, match=words):
            serve_site(site, request)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UsageError, match="choose another --port"):
        serve_site(site, ServeRequest(port=taken.getsockname()[1]))
    with pytest.raises(UsageError, match="--port is -1"):
        ServeRequest(port=-1)


@pytest.mark.skipif(os.name != "posix", reason="needs signals of POSIX")
def test_the_command_serves_until_a_signal(site: Site) -> None:
    command = [sys.executable, "-m", "edgespeech.demo.cli", "web", str(site.folder), "--serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = process.stderr.readline().strip()
        advice = process.stderr.readline()
        assert address.startswith("http://127.0.0.1:") and "adb reverse" in advice and "https" in advice
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60)[0] == "" and process.returncode == 0
