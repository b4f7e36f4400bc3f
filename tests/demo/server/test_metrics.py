"""What Prometheus reads: counts of what the engine reports, and the state of a server that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import openai
import pytest
import websockets
from prometheus_client.parser import text_string_to_metric_families

from edgespeech.demo.server.metrics import Metrics
from edgespeech.runtime.transcript import Event
from tests.demo.server.clients import RunningServer, running, stream_text, vosk_text, wyoming_text
from tests.demo.server.conftest import Clip

TOKEN = "correct-horse"
Samples = dict[tuple[str, str], float]


def scrape(server: RunningServer, token: str | None = TOKEN) -> Samples:
    """Read the metrics: names with their one label, if there is one, and values."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with urlopen(Request(server.addresses["http"] + "/metrics", headers=headers), timeout=30.0) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        families = list(text_string_to_metric_families(answer.read().decode()))
    assert all(family.documentation and family.type != "unknown" for family in families)
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def counted() -> Iterator[RunningServer]:
    """A server whose metrics no other test changes."""
    with running("--max-streams=4", EDGESPEECH_TOKEN=TOKEN) as started:
        yield started


def test_reports_of_the_engine_are_counted() -> None:
    metrics = Metrics()
    assert metrics.real_time_factor == 0.0
    for batch, seconds in ((1, 0.01), (16, 0.03)):
        metrics.computed(batch, seconds)
    metrics.processed(2.0)
    metrics.refused("queue")
    metrics.replied(Event("final", "yes"), 0.2)
    values = {(one.name, *sorted(one.labels.values())): one.value
              for family in metrics.registry.collect() for one in family.samples}  # fmt: skip
    assert metrics.real_time_factor == pytest.approx(0.02)
    assert values["edgespeech_batch_streams_bucket", "1.0"] == 1.0
    assert (values["edgespeech_batch_streams_sum",], values["edgespeech_step_seconds_sum",]) == (17.0, 0.04)
    assert values["edgespeech_streams_refused_total", "queue"] == 1.0
    assert values["edgespeech_streams_refused_total", "client"] == 0.0
    assert values["edgespeech_latency_seconds_bucket", "0.2", "final"] == 1.0
    assert values["edgespeech_latency_seconds_count", "partial"] == 0.0


def test_a_server_counts_its_streams(counted: RunningServer, clips: list[Clip]) -> None:
    clip = clips[2]
    socket = f"{counted.stream_url}?token={TOKEN}"
    vosk = f"{counted.vosk_url}/?token={TOKEN}"

    async def run() -> tuple[Samples, Samples]:
        before = await asyncio.to_thread(scrape, counted)
        assert await stream_text(socket, clip.audio) == clip.text
        assert await vosk_text(vosk, clip.audio) == clip.text
        assert await wyoming_text(counted.wyoming_port, clip.audio) == clip.text
        async with websockets.connect(socket) as opened:
            await opened.send(bytes(320))
            await opened.recv()
            during = await asyncio.to_thread(scrape, counted)
            many = [websockets.connect(socket) for _ in range(4)]
            connected = [await one for one in many]
            for one in connected:
                await one.send(bytes(320))
                await one.recv()
            for one in connected:
                await one.close()
        return before, during

    before, during = asyncio.run(run())
    assert before["edgespeech_ready", ""] == 1.0 and before["edgespeech_audio_seconds_total", ""] == 0.0
    for protocol, count in (("stream", 2), ("vosk", 1), ("wyoming", 1)):
        assert during["edgespeech_streams_opened_total", protocol] == count
    assert (during["edgespeech_streams", "stream"], during["edgespeech_streams", "vosk"]) == (1.0, 0.0)
    assert during["edgespeech_connections", ""] == 1.0
    assert during["edgespeech_audio_seconds_total", ""] == pytest.approx(3 * len(clip.audio) / 32000, abs=0.02)
    assert during["edgespeech_latency_seconds_count", "final"] == 3.0
    assert during["edgespeech_latency_seconds_count", "partial"] > 3.0
    assert during["edgespeech_batch_streams_count", ""] == during["edgespeech_step_seconds_count", ""] > 10.0
    assert 0.0 < during["edgespeech_real_time_factor", ""] < 1.0
    assert during["process_resident_memory_bytes", ""] > 1e7
    after = scrape(counted)
    assert after["edgespeech_streams_refused_total", "streams"] == 1.0
    assert ("edgespeech_queue_age_seconds", "") in after


def test_uploads_are_streams_too(counted: RunningServer, clips: list[Clip]) -> None:
    with openai.OpenAI(base_url=counted.addresses["http"] + "/v1", api_key=TOKEN) as client:
        with pytest.raises(openai.BadRequestError):
            client.audio.transcriptions.create(file=b"no audio", model="any")
    samples = scrape(counted)
    assert (samples["edgespeech_streams_opened_total", "openai"], samples["edgespeech_streams", "openai"]) == (1.0, 0.0)


def test_the_token_is_needed(counted: RunningServer) -> None:
    with pytest.raises(HTTPError) as refused:
        scrape(counted, None)
    with refused.value:
        assert refused.value.code == 401
