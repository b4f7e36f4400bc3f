"""The figures of docs/results/browser.md, measured in a headless Chromium: `make web-figures`.

CPU time is that of the browser's renderer processes, which compute and draw; memory is that of the largest of them.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile  # type: ignore[import-untyped]
from aiohttp import web

from edgespeech import Recognizer, load_bundle
from edgespeech.demo.web.site import SiteRequest, build_site, open_site
from edgespeech.runtime.manifest import Utterance, read_manifest, read_samples
from edgespeech.runtime.measure.tables import Table
from edgespeech.runtime.measure.word_errors import word_error_rate
from edgespeech.runtime.options import RecognizerOptions
from tests.demo.server.page.browser import Browser, browser
from tests.demo.web.page_driver import open_page, recognise_file, renderers, served, set_field

AUTOMATIC_MS = 2400  # of audio per step for a file, unless the page is told a length
RATE = 16000
FIRST_PARTIAL = """
window.opened = window.first = 0;
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wanted) => {
  const media = await open(wanted);
  window.opened = performance.now();
  return media;
};
addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
  if (document.querySelector("#present").textContent) window.first ||= performance.now();
}).observe(document.querySelector("#present"), { subtree: true, childList: true, characterData: true }));
"""
KEEP_WORKERS = """
window.workers = [];
window.Worker = class extends Worker {
  constructor(...given) { super(...given); window.workers.push(this); }
};
"""
# The modules of the page without its microphone, so that an hour of speech takes some minutes.
LONG_STREAM = """(async () => {
  window.workers.pop().terminate(); // the page's own
  const { Engine } = await import("./page/engine.js");
  const { Recording } = await import("./page/recording.js");
  const { Transcript } = await import("./page/transcript.js");
  const one = (id) => document.getElementById(id);
  const engine = new Engine();
  const recording = new Recording();
  const transcript = new Transcript(one("segments"), one("committed"), one("tentative"));
  await engine.load({ endpointSeconds: 1, grammar: null, useLm: true, chunkMs: 300 }, () => {});
  let sent = 0;
  let done = { audioSeconds: 0, computeSeconds: 0 };
  let wake = () => {};
  engine.start(16000, false, { hotWords: {}, fastPartials: false }, {
    sound: (samples) => recording.add(samples, 16000),
    events: (events) => events.forEach((event) => transcript.show(event)),
    progress: (value) => { done = value; wake(); },
    end: (trouble) => { done = { trouble }; wake(); },
  });
  window.feed = async (text) => {
    const integers = new Int16Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
    for (let at = 0; at < integers.length; at += 16000) {
      engine.send(Float32Array.from(integers.subarray(at, at + 16000), (sample) => sample / 32768));
      sent += Math.min(16000, integers.length - at) / 16000;
    }
    while (done.audioSeconds < sent - 0.01) await new Promise((resolve) => { wake = resolve; });
    if (done.trouble !== undefined) throw new Error(`the stream ended: ${done.trouble}`);
    return { ...done, lines: transcript.finals.length };
  };
})()"""
PEER = """<!doctype html><title>peer</title><script type="module">
import { MoonshineModel, Settings } from "/peer/dist/moonshine.min.js";
Settings.BASE_ASSET_PATH.MOONSHINE = location.origin + "/peer/dist/";
Settings.BASE_ASSET_PATH.ONNX_RUNTIME = location.origin + "/ort/";
const model = new MoonshineModel("model/tiny");
await model.loadModel();
window.recognise = async (text) => model.generate(Float32Array.from(
  new Int16Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer), (sample) => sample / 32768));
window.ready = true;
</script>"""


class Cost:
    """CPU seconds and memory of the renderers of a browser."""

    def __init__(self, profile: Path) -> None:
        self._processes = renderers(profile)

    def cpu(self) -> float:
        """Return the seconds so far."""
        return sum(sum(one.cpu_times()[:2]) for one in self._processes)

    def memory(self) -> tuple[float, float]:
        """Return MB of the largest renderer: its own with its part of what is shared (PSS), and all mapped (RSS)."""
        largest = max(self._processes, key=lambda one: one.memory_info().rss)
        full = largest.memory_full_info()
        return full.pss / 1e6, full.rss / 1e6


def pcm(samples: Any) -> str:
    integers = np.clip(np.round(np.asarray(samples) * 32768.0), -32768, 32767).astype("<i2")
    return base64.b64encode(integers.tobytes()).decode()


async def ready(tab: Browser) -> None:
    await tab.wait("document.querySelector('#loading').hidden && !document.querySelector('#open').disabled")


async def page_on_clips(
    site: Path, clips: Sequence[tuple[Utterance, Any]], folder: Path, chunk_ms: str, use_lm: bool
) -> tuple[list[str], float, float, float, float]:
    """Return the texts, the CPU seconds per second of speech, PSS, RSS, and the seconds until the page was ready."""
    async with served(open_site(site)) as address, browser(folder / "profile") as tab:
        began = time.monotonic()
        await open_page(tab, address)
        seconds = time.monotonic() - began
        await set_field(tab, "useLm", use_lm)
        await set_field(tab, "chunkMs", chunk_ms)
        await ready(tab)
        cost = Cost(folder / "profile")
        texts, used, total = [], 0.0, 0.0
        for number, (_, samples) in enumerate([*clips[:3], *clips]):  # the first ones are repeated, warm
            path = folder / "clip.wav"
            soundfile.write(path, samples, RATE)
            before = cost.cpu()
            text = await recognise_file(tab, path)
            if number >= 3:
                used, total = used + cost.cpu() - before, total + len(samples) / RATE
                texts.append(text)
            await tab.evaluate("document.querySelector('#clear').click()")
        pss, rss = cost.memory()
        return texts, used / total, pss, rss, seconds


@asynccontextmanager
async def peer_served(package: Path, runtime: Path) -> AsyncIterator[str]:
    application = web.Application()
    application.add_routes([web.static("/peer", package), web.static("/ort", runtime)])

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=PEER, content_type="text/html")

    application.router.add_get("/", page)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def peer_on_clips(
    package: Path, runtime: Path, clips: Sequence[tuple[Utterance, Any]], folder: Path
) -> tuple[list[str], float, float, float, float]:
    """Return the same of moonshine-js, which takes each clip as a whole."""
    async with peer_served(package, runtime) as address, browser(folder / "profile") as tab:
        began = time.monotonic()
        await tab.call("Page.navigate", url=address)
        await tab.wait("window.ready")
        seconds = time.monotonic() - began
        cost = Cost(folder / "profile")
        texts, used, total = [], 0.0, 0.0
        for number, (_, samples) in enumerate([*clips[:3], *clips]):
            before = cost.cpu()
            text = await tab.evaluate(f"recognise('{pcm(samples)}')")
            if number >= 3:
                used, total = used + cost.cpu() - before, total + len(samples) / RATE
                texts.append(text)
        pss, rss = cost.memory()
        return texts, used / total, pss, rss, seconds


async def first_partials(site: Path, voice: Any, folder: Path, count: int) -> list[float]:
    """Return the seconds from the opened microphone to the first text, for a voice that begins at once."""
    path = folder / "voice.wav"
    soundfile.write(path, voice, RATE)
    found = []
    for number in range(count):
        profile = folder / f"profile{number}"
        async with served(open_site(site)) as address, browser(profile, path) as tab:
            await tab.call("Page.addScriptToEvaluateOnNewDocument", source=FIRST_PARTIAL)
            await open_page(tab, address)
            await tab.evaluate("document.querySelector('#microphone').click()")
            await tab.wait("window.first")
            found.append(await tab.evaluate("(window.first - window.opened) / 1000"))
    return found


async def long_stream(site: Path, speech: Iterable[Any], folder: Path, minutes: int) -> Table:
    """Lay out memory and compute time of one stream, every five minutes of speech."""
    rows = []
    async with served(open_site(site)) as address, browser(folder / "profile") as tab:
        await tab.call("Page.addScriptToEvaluateOnNewDocument", source=KEEP_WORKERS)
        await tab.watch_workers()
        await open_page(tab, address)
        await tab.evaluate(LONG_STREAM)
        cost = Cost(folder / "profile")
        before, compute, cpu = 0.0, 0.0, cost.cpu()
        for samples in speech:
            done = await tab.evaluate(f"feed('{pcm(samples)}')")
            if done["audioSeconds"] - before < 300.0:
                continue
            spent = cost.cpu()
            pss, rss = cost.memory()
            await tab.collect_garbage()
            seconds = done["audioSeconds"] - before
            used, _ = cost.memory()
            rows.append((
                f"{done['audioSeconds'] / 60:.0f}", f"{done['lines']}", f"{pss:.0f}", f"{rss:.0f}", f"{used:.0f}",
                f"{300 * (done['computeSeconds'] - compute) / seconds:.1f}", f"{(spent - cpu) / seconds:.4f}",
            ))  # fmt: skip
            print(*rows[-1], flush=True)
            before, compute, cpu = done["audioSeconds"], done["computeSeconds"], spent
            if before >= 60 * minutes:
                break
    return Table(
        ("minutes", "lines", "PSS, MB", "RSS, MB", "PSS after a collection, MB", "ms per chunk", "CPU per second"), rows
    )


def endless(clips: Sequence[tuple[Utterance, Any]]) -> Iterator[Any]:
    """Repeat clips with pauses, in pieces of about ten seconds."""
    while True:
        for _, samples in clips:
            yield np.concatenate([samples, np.zeros(RATE, np.float32)])


def main() -> None:
    """Print the figures that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="+", choices=["clips", "peer", "latency", "hour"])
    parser.add_argument("--speech", type=Path, required=True, help="manifest of clips with texts")
    parser.add_argument("--limit", type=int, default=24)
    parser.add_argument(
        "--site", type=Path, help="site that was built before; by default the default bundle's is built"
    )
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--peer", type=Path, help="folder of the package @moonshine-ai/moonshine-js")
    parser.add_argument("--peer-ort", type=Path, help="folder dist of onnxruntime-web 1.22.0, which that package needs")
    options = parser.parse_args()
    utterances = read_manifest(options.speech, check_files=True)
    chosen = [utterances[round(index)] for index in np.linspace(0, len(utterances) - 1, options.limit)]
    clips = [(one, read_samples(one, RATE)) for one in chosen]
    texts = [one.text or "" for one in chosen]
    with tempfile.TemporaryDirectory() as name:
        site = options.site or build_site(Path(name) / "site", SiteRequest()).folder
        for what in options.what:
            with tempfile.TemporaryDirectory() as folder:
                print(asyncio.run(_measure(what, options, site, clips, texts, Path(folder))).markdown(), flush=True)


async def _measure(
    what: str, options: Any, site: Path, clips: Sequence[tuple[Utterance, Any]], texts: Sequence[str], folder: Path
) -> Table:
    if what == "hour":
        return await long_stream(site, endless(clips), folder, options.minutes)
    if what == "latency":
        voice = np.concatenate([clips[0][1], np.zeros(RATE, np.float32)])
        delays = await first_partials(site, voice, folder, 5)
        row = tuple(f"{value:.2f}" for value in (min(delays), float(np.median(delays)), max(delays)))
        return Table(("first text after the microphone, s", "median", "longest"), [row])
    header = ("page", "WER %", "CPU per second", "PSS, MB", "RSS, MB", "ready after, s", "texts as Python")
    if what == "peer":
        found = await peer_on_clips(options.peer, options.peer_ort, clips, folder)
        return Table(header, [_row("moonshine-js tiny", found, texts, None)])
    rows = []
    for chunk_ms, use_lm in (("", True), ("300", True), ("150", True), ("", False)):
        name = f"{chunk_ms or 'automatic'} ms, {'with' if use_lm else 'without'} language model"
        settings = RecognizerOptions(chunk_ms=float(chunk_ms or AUTOMATIC_MS), use_lm=use_lm)
        recognizer = Recognizer(load_bundle(), settings)
        wanted = [recognizer.transcribe((samples, RATE)).text for _, samples in clips]
        (folder / name).mkdir()
        rows.append(_row(name, await page_on_clips(site, clips, folder / name, chunk_ms, use_lm), texts, wanted))
        print(*rows[-1], f"Python WER {100 * word_error_rate(texts, wanted):.2f}", flush=True)
    return Table(header, rows)


def _row(name: str, found: Any, texts: Sequence[str], wanted: Sequence[str] | None) -> tuple[str, ...]:
    given, cpu, pss, rss, seconds = found
    same = "" if wanted is None else f"{sum(a == b for a, b in zip(given, wanted, strict=True))} of {len(wanted)}"
    plain = ["".join(sign for sign in text.lower() if sign.isalpha() or sign in " '") for text in given]
    figures = f"{100 * word_error_rate(texts, plain):.2f}", f"{cpu:.4f}", f"{pss:.0f}", f"{rss:.0f}", f"{seconds:.1f}"
    return (name, *figures, same)


if __name__ == "__main__":
    main()
