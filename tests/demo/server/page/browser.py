"""A headless Chromium with a microphone that plays a file, driven by its debugging protocol."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets

_PATIENCE_SECONDS = 180.0  # a browser on a machine that is busy with other tests
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Keeps what the page sends, so that a recognizer alone can be given the same samples.
_KEEP_SENT = """
window.sent = [];
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  window.sent.push(typeof data === "string" ? data : data.slice(0));
  send.call(this, data);
};
"""


class Browser:
    """One tab.

    Attributes:
        problems: Errors of scripts, and what the console has as errors.
        requests: Addresses that the page and its workers asked for, from `watch_workers` on.
    """

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._workers: list[str] = []  # sessions

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; events in between are looked at for problems."""
        number = await self._send(method, parameters)
        while True:
            message = json.loads(await asyncio.wait_for(self._socket.recv(), _PATIENCE_SECONDS))
            kind, details = message.get("method"), message.get("params", {})
            if kind == "Runtime.exceptionThrown":
                self.problems.append(str(details["exceptionDetails"]))
            elif kind == "Log.entryAdded" and details["entry"]["level"] == "error":
                self.problems.append(details["entry"]["text"])
            elif kind == "Runtime.consoleAPICalled" and details["type"] == "error":
                self.problems.append(str(details["args"]))
            elif kind == "Network.requestWillBeSent":
                self.requests.append(details["request"]["url"])
            elif kind == "Target.attachedToTarget":
                self._workers.append(details["sessionId"])
                for one in ("Runtime.enable", "Log.enable", "Network.enable", "Runtime.runIfWaitingForDebugger"):
                    await self._send(one, {}, details["sessionId"])
            elif message.get("id") == number:
                assert "error" not in message, message["error"]
                result: dict[str, Any] = message["result"]
                return result

    async def _send(self, method: str, parameters: dict[str, Any], session: str | None = None) -> int:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        await self._socket.send(json.dumps(message if session is None else {**message, "sessionId": session}))
        return number

    async def watch_workers(self) -> None:
        """From now on, also look at problems of workers, and keep the addresses of all requests."""
        await self.call("Network.enable")
        await self.call("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=True, flatten=True)

    async def collect_garbage(self) -> None:
        """Free what scripts do not use any more, in the page and in the workers that are watched."""
        await self.call("HeapProfiler.collectGarbage")
        for session in self._workers:
            await self._send("HeapProfiler.collectGarbage", {}, session)
        await asyncio.sleep(1.0)

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression as JSON has it; buttons that it clicks are clicked by a person."""
        result = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def wait(self, expression: str) -> Any:
        """Wait until an expression is true, and return its value."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not (value := await self.evaluate(expression)):
            assert time.monotonic() < deadline, (expression, await self.evaluate("document.body.innerText"))
            await asyncio.sleep(0.05)
        return value

    async def open(self, address: str) -> None:
        """Show a page, and wait until it knows the server."""
        await self.call("Page.navigate", url=address)
        await self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")
        await self.wait("!document.querySelector('#server').textContent.startsWith('Connecting')")

    async def choose_file(self, path: Path) -> None:
        """Choose a file in the page's field for files."""
        document = (await self.call("DOM.getDocument"))["root"]["nodeId"]
        field = (await self.call("DOM.querySelector", nodeId=document, selector="#file"))["nodeId"]
        await self.call("DOM.setFileInputFiles", nodeId=field, files=[str(path)])

    async def press(self, key: str, code: int) -> None:
        """Press and release a key."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code,
                            **(text if kind == "keyDown" else {}))  # fmt: skip

    async def sent(self) -> bytes:
        """Return the binary messages that the page sent."""
        text = await self.evaluate(
            """(async () => {
              const bytes = new Blob(window.sent.filter((one) => typeof one !== "string"));
              return await new Promise((resolve) => {
                const reader = new FileReader();
                reader.onload = () => resolve(reader.result.split(",")[1] ?? "");
                reader.readAsDataURL(bytes);
              });
            })()"""
        )
        return base64.b64decode(text)

    async def screenshot(self, path: Path) -> None:
        """Keep a picture of the page."""
        path.write_bytes(base64.b64decode((await self.call("Page.captureScreenshot"))["data"]))


def find_browser() -> str:
    """Return the program, or skip the test."""
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    pytest.skip(f"needs a browser: one of {', '.join(_NAMES)}")


@asynccontextmanager
async def browser(folder: Path, microphone: Path | None = None, *options: str) -> AsyncIterator[Browser]:
    """Run a browser with a profile of its own.

    Args:
        folder: For the profile.
        microphone: WAV file that the microphone plays once; a beep without one.
        options: Further options of the program.
    """
    command = [
        find_browser(), "--headless=new", "--no-first-run", "--disable-gpu", "--mute-audio", "--window-size=800,900",
        "--remote-debugging-port=0", f"--user-data-dir={folder}", "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream", "--disable-component-update", "--disable-background-networking",
        *(["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []),
        *([] if microphone is None else [f"--use-file-for-fake-audio-capture={microphone}%noloop"]),
        *options, "about:blank",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        async with websockets.connect(await _tab(folder, process), max_size=None) as socket:
            tab = Browser(socket)
            for domain in ("Page", "Runtime", "Log", "DOM"):
                await tab.call(f"{domain}.enable")
            await tab.call("Page.addScriptToEvaluateOnNewDocument", source=_KEEP_SENT)
            yield tab
    finally:
        process.terminate()
        process.wait(_PATIENCE_SECONDS)


async def _tab(folder: Path, process: subprocess.Popen[bytes]) -> str:
    """Return the address of the tab's debugging socket."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the browser has ended"
        with_port = folder / "DevToolsActivePort"
        lines = with_port.read_text().splitlines() if with_port.exists() else []
        if len(lines) == 2:
            async with websockets.connect(f"ws://127.0.0.1:{lines[0]}{lines[1]}", max_size=None) as socket:
                await socket.send('{"id": 1, "method": "Target.getTargets"}')
                targets = json.loads(await socket.recv())["result"]["targetInfos"]
            pages = [one["targetId"] for one in targets if one["type"] == "page"]
            if pages:
                return f"ws://127.0.0.1:{lines[0]}/devtools/page/{pages[0]}"
        await asyncio.sleep(0.05)
    raise AssertionError("the browser did not start")
