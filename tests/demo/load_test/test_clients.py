"""Clients of the load test against a small server: results are timed from their causes, and compared."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from aiohttp import web
from numpy.typing import NDArray

from edgespeech.demo.load_test.client import Load, Tally, run_clients
from edgespeech.demo.load_test.threaded_server import make_application
from edgespeech.demo.load_test.timeline import Cause, Timeline, make_timeline
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.recognizer import Recognizer


@pytest.fixture(scope="module")
def recognizer(tiny_bundle: Bundle) -> Recognizer:
    return Recognizer(tiny_bundle, min_evidence=0.0)


@pytest.fixture(scope="module")
def timeline(
    recognizer: Recognizer, noise: Callable[[int], NDArray[np.float32]], tmp_path_factory: pytest.TempPathFactory
) -> Timeline:
    path: Path = tmp_path_factory.mktemp("clips") / "noise.wav"
    soundfile.write(path, np.clip(noise(12345) * 0.5, -1.0, 1.0), 16000)
    return make_timeline(recognizer, path)


@contextlib.asynccontextmanager
async def serving(application: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    (address,) = runner.addresses
    yield f"ws://127.0.0.1:{address[1]}/v1/stream"
    await runner.cleanup()


def replay(recognizer: Recognizer, timeline: Timeline, clients: int = 3) -> Tally:
    async def work() -> Tally:
        async with serving(make_application(recognizer, 2)) as url:
            return await run_clients(Load(url, [timeline], clients, 0.5))

    return asyncio.run(work())


def test_a_timeline_is_the_clip_and_what_it_causes(timeline: Timeline) -> None:
    assert timeline.seconds == pytest.approx(12345 / 16000)
    assert [len(piece) for piece in timeline.pieces] == [3200] * 7 + [2290]
    assert [cause.type for cause in timeline.causes].count("final") >= 1
    assert [cause.piece for cause in timeline.causes] == sorted(cause.piece for cause in timeline.causes)
    assert timeline.causes[-1].piece == len(timeline.pieces)


def test_clients_time_results_and_find_the_right_words(recognizer: Recognizer, timeline: Timeline) -> None:
    tally = replay(recognizer, timeline)
    assert tally.failures == [] and tally.wrong == 0 and tally.clips >= 3
    per_clip = [sum(cause.type == kind for cause in timeline.causes) for kind in ("final", "partial")]
    assert [len(tally.final_ms), len(tally.partial_ms)] == [tally.clips * count for count in per_clip]
    assert all(0.0 <= value < 60_000.0 for value in (*tally.final_ms, *tally.partial_ms))
    assert tally.sent_seconds == pytest.approx(tally.clips * timeline.seconds)


def test_a_wrong_word_is_found(recognizer: Recognizer, timeline: Timeline) -> None:
    wrong = replace(timeline, causes=(*timeline.causes[:-1], Cause(len(timeline.pieces), "final", "another word")))
    tally = replay(recognizer, wrong, clients=1)
    assert tally.wrong == tally.clips >= 1


def test_a_server_that_is_gone_is_a_failure(timeline: Timeline) -> None:
    load = Load("ws://127.0.0.1:9/v1/stream", [timeline], 1, 0.2)
    tally = asyncio.run(run_clients(load))
    assert tally.clips == 0 and len(tally.failures) == 1 and "noise.wav" in tally.failures[0]
