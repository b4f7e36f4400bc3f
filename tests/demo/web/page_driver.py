"""The page of `edgespeech web` in a headless Chromium: served, opened, watched."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from aiohttp import web

from edgespeech.demo.web.serving import make_application
from edgespeech.demo.web.site import Site
from tests.demo.server.page.browser import Browser

IS_READY = "document.querySelector('#engine')?.textContent"
IS_IDLE = "!document.querySelector('#microphone').hidden"
NOTICE = "document.querySelector('#notice').textContent"
FIGURES = "document.querySelector('#figures').textContent"
TEXT = "[...document.querySelectorAll('#segments .words')].map((one) => one.textContent).join(' ')"

# Keeps the files that the page offers for saving, instead of saving them.
KEEP_SAVED = """
HTMLAnchorElement.prototype.click = function () {};
window.blobs = [];
URL.createObjectURL = (blob) => { window.blobs.push(blob); return "blob:kept"; };
"""


@asynccontextmanager
async def served(site: Site, port: int = 0) -> AsyncIterator[str]:
    """Serve a site as `edgespeech web --serve` does, and return its address."""
    runner = web.AppRunner(make_application(site), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        listener = web.TCPSite(runner, "127.0.0.1", port)
        await listener.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def open_page(tab: Browser, address: str, until: str = IS_READY) -> None:
    """Show the page, and wait until its model is loaded or until something else."""
    await tab.call("Page.addScriptToEvaluateOnNewDocument", source=KEEP_SAVED)
    await tab.call("Page.navigate", url=address)
    await tab.wait("document.readyState === 'complete' && location.href !== 'about:blank'")
    await tab.wait(f"({until}) || {NOTICE}")


async def set_field(tab: Browser, name: str, value: Any) -> None:
    """Change a field of the settings as a person does."""
    key = "checked" if isinstance(value, bool) else "value"
    await tab.evaluate(
        f"""(() => {{
          const field = document.querySelector("#settings").elements[{json.dumps(name)}];
          field[{json.dumps(key)}] = {json.dumps(value)};
          field.dispatchEvent(new Event("change", {{ bubbles: true }}));
        }})()"""
    )


async def recognise_file(tab: Browser, path: Path) -> str:
    """Choose a file, wait for its last word, and return the text."""
    await tab.choose_file(path)
    await tab.wait("document.querySelector('#microphone').hidden")
    await tab.wait(IS_IDLE)
    text: str = await tab.evaluate(TEXT)
    return text


async def saved(tab: Browser, kind: str) -> bytes:
    """Press the button that saves the transcript or the sound, and return the file."""
    await tab.evaluate(f"document.querySelector('[data-save={kind}]').click()")
    text = await tab.evaluate(
        """new Promise((resolve) => {
          const reader = new FileReader();
          reader.onload = () => resolve(reader.result.split(",")[1] ?? "");
          reader.readAsDataURL(window.blobs.at(-1));
        })"""
    )
    return base64.b64decode(text)


def renderers(profile: Path) -> list[psutil.Process]:
    """Return the processes of a browser that compute and draw pages."""
    return [one for one in processes(profile) if "--type=renderer" in one.cmdline()]


def processes(profile: Path) -> list[psutil.Process]:
    """Return all processes of the browser with this profile."""
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if f"--user-data-dir={profile}" in command and not any(one.startswith("--type=") for one in command):
            return [process, *process.children(recursive=True)]
    return []
