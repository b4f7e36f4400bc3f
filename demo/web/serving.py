"""A web server for one site: its files and nothing else, compressed copies where the browser takes them."""

from __future__ import annotations

import logging
import socket
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from edgespeech.demo.server.listeners import load_tls, name_of
from edgespeech.demo.server.request import LOOPBACK, is_loopback, require_pair
from edgespeech.demo.web.site import Site
from edgespeech.errors import UsageError

log = logging.getLogger(__name__)

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".txt": "text/plain; charset=utf-8",
}
# The meta element of index.html has the same; a header also binds workers.
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
    "style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class ServeRequest:
    """Where to serve a site.

    Attributes:
        host: Address to listen on.
        port: Port; 0 takes any free one.
        certificate, key: PEM files for https; both or none.

    Raises:
        UsageError: The port is out of range, or one of both files is missing.
    """

    host: str = LOOPBACK
    port: int = 8090
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise UsageError(f"--port is {self.port}; wanted 1 to 65535, or 0 for any that is free")
        require_pair(self.certificate, self.key)


def make_application(site: Site) -> web.Application:
    """Make the application that serves the files of a site."""
    application = web.Application()

    def route(address: str, path: str) -> web.RouteDef:
        kind = _TYPES.get(Path(path).suffix, "application/octet-stream")

        async def serve_file(request: web.Request) -> web.FileResponse:
            return web.FileResponse(site.folder / path, headers={**_HEADERS, "Content-Type": kind})

        return web.get(address, serve_file)

    application.add_routes([route("/", "index.html"), *(route(f"/{path}", path) for path in sorted(site.paths))])
    return application


def serve_site(site: Site, request: ServeRequest) -> None:
    """Serve a site until SIGINT or SIGTERM.

    Raises:
        UsageError: The address or the certificate cannot be used.
    """
    tls = load_tls(request.certificate, request.key)
    try:
        family = socket.AF_INET6 if ":" in request.host else socket.AF_INET
        bound = socket.create_server((request.host.strip("[]"), request.port), family=family)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {request.host}:{request.port}: {error.strerror}; choose another --port or --host"
        ) from None
    application = make_application(site)

    async def log_address(_: web.Application) -> None:  # from here on, signals end the server as they should
        log.info("%s://%s/", "https" if tls else "http", name_of(bound))
        _log_access(request, bound.getsockname()[1])

    application.on_startup.append(log_address)
    web.run_app(application, sock=bound, ssl_context=tls, print=None, access_log=None, shutdown_timeout=1.0)


def _log_access(request: ServeRequest, port: int) -> None:
    """Tell how other devices reach the page: browsers open the microphone only over https or on localhost."""
    if request.certificate is not None:
        if is_loopback(request.host):
            log.info("for other devices, add --host 0.0.0.0")
        return
    log.info(
        "other devices need https for their microphone: --host 0.0.0.0 --certificate FILE --key FILE (mkcert makes "
        "both); an Android phone on a USB cable does without: adb reverse tcp:%d tcp:%d", port, port,
    )  # fmt: skip
