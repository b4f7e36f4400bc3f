"""The asyncio service with real worker processes: words, limits, slow and vanished clients, lost workers, the end."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.errors import BundleError, BusyError, EdgespeechError, UsageError
from edgespeech.runtime.audio import RawFormat
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.options import RecognizerOptions
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.serving.observer import Observer
from edgespeech.runtime.serving.service import Service, ServiceRequest
from edgespeech.runtime.serving.session import MAX_WAITING_SECONDS, Session
from edgespeech.runtime.serving.settings import StreamSettings
from edgespeech.runtime.transcript import Event

OPTIONS = RecognizerOptions(min_evidence=0.0)
SECOND = bytes(32000)


@pytest.fixture(scope="module")
def sounds(noise: Callable[[int], NDArray[np.float32]]) -> list[bytes]:
    clip = np.clip(noise(16000) * 0.5, -1.0, 1.0)
    return [np.round(one * 32767).astype("<i2").tobytes() for one in (clip, clip[::-1], clip[:9001] * 0.1)]


@asynccontextmanager
async def serving(bundle: Bundle, observer: Observer | None = None, **settings: Any) -> AsyncIterator[Service]:
    request = ServiceRequest(bundle=bundle.folder, options=OPTIONS, workers=1)
    service = Service(replace(request, **settings), observer)
    await service.start()
    try:
        yield service
    finally:
        await service.stop(0.0)


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 120))


def timeless(events: list[Event]) -> list[Event]:
    return [replace(event, latency_ms=0.0) for event in events]


def alone(bundle: Bundle, sound: bytes) -> list[Event]:
    stream = Recognizer(bundle, OPTIONS).stream()
    return timeless(stream.accept_pcm16(sound) + stream.finish())


async def talk(session: Session, sound: bytes, size: int) -> list[Event]:
    replies = []
    for start in range(0, len(sound), size):
        await session.room()
        replies.append(session.accept(sound[start : start + size]))
        await asyncio.sleep(0)
    replies.append(session.finish())
    return timeless([event for reply in replies for event in await reply])


def test_clients_get_what_they_would_get_alone(tiny_bundle: Bundle, sounds: list[bytes]) -> None:
    async def work() -> None:
        async with serving(tiny_bundle, workers=2) as service:
            assert service.is_ready and len(service.process_ids) == 2
            sizes = random.Random(0).choices(range(100, 5000), k=12)
            talks = [talk(service.open(StreamSettings()), sounds[n % 3], size) for n, size in enumerate(sizes)]
            found = await asyncio.gather(*talks)
            assert found == [alone(tiny_bundle, sounds[n % 3]) for n in range(12)]
            assert service.stream_count == 0

    run(work)


def test_each_command_has_its_events(tiny_bundle: Bundle, sounds: list[bytes]) -> None:
    async def work() -> None:
        async with serving(tiny_bundle) as service:
            session = service.open(StreamSettings())
            events = await session.accept(sounds[0]) + await session.end_segment() + await session.accept(sounds[1])
            await session.set_hot_words({"ab": 2.0})
            events += await session.finish()
            stream = Recognizer(tiny_bundle, OPTIONS).stream()
            wanted = stream.accept_pcm16(sounds[0]) + stream.end_segment() + stream.accept_pcm16(sounds[1])
            assert timeless(events) == timeless(wanted + stream.finish())
            with pytest.raises(UsageError, match="finished"):
                await session.accept(SECOND)

    run(work)


def test_more_streams_than_allowed_are_refused_and_a_closed_one_makes_room(tiny_bundle: Bundle) -> None:
    async def work() -> None:
        async with serving(tiny_bundle, max_streams=2) as service:
            sessions = [service.open(StreamSettings()) for _ in range(2)]
            with pytest.raises(BusyError, match="2 streams are open"):
                service.open(StreamSettings())
            sessions[0].close()
            sessions[0].close()
            assert await service.open(StreamSettings()).accept(SECOND) is not None
            assert await sessions[1].accept(SECOND) is not None

    run(work)


def test_a_queue_that_is_too_old_refuses_new_streams_only(tiny_bundle: Bundle, sounds: list[bytes]) -> None:
    async def work() -> None:
        async with serving(tiny_bundle, max_queue_seconds=0.0) as service:
            session = service.open(StreamSettings())
            session.accept(sounds[0] * 20)
            await asyncio.sleep(0.01)
            with pytest.raises(BusyError, match="audio waits for"):
                service.open(StreamSettings())
            assert await session.finish() is not None

    run(work)


def test_a_client_that_sends_too_fast_waits_for_room(tiny_bundle: Bundle) -> None:
    async def work() -> None:
        async with serving(tiny_bundle) as service:
            session = service.open(StreamSettings())
            last = session.accept(SECOND * int(MAX_WAITING_SECONDS + 2))
            assert not session._room.is_set()
            await session.room()
            assert last.done()

    run(work)


def test_an_error_ends_its_session_only(tiny_bundle: Bundle, sounds: list[bytes]) -> None:
    async def work() -> None:
        async with serving(tiny_bundle) as service:
            bad = service.open(StreamSettings(RawFormat("f32le", 16000, 1)))
            good = asyncio.create_task(talk(service.open(StreamSettings()), sounds[0], 999))
            first, second = bad.accept(np.full(16000, np.nan, "<f4").tobytes()), bad.accept(bytes(4))
            for future in (first, second):
                with pytest.raises(EdgespeechError, match="NaN"):
                    await future
            with pytest.raises(EdgespeechError, match="NaN"):
                await bad.finish()
            assert await good == alone(tiny_bundle, sounds[0])

    run(work)


def test_a_lost_worker_ends_its_sessions_and_comes_back(tiny_bundle: Bundle, sounds: list[bytes]) -> None:
    async def work() -> None:
        async with serving(tiny_bundle) as service:
            session = service.open(StreamSettings())
            await session.accept(sounds[0])
            waiting = session.accept(SECOND)
            (lost,) = service.process_ids
            os.kill(lost, signal.SIGKILL)
            with pytest.raises(EdgespeechError, match="connect again"):
                await waiting
                while True:
                    await session.accept(SECOND)
            while not service.is_ready:
                await asyncio.sleep(0.05)
            assert service.process_ids != [lost]
            assert await talk(service.open(StreamSettings()), sounds[0], 4000) == alone(tiny_bundle, sounds[0])

    run(work)


def test_stopping_refuses_new_streams_and_lets_open_ones_finish(tiny_bundle: Bundle, sounds: list[bytes]) -> None:
    async def work() -> None:
        async with serving(tiny_bundle) as service:
            session, forgotten = service.open(StreamSettings()), service.open(StreamSettings())
            stopping = asyncio.create_task(service.stop(1.0))
            await asyncio.sleep(0)
            with pytest.raises(BusyError, match="stopping"):
                service.open(StreamSettings())
            assert await talk(session, sounds[0], 4000) == alone(tiny_bundle, sounds[0])
            await stopping
            with pytest.raises(BusyError, match="has stopped"):
                await forgotten.accept(SECOND)
            assert not service.is_ready

    run(work)


def test_a_service_that_still_loads_can_be_stopped(tiny_bundle: Bundle) -> None:
    async def work() -> None:
        service = Service(ServiceRequest(bundle=tiny_bundle.folder, options=OPTIONS, workers=1))
        starting = asyncio.create_task(service.start())
        while not service.process_ids:
            await asyncio.sleep(0.01)
        await service.stop(0.0)
        assert service.process_ids == [] and not service.is_ready
        with pytest.raises(EdgespeechError, match="ended while it loaded"):
            await starting

    run(work)


def test_what_happens_is_reported(tiny_bundle: Bundle, sounds: list[bytes]) -> None:
    class Noted(Observer):
        def __init__(self) -> None:
            self.facts: dict[str, list[Any]] = {}

        def note(self, name: str, *values: Any) -> None:
            self.facts.setdefault(name, []).append(values)

        def __getattribute__(self, name: str) -> Any:
            if name in ("opened", "refused", "computed", "replied", "processed"):
                return lambda *values: self.note(name, *values)
            return super().__getattribute__(name)

    async def work() -> None:
        noted = Noted()
        async with serving(tiny_bundle, noted, max_streams=1) as service:
            session = service.open(StreamSettings())
            with pytest.raises(BusyError):
                service.open(StreamSettings())
            events = await talk(session, sounds[0], 4000)
        facts = noted.facts
        assert facts["opened"] == [(1,), (0,)] and facts["refused"] == [("streams",)]
        assert len(facts["replied"]) == len(events) and all(0.0 <= seconds < 60.0 for _, seconds in facts["replied"])
        assert sum(seconds for (seconds,) in facts["processed"]) == pytest.approx(1.0)
        assert all(batch == 1 and seconds > 0.0 for batch, seconds in facts["computed"])

    run(work)


def test_a_bundle_that_does_not_load_is_an_error_of_the_start(tmp_path: Path) -> None:
    async def work() -> None:
        service = Service(ServiceRequest(bundle=tmp_path / "missing", workers=2))
        with pytest.raises(BundleError, match="does not exist"):
            await service.start()
        assert not service.is_ready and service.process_ids == []

    run(work)


@pytest.mark.parametrize("settings", [{"workers": 0}, {"max_streams": 0}, {"max_batch": 0}, {"max_queue_seconds": -1}])
def test_limits_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="wanted"):
        ServiceRequest(**settings)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_connections(tiny_bundle: Bundle, sounds: list[bytes]) -> None:
    import psutil

    async def work() -> None:
        async with serving(tiny_bundle) as service:
            (number,) = service.process_ids
            sizes = []
            for _ in range(3):
                for _ in range(1000):
                    session = service.open(StreamSettings())
                    await session.accept(sounds[2][:3200])
                    session.close()
                sizes.append([psutil.Process(one).memory_info().rss for one in (number, os.getpid())])
            for first, *_, last in zip(*sizes, strict=True):
                assert last - first < 4e6

    run(work)
