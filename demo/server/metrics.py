"""``/metrics``: what the server does, in the text form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from edgespeech import __version__
from edgespeech.demo.server.hub import Hub
from edgespeech.runtime.serving.observer import Observer
from edgespeech.runtime.transcript import Event

PATH = "/metrics"
REFUSALS = ("streams", "queue", "client", "stopping")
_LATENCY_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0)
_STEP_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_BATCH_STREAMS = (1, 2, 4, 8, 12, 16, 24, 32, 64)


class Metrics(Observer):
    """Counts what the engine reports, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._refused = Counter(
            "edgespeech_streams_refused", "Streams that were refused.", ["reason"], registry=self.registry
        )
        for reason in REFUSALS:
            self._refused.labels(reason)
        self._audio = Counter("edgespeech_audio_seconds", "Audio that was processed.", registry=self.registry)
        self._batch = Histogram(
            "edgespeech_batch_streams", "Streams in a step of the model.", registry=self.registry,
            buckets=_BATCH_STREAMS,
        )  # fmt: skip
        self._step = Histogram(
            "edgespeech_step_seconds", "Time of a step of the model with its searches.", registry=self.registry,
            buckets=_STEP_SECONDS,
        )  # fmt: skip
        self._latency = Histogram(
            "edgespeech_latency_seconds", "Time from the arrival of audio to its result.", ["type"],
            registry=self.registry, buckets=_LATENCY_SECONDS,
        )  # fmt: skip
        for kind in ("partial", "final"):
            self._latency.labels(kind)
        self._audio_seconds = self._step_seconds = 0.0

    @property
    def real_time_factor(self) -> float:
        """Seconds of computing per second of audio since the start; 0 before any audio."""
        return self._step_seconds / self._audio_seconds if self._audio_seconds else 0.0

    def watch(self, hub: Hub) -> None:
        """Read the state of a hub whenever the metrics are asked for."""
        self.registry.register(_State(hub, self))

    def routes(self) -> list[web.RouteDef]:
        """Return the route of the metrics."""
        return [web.get(PATH, self._serve)]

    def refused(self, reason: str) -> None:  # noqa: D102
        self._refused.labels(reason).inc()

    def computed(self, batch: int, seconds: float) -> None:  # noqa: D102
        self._batch.observe(batch)
        self._step.observe(seconds)
        self._step_seconds += seconds

    def replied(self, event: Event, seconds: float) -> None:  # noqa: D102
        self._latency.labels(event.type).observe(seconds)

    def processed(self, seconds: float) -> None:  # noqa: D102
        self._audio.inc(seconds)
        self._audio_seconds += seconds

    async def _serve(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self.registry), headers={"Content-Type": content_type})


class _State(Collector):
    def __init__(self, hub: Hub, metrics: Metrics) -> None:
        self._hub, self._metrics = hub, metrics

    def collect(self) -> Iterator[Metric]:
        hub = self._hub
        yield InfoMetricFamily(
            "edgespeech", "The server.", {"version": __version__, "bundle": hub.bundle.manifest.name}
        )
        yield GaugeMetricFamily("edgespeech_ready", "Whether streams can be opened.", float(hub.is_ready))
        yield GaugeMetricFamily("edgespeech_connections", "Clients of websockets and Wyoming.", hub.conversation_count)
        streams = GaugeMetricFamily("edgespeech_streams", "Open streams.", labels=["protocol"])
        opened = CounterMetricFamily("edgespeech_streams_opened", "Streams so far.", labels=["protocol"])
        for protocol, counts in sorted(hub.streams_by_protocol.items()):
            streams.add_metric([protocol], counts.open)
            opened.add_metric([protocol], counts.opened)
        yield from (streams, opened)
        yield GaugeMetricFamily(
            "edgespeech_queue_age_seconds", "Age of the oldest audio that waits.", hub.service.queue_seconds
        )
        yield GaugeMetricFamily(
            "edgespeech_real_time_factor", "Computing per second of audio since the start.",
            self._metrics.real_time_factor,
        )  # fmt: skip
