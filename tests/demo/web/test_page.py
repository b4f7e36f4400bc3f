"""The page in a headless Chromium: words, exports, settings, what is stored, and what is in the way."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech import Recognizer, load_bundle
from edgespeech.demo.web.onnxruntime_web import find_onnxruntime_web
from edgespeech.demo.web.site import Site, SiteRequest, build_site
from edgespeech.errors import EdgespeechError
from edgespeech.runtime import audio
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.options import RecognizerOptions
from tests.demo.server.page.browser import Browser, browser, find_browser
from tests.demo.web.page_driver import (
    FIGURES,
    IS_IDLE,
    NOTICE,
    TEXT,
    open_page,
    recognise_file,
    saved,
    served,
    set_field,
)

pytestmark = pytest.mark.slow
CLIPS = [entry.path for entry in read_manifest(SAMPLE_CLIPS)]
CHUNK_MS = 300


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site of the default bundle."""
    find_browser()
    try:
        find_onnxruntime_web()
    except EdgespeechError as error:
        pytest.skip(f"needs onnxruntime-web: {error}")
    return build_site(tmp_path_factory.mktemp("web") / "site", SiteRequest())


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer(load_bundle(), RecognizerOptions(chunk_ms=CHUNK_MS))


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample clip and silence behind it, at the rate of microphones."""
    path = tmp_path_factory.mktemp("sound") / "voice.wav"
    soundfile.write(path, np.concatenate([audio.read(CLIPS[2], 48000), np.zeros(3 * 48000, np.float32)]), 48000)
    return path


def in_browser(
    site: Site, folder: Path, work: Callable[[Browser, str], Coroutine[Any, Any, Any]], *options: str,
    microphone: Path | None = None,
) -> Any:  # fmt: skip
    """Run something with a tab and the address of the served site."""

    async def run() -> Any:
        async with served(site) as address, browser(folder / "profile", microphone, *options) as tab:
            return await work(tab, address)

    return asyncio.run(run())


def python_text(recognizer: Recognizer, wav: bytes) -> str:
    samples, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
    assert rate == 16000
    return recognizer.transcribe((samples, rate)).text


def test_the_microphone_has_the_words_of_its_samples(
    site: Site, recognizer: Recognizer, voice: Path, tmp_path: Path
) -> None:
    """int8 in WebAssembly and in native onnxruntime differ after some 17 s, so the clip is short."""

    async def work(tab: Browser, address: str) -> tuple[str, bytes, list[str]]:
        await tab.watch_workers()
        await open_page(tab, address)
        await set_field(tab, "chunkMs", str(CHUNK_MS))
        await tab.wait("document.querySelector('#loading').hidden && !document.querySelector('#microphone').disabled")
        await tab.evaluate("document.querySelector('#microphone').focus()")
        await tab.press("Enter", 13)
        await tab.wait("document.querySelector('#present').textContent.length > 3")
        assert await tab.evaluate("document.activeElement.id") == "stop"
        await tab.wait("document.querySelectorAll('#segments li').length > 0")
        await tab.wait(f"{FIGURES}.includes('behind the microphone')")
        figures = await tab.evaluate(FIGURES)
        assert re.fullmatch(r"0:\d\d\.\d of speech; real-time factor \d\.\d+; text .* behind .* computing", figures)
        await tab.press("Enter", 13)
        await tab.wait(IS_IDLE)
        assert await tab.evaluate("document.activeElement.id") == "microphone"
        assert tab.problems == [] and await tab.evaluate(NOTICE) == ""
        return await tab.evaluate(TEXT), await saved(tab, "wav"), tab.requests

    text, wav, requests = in_browser(site, tmp_path, work, microphone=voice)
    assert text == python_text(recognizer, wav) != ""
    assert any(one.endswith("lm.bin") for one in requests)
    assert [one for one in requests if not one.startswith("http://127.0.0.1:")] == []


def test_a_file_has_the_words_of_transcribe_in_every_format(site: Site, recognizer: Recognizer, tmp_path: Path) -> None:
    file = tmp_path / "talk.wav"
    soundfile.write(file, audio.read(CLIPS[0], 16000), 16000)
    wanted = recognizer.transcribe(file)

    async def work(tab: Browser, address: str) -> dict[str, bytes]:
        await open_page(tab, address)
        await set_field(tab, "chunkMs", str(CHUNK_MS))
        await tab.wait("document.querySelector('#loading').hidden && !document.querySelector('#open').disabled")
        assert await recognise_file(tab, file) == wanted.text
        assert "times as fast as speech" in await tab.evaluate(FIGURES)
        assert await tab.evaluate("document.querySelector('#segments').getAttribute('aria-live')") == "polite"
        files = {kind: await saved(tab, kind) for kind in ("txt", "srt", "vtt", "wav")}
        await tab.evaluate("document.querySelector('#clear').click()")
        assert await tab.evaluate(TEXT) == "" and await tab.evaluate("document.querySelector('#results').hidden")
        assert tab.problems == [] and await tab.evaluate(NOTICE) == ""
        return files

    files = in_browser(site, tmp_path, work)
    assert files["txt"].decode() == "".join(f"{one.text}\n" for one in wanted.segments)
    assert files["srt"].startswith(b"1\n00:00:0") and files["vtt"].startswith(b"WEBVTT\n\n00:00:0")
    assert python_text(recognizer, files["wav"]) == wanted.text


def test_settings_change_what_is_recognised_and_are_remembered(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "talk.wav"
    soundfile.write(file, audio.read(CLIPS[2], 16000), 16000)

    async def work(tab: Browser, address: str) -> None:
        await open_page(tab, address)
        usual = await recognise_file(tab, file)
        assert "invitation" in usual
        await tab.evaluate("document.querySelector('#clear').click()")
        await set_field(tab, "useLm", False)
        await set_field(tab, "chunkMs", str(CHUNK_MS))  # while the model is loaded for the first change
        await tab.wait("document.querySelector('#loading').hidden && !document.querySelector('#open').disabled")
        assert await recognise_file(tab, file) not in ("", usual)
        await tab.evaluate("document.querySelector('#clear').click()")
        await set_field(tab, "grammar", "they prepared\nan invitation")
        await tab.wait("document.querySelector('#loading').hidden && !document.querySelector('#open').disabled")
        words = set((await recognise_file(tab, file)).split())
        assert words and words <= {"they", "prepared", "an", "invitation", "<unknown>"}
        await set_field(tab, "hotWords", "wrong:boost")
        assert "Hot words" in await tab.wait(NOTICE)
        await set_field(tab, "hotWords", "")
        await set_field(tab, "grammar", "1234")
        assert "1234" in await tab.wait(f"{NOTICE}.includes('1234') && {NOTICE}")
        await set_field(tab, "grammar", "an invitation")
        await tab.wait("!document.querySelector('#open').disabled")
        await open_page(tab, address)
        assert await tab.evaluate("document.querySelector('#grammar').value") == "an invitation"
        assert tab.problems == []

    in_browser(site, tmp_path, work)


def test_the_second_visit_needs_no_network(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "talk.wav"
    soundfile.write(file, audio.read(CLIPS[2], 16000), 16000)

    async def run() -> tuple[str, str]:
        async with browser(tmp_path / "profile") as tab:
            async with served(site) as address:
                await open_page(tab, address)
                first = await recognise_file(tab, file)
                await tab.evaluate("navigator.serviceWorker.ready.then(() => true)")
                await tab.wait("navigator.serviceWorker.controller !== null")
            await tab.call("Page.navigate", url="about:blank")
            await open_page(tab, address)  # which nobody serves any more
            second = await recognise_file(tab, file)
            assert tab.problems == []
            return first, second

    first, second = asyncio.run(run())
    assert first == second != ""


@pytest.mark.parametrize("name", ["bundle/lm.bin", "bundle/acoustic.onnx"])
def test_a_damaged_download_is_reported(site: Site, tmp_path: Path, name: str) -> None:
    copy = Site(tmp_path / "site", site.paths, {})
    shutil.copytree(site.folder, copy.folder)
    content = bytearray((copy.folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy.folder / name).write_bytes(content)
    (copy.folder / f"{name}.gz").unlink()

    async def work(tab: Browser, address: str) -> None:
        await open_page(tab, address)
        assert await tab.evaluate(NOTICE) == (
            f"{name} arrived damaged: its size or SHA-256 is not the one in site.json; reload the page, and if that "
            "does not help, upload the site again."
        )
        assert await tab.evaluate("document.querySelector('#microphone').disabled")
        (copy.folder / name).write_bytes((site.folder / name).read_bytes())
        await open_page(tab, address)
        assert await tab.evaluate(NOTICE) == "" and not await tab.evaluate("document.querySelector('#open').disabled")

    in_browser(copy, tmp_path, work)


def test_without_https_the_page_explains_itself_and_takes_files(site: Site, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no audio")
    file = tmp_path / "talk.wav"
    soundfile.write(file, audio.read(CLIPS[2], 16000), 16000)

    async def work(tab: Browser, address: str) -> None:
        await open_page(tab, address.replace("127.0.0.1", "phone.example"))
        assert "only over https or on localhost" in await tab.wait(NOTICE)
        await tab.wait("!document.querySelector('#open').disabled")
        assert await tab.evaluate("document.querySelector('#microphone').disabled")
        assert "invitation" in await recognise_file(tab, file)
        await tab.choose_file(tmp_path / "notes.txt")
        assert await tab.wait(f"{NOTICE}.includes('cannot read notes.txt')")
        assert tab.problems == []

    in_browser(site, tmp_path, work, "--host-resolver-rules=MAP phone.example 127.0.0.1")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--js-flags=--no-enable-sse4-1", "has no WebAssembly SIMD, which the page needs. Update the browser"),
        ("--js-flags=--wasm-max-mem-pages=256", "There is too little free memory: the page needs about 300 MB."),
    ],
)
def test_a_browser_that_cannot_run_it_is_told_so(site: Site, tmp_path: Path, option: str, words: str) -> None:
    """WebAssembly.Memory of onnxruntime-web begins with 256 pages of 64 KiB."""

    async def work(tab: Browser, address: str) -> None:
        await open_page(tab, address)
        assert words in await tab.evaluate(NOTICE)

    in_browser(site, tmp_path, work, option)


def test_without_webassembly_the_page_says_so(site: Site, tmp_path: Path) -> None:
    async def work(tab: Browser, address: str) -> None:
        await tab.call("Page.addScriptToEvaluateOnNewDocument", source="delete globalThis.WebAssembly;")
        await open_page(tab, address)
        assert "WebAssembly is switched off in this browser" in await tab.evaluate(NOTICE)
        assert await tab.evaluate("document.querySelector('#controls').hidden")

    in_browser(site, tmp_path, work)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("NotAllowedError", "is not allowed for this page. Allow it"),
        ("NotFoundError", "No microphone was found. Connect one"),
        ("NotReadableError", "is used by another program"),
    ],
)
def test_a_microphone_that_does_not_open(site: Site, tmp_path: Path, error: str, words: str) -> None:
    async def work(tab: Browser, address: str) -> None:
        await open_page(tab, address)
        await tab.evaluate(
            f"navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('', {json.dumps(error)}); }}"
        )
        await tab.evaluate("document.querySelector('#microphone').click()")
        assert words in await tab.wait(NOTICE)
        assert not await tab.evaluate("document.querySelector('#microphone').disabled")

    in_browser(site, tmp_path, work)


def test_the_page_fits_a_phone_in_light_and_dark(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "talk.wav"
    soundfile.write(file, audio.read(CLIPS[0], 16000), 16000)

    async def work(tab: Browser, address: str) -> list[str]:
        backgrounds = []
        await tab.call("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=2, mobile=True)
        for scheme in ("light", "dark"):
            await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            await open_page(tab, address)
            await recognise_file(tab, file)
            await tab.evaluate("document.querySelector('#options').open = true")
            assert await tab.evaluate("document.documentElement.scrollWidth") <= 360
            sizes = await tab.evaluate(
                "[...document.querySelectorAll('button, select, textarea, .check, #endpointSeconds')]"
                ".filter((one) => one.offsetParent).map((one) => one.offsetHeight)"
            )
            assert len(sizes) >= 14 and min(sizes) >= 44
            unnamed = await tab.evaluate(
                "[...document.querySelectorAll('button, select, textarea, input, meter, progress')].filter((one) => "
                "!one.textContent.trim() && !one.labels?.length && !one.ariaLabel).map((one) => one.id)"
            )
            assert unnamed == []
            backgrounds.append(await tab.evaluate("getComputedStyle(document.body).backgroundColor"))
            await tab.screenshot(tmp_path / f"{scheme}.png")
        return backgrounds

    light, dark = in_browser(site, tmp_path, work)
    assert light != dark
