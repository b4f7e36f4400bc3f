"""A server from its start to its end: listeners, engine, signals."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING

from aiohttp import web

from edgespeech.demo.server.application import health_routes, make_application
from edgespeech.demo.server.event_socket import event_socket_routes
from edgespeech.demo.server.hub import Hub
from edgespeech.demo.server.listeners import Listener, bind_listeners, load_tls
from edgespeech.demo.server.metrics import Metrics
from edgespeech.demo.server.openai.models import model_routes
from edgespeech.demo.server.openai.realtime import realtime_routes
from edgespeech.demo.server.openai.transcriptions import transcription_routes
from edgespeech.demo.server.page.routes import Page
from edgespeech.demo.server.request import ServeRequest, is_loopback
from edgespeech.demo.server.vosk import vosk_routes
from edgespeech.demo.server.wyoming import WyomingServer
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.serving.service import Service

if TYPE_CHECKING:  # imported with zeroconf where it is wanted
    from edgespeech.demo.server.announcement import Announcement

log = logging.getLogger(__name__)

_OPEN_PATHS = frozenset({"/health"})  # without a token
_CLOSE_SECONDS = 2.0  # for what is left when the streams have ended
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Server:
    """All protocols of a request on one engine.

    Args:
        request: What to listen on and to admit.

    Attributes:
        listeners: The sockets, with the addresses that clients connect to.

    Raises:
        EdgespeechError: The bundle, an address or a certificate is invalid.
    """

    def __init__(self, request: ServeRequest) -> None:
        self.request = request
        self._tls = load_tls(request.certificate, request.key)
        self._metrics = Metrics()
        self._hub = Hub(request, Service(request.service, self._metrics), load_bundle(request.service.bundle))
        self._metrics.watch(self._hub)
        self._wyoming = WyomingServer(self._hub)
        self._announcement: Announcement | None = None
        self._runners: list[web.AppRunner] = []
        self.listeners = bind_listeners(request)

    async def start(self) -> None:
        """Listen for HTTP, load the models, then listen for the other protocols.

        Raises:
            EdgespeechError: The engine does not start.
        """
        for one in self.listeners:
            if one.protocol == "http":
                page = Page()
                routes = [*_http_routes(), *self._metrics.routes(), *page.routes()]
                await self._listen_for_http(one, routes, _OPEN_PATHS | page.paths)
        await self._hub.service.start()
        for one in self.listeners:
            if one.protocol == "vosk":
                await self._listen_for_http(one, vosk_routes(), frozenset())
            elif one.protocol == "wyoming":
                await self._wyoming.start(one)
                await self._announce(one)

    async def stop(self) -> None:
        """Refuse new clients, let every stream become final within the grace period, then end everything."""
        self._hub.stop()
        await self._withdraw()
        await asyncio.gather(
            self._hub.service.stop(self.request.grace_seconds),
            self._wyoming.cleanup(),
            *(runner.cleanup() for runner in self._runners),
        )

    async def kill(self) -> None:
        """End everything at once; a server that has stopped can be killed again."""
        for one in self.listeners:
            one.socket.close()
        await self._withdraw()
        await self._hub.service.stop(0.0)

    async def _announce(self, listener: Listener) -> None:
        if self.request.announce is not None:
            from edgespeech.demo.server.announcement import Announcement, reachable_addresses

            host, port = listener.socket.getsockname()[:2]
            self._announcement = Announcement(self.request.announce, reachable_addresses(host), port)
            await self._announcement.publish()

    async def _withdraw(self) -> None:
        if self._announcement is not None:
            await self._announcement.withdraw()

    async def _listen_for_http(
        self, listener: Listener, routes: Iterable[web.RouteDef], open_paths: frozenset[str]
    ) -> None:
        runner = web.AppRunner(
            make_application(self._hub, routes, open_paths),
            access_log=None,
            keepalive_timeout=self.request.limits.idle_seconds,
            shutdown_timeout=self.request.grace_seconds + _CLOSE_SECONDS,
        )
        self._runners.append(runner)
        await runner.setup()
        await web.SockSite(runner, listener.socket, ssl_context=self._tls).start()


def _http_routes() -> list[web.RouteDef]:
    return [*health_routes(), *event_socket_routes(), *model_routes(), *transcription_routes(), *realtime_routes()]


def serve(request: ServeRequest) -> int:
    """Run a server until a signal; return the exit code: 0, or that of the second signal.

    The first SIGINT or SIGTERM ends it as `Server.stop` does, a second one at once.

    Raises:
        EdgespeechError: The server does not start.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        return asyncio.run(_serve(request))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _serve(request: ServeRequest) -> int:
    server = Server(request)
    signals = _Signals()
    try:
        _log_addresses(server)
        if await signals.interrupt(server.start()):
            log.info("stopped before it was ready")
            return 0
        log.info("ready", extra={"ready": True})
        await signals.first.wait()
        log.info("stopping: open streams become final, for at most %g s; a second signal ends at once",
                 request.grace_seconds)  # fmt: skip
        if await signals.interrupt(server.stop()):
            log.warning("ended at once; open streams are lost")
            return 128 + signals.number
        log.info("stopped")
        return 0
    finally:
        await server.kill()
        signals.ignore()


def _log_addresses(server: Server) -> None:
    for one in server.listeners:
        log.info("%-8s %s", one.protocol, one.address, extra={"protocol": one.protocol, "address": one.address})
        if one.protocol == "wyoming" and not is_loopback(server.request.wyoming_host):
            log.warning("Wyoming has neither a token nor encryption: everyone who reaches %s can use it", one.address)


class _Signals:
    """The first and the second SIGINT or SIGTERM of this process."""

    def __init__(self) -> None:
        self.first, self._next = asyncio.Event(), asyncio.Event()
        self.number = 0
        self._loop = asyncio.get_running_loop()
        # Not `loop.add_signal_handler`: a loop that closes shuts the socket that tells it of signals first, and Python
        # then prints a traceback for a signal that comes before it has given its handlers back.
        for number in _SIGNALS:
            signal.signal(number, self._wake)

    def ignore(self) -> None:
        """Ignore what comes until the loop is closed."""
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def _wake(self, number: int, _: object) -> None:
        self._loop.call_soon_threadsafe(self._take, number)

    async def interrupt(self, work: Awaitable[None]) -> bool:
        """Complete the work, or end it at the next signal; return whether a signal came."""
        self._next.clear()
        task = asyncio.ensure_future(work)
        waiting = asyncio.ensure_future(self._next.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if task.done():
            task.result()
            return False
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return True

    def _take(self, number: int) -> None:
        self.number = number
        self.first.set()
        self._next.set()
