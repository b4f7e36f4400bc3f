"""The web page in a real browser, and its files without one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech import Recognizer
from edgespeech.demo.server.page.routes import Page
from edgespeech.runtime import audio
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from tests.demo.server.clients import RATE, RunningServer, running
from tests.demo.server.page.browser import Browser, browser

TOKEN = "correct-horse"
CLIPS = [entry.path for entry in read_manifest(SAMPLE_CLIPS)]
PAUSE = CLIPS[0]
WORDS = (
    "[...document.querySelectorAll('#segments li')].map((line) => "
    "[...line.querySelectorAll('span')].map((one) => one.textContent).join(' ')).join(' ')"
)
IS_IDLE = "!document.querySelector('#microphone').hidden"
NOTICE = "document.querySelector('#notice').textContent"


@pytest.fixture(scope="module")
def strict() -> Iterator[RunningServer]:
    """A server with a token."""
    with running(EDGESPEECH_TOKEN=TOKEN) as started:
        yield started


def page_of(server: RunningServer) -> str:
    return server.addresses["http"] + "/"


class References(HTMLParser):
    """Collects what a page loads, and what it has inline."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:  # noqa: D102
        given = dict(attributes)
        self.inline += [name for name in given if name.startswith("on") or name == "style"]
        self.found += [
            value for name in ("src", "href") if (value := given.get(name)) and not value.startswith("data:")
        ]
        if tag in ("script", "style") and "src" not in given:
            self.inline.append(tag)


def test_the_page_loads_only_files_of_its_own(server: RunningServer) -> None:
    with urlopen(page_of(server)) as answer:
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        text = answer.read().decode()
    parser = References()
    parser.feed(text)
    assert parser.found and parser.inline == []
    types = {"css": "text/css", "js": "text/javascript"}
    waiting, seen = set(parser.found), set()
    while waiting:
        name = waiting.pop()
        seen.add("/" + name)
        with urlopen(page_of(server) + name) as answer:
            assert answer.headers["Content-Type"].startswith(types[name.rpartition(".")[2]])
            waiting |= {f"page/{one}" for one in re.findall(r'"(?:\./)?(\w+\.js)"', answer.read().decode())}
    assert seen | {"/"} == Page().paths


def test_the_page_needs_no_token_and_shows_none_of_the_server(strict: RunningServer) -> None:
    with urlopen(page_of(strict)) as answer:
        assert answer.status == 200 and TOKEN not in answer.read().decode()


@pytest.mark.slow
def test_a_file_has_the_words_of_transcribe(server: RunningServer, recognizer: Recognizer, tmp_path: Path) -> None:
    file = tmp_path / "talk.wav"
    soundfile.write(file, audio.read(PAUSE, RATE), RATE)
    wanted = recognizer.transcribe(file)

    async def run() -> str:
        async with browser(tmp_path / "profile") as tab:
            await tab.open(page_of(server))
            await tab.choose_file(file)
            await tab.wait(f"{IS_IDLE} && document.querySelectorAll('#segments li').length === {len(wanted.segments)}")
            figures = await tab.evaluate("document.querySelector('#figures').textContent")
            assert "times as fast as speech" in figures
            times = await tab.evaluate("[...document.querySelectorAll('time')].map((one) => one.textContent)")
            assert [float(one.split(" to ")[0].removeprefix("0:")) for one in times] == [
                pytest.approx(one.start, abs=0.051) for one in wanted.segments
            ]
            found: str = await tab.evaluate(WORDS)
            assert tab.problems == [] and await tab.evaluate(NOTICE) == ""
            await tab.evaluate("document.querySelector('#clear').click()")
            assert await tab.evaluate(WORDS) == ""
            return found

    assert len(wanted.segments) > 1 and asyncio.run(run()) == wanted.text


@pytest.mark.slow
def test_the_microphone_has_the_words_of_its_samples(
    server: RunningServer, recognizer: Recognizer, tmp_path: Path
) -> None:
    sound = tmp_path / "voice.wav"
    soundfile.write(sound, np.concatenate([audio.read(CLIPS[2], 48000), np.zeros(3 * 48000, np.float32)]), 48000)

    async def run() -> tuple[str, bytes, int]:
        async with browser(tmp_path / "profile", sound) as tab:
            await tab.open(page_of(server))
            await tab.evaluate("document.querySelector('#microphone').focus()")
            await tab.press("Enter", 13)
            await tab.wait("document.querySelector('#committed, #tentative').parentNode.textContent.length > 3")
            await tab.wait("document.querySelectorAll('#segments li').length > 0")
            figures = await tab.evaluate("document.querySelector('#figures').textContent")
            assert re.fullmatch(r"0:\d\d\.\d of speech; text \d\.\d\d s behind .* \d+ ms are computing", figures)
            await tab.evaluate("document.querySelector('#stop').click()")
            await tab.wait(IS_IDLE)
            assert tab.problems == [] and await tab.evaluate(NOTICE) == ""
            rate = re.search(r"s16le:(\d+):1", await tab.evaluate("window.sent.find((one) => one.length)"))
            assert rate is not None
            return await tab.evaluate(WORDS), await tab.sent(), int(rate[1])

    words, sent, rate = asyncio.run(run())
    assert words == recognizer.transcribe((np.frombuffer(sent, "<i2"), rate)).text != ""
    assert len(sent) > 2 * 3 * rate


@pytest.mark.slow
def test_the_token_is_asked_for_and_kept(strict: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "talk.wav"
    soundfile.write(file, audio.read(CLIPS[2], RATE), RATE)

    async def enter(tab: Browser, token: str) -> None:
        await tab.evaluate(f"document.querySelector('#token').value = '{token}'")
        await tab.evaluate("document.querySelector('#access button').click()")

    async def run() -> None:
        async with browser(tmp_path / "profile") as tab:
            await tab.open(page_of(strict))
            await tab.wait("!document.querySelector('#access').hidden")
            assert await tab.evaluate("document.activeElement.id") == "token"
            await enter(tab, "wrong")
            await tab.wait(f"{NOTICE} === 'This token is wrong.'")
            await enter(tab, TOKEN)
            await tab.wait("!document.querySelector('#controls').hidden")
            await tab.open(page_of(strict))
            await tab.choose_file(file)
            assert await tab.wait(f"{IS_IDLE} && {WORDS}")
            assert [one for one in tab.problems if "401" not in one] == []

    asyncio.run(run())


@pytest.mark.slow
def test_without_https_the_page_explains_itself_and_takes_files(server: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no audio")

    async def run() -> None:
        async with browser(tmp_path / "profile", None, "--host-resolver-rules=MAP phone.example 127.0.0.1") as tab:
            await tab.open(page_of(server).replace("127.0.0.1", "phone.example"))
            assert "only over https" in await tab.wait(NOTICE)
            assert await tab.evaluate("document.querySelector('#microphone').disabled")
            await tab.choose_file(tmp_path / "notes.txt")
            assert await tab.wait(f"{NOTICE}.includes('cannot read notes.txt')")
            assert tab.problems == []

    asyncio.run(run())


@pytest.mark.slow
def test_the_page_fits_a_phone_in_light_and_dark(server: RunningServer, tmp_path: Path) -> None:
    async def run() -> list[str]:
        backgrounds = []
        async with browser(tmp_path / "profile") as tab:
            await tab.call(
                "Emulation.setDeviceMetricsOverride", width=360, height=640, deviceScaleFactor=2, mobile=True
            )
            for scheme in ("light", "dark"):
                await tab.call(
                    "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
                )
                await tab.open(page_of(server))
                assert await tab.evaluate("document.documentElement.scrollWidth") <= 360
                heights = await tab.evaluate(
                    "[...document.querySelectorAll('button')].filter((one) => one.offsetParent)"
                    ".map((one) => one.offsetHeight)"
                )
                assert len(heights) == 4 and min(heights) >= 44
                backgrounds.append(await tab.evaluate("getComputedStyle(document.body).backgroundColor"))
                await tab.screenshot(tmp_path / f"{scheme}.png")
        return backgrounds

    light, dark = asyncio.run(run())
    assert light != dark
