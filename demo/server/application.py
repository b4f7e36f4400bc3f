"""HTTP: one application for all protocols that it carries, access by token, and errors in one form."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from edgespeech.demo.server.hub import Client, Hub
from edgespeech.errors import AudioError, BusyError, EdgespeechError, UsageError

log = logging.getLogger(__name__)

HUB = web.AppKey("hub", Hub)

TOKEN_PROTOCOL = "openai-insecure-api-key."  # what pages with the package openai offer, with the token behind it

_CLIENT_GONE = 499  # nobody receives it

# Paths that need no token.
_OPEN_PATHS = web.AppKey("open_paths", frozenset[str])


class RequestError(UsageError):
    """A request that its client must change.

    Attributes:
        param: The parameter that is wrong; None for the request as a whole.
        status: Status of the answer.
        code: What programs distinguish errors by.
    """

    def __init__(self, message: str, param: str | None = None, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.param, self.status, self.code = param, status, code


def make_application(
    hub: Hub, routes: Iterable[web.RouteDef], open_paths: frozenset[str] = frozenset()
) -> web.Application:
    """Make the application of one port.

    Args:
        hub: The engine.
        routes: Routes of the protocols.
        open_paths: Paths that need no token.
    """
    application = web.Application(
        middlewares=[_report_errors, _check_access], client_max_size=hub.request.limits.file_bytes
    )
    application[HUB], application[_OPEN_PATHS] = hub, open_paths
    application.add_routes(routes)
    application.on_response_prepare.append(_allow_origin)
    return application


def health_routes() -> list[web.RouteDef]:
    """Return the route of ``/health``, which answers 503 until streams can be opened."""
    return [web.get("/health", _health)]


def client_of(request: web.Request, protocol: str) -> Client:
    """Return who asks, by the address of the connection; headers of proxies are not believed."""
    return Client(protocol, request.remote or "unknown")


def error_response(error: EdgespeechError) -> web.Response:
    """Return an error in the form of the OpenAI API, which clients of HTTP read."""
    status = _status(error)
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}.get(status)
    return web.json_response({"error": error_body(error)}, status=status, headers=headers)


def error_body(error: EdgespeechError) -> dict[str, str | None]:
    """Return what the OpenAI API has in ``error``."""
    kind = "invalid_request_error" if _status(error) < 500 else "server_error"
    param, code = None, "busy" if isinstance(error, BusyError) else None
    if isinstance(error, RequestError):
        param, code = error.param, error.code
    return {"message": str(error), "type": kind, "param": param, "code": code}


def _status(error: EdgespeechError) -> int:
    if isinstance(error, RequestError):
        return error.status
    if isinstance(error, BusyError):
        return 503
    return 400 if isinstance(error, (UsageError, AudioError)) else 500


async def _health(request: web.Request) -> web.Response:
    hub = request.app[HUB]
    return web.json_response(hub.state, status=200 if hub.is_ready else 503)


@web.middleware
async def _report_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except EdgespeechError as error:
        return error_response(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = error_response(RequestError(f"{request.method} {request.path}: {error.reason}", status=error.status))
        response.headers.extend({name: error.headers[name] for name in ("Allow",) if name in error.headers})
        return response
    except web.RequestPayloadError as error:
        reason = " ".join(str(error).split())[:200]
        return error_response(RequestError(f"the body of the request cannot be read ({reason}); send it again"))
    except ConnectionError:
        log.info("%s: disconnected during %s %s", request.remote, request.method, request.path)
        return web.Response(status=_CLIENT_GONE)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return error_response(EdgespeechError("the request failed inside the server; its log has the reason"))


@web.middleware
async def _check_access(request: web.Request, handler: Handler) -> web.StreamResponse:
    settings = request.app[HUB].request
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        return web.Response(status=204)  # before a page's request; browsers send no token with it
    if request.path not in request.app[_OPEN_PATHS]:
        if settings.token is not None:
            if not _has_token(request, settings.token):
                log.warning("%s: no token, or a wrong one", request.remote)
                raise RequestError(
                    "no token, or a wrong one; send the header Authorization: Bearer TOKEN",
                    status=401, code="invalid_api_key",
                )  # fmt: skip
        elif not _may_come_from(request, settings.origins):
            raise RequestError(
                f"pages of {request.headers['Origin']} may not use this server; start it with --allow-origin",
                status=403,
            )
    return await handler(request)


async def _allow_origin(request: web.Request, response: web.StreamResponse) -> None:
    """Let pages of the origins that are allowed read the answer."""
    origins, origin = request.app[HUB].request.origins, request.headers.get("Origin")
    if origin is not None and _is_allowed(origin, origins):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Methods"] = "GET, POST"
        # The package openai sends headers about itself.
        response.headers["Access-Control-Allow-Headers"] = request.headers.get("Access-Control-Request-Headers", "")
        response.headers["Vary"] = "Origin"


def _has_token(request: web.Request, token: str) -> bool:
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    offered = [given] if kind.lower() == "bearer" else []
    if not offered and request.headers.get("Upgrade", "").lower() == "websocket":
        # Pages cannot set headers of a websocket.
        protocols = [one.strip() for one in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        offered = [one.removeprefix(TOKEN_PROTOCOL) for one in protocols if one.startswith(TOKEN_PROTOCOL)]
        offered.append(request.query.get("token", ""))
    return any(hmac.compare_digest(one.strip().encode(), token.encode()) for one in offered)


def _may_come_from(request: web.Request, origins: tuple[str, ...]) -> bool:
    """Whether a page that a browser shows may use a server without a token: its own, and those that are allowed."""
    origin = request.headers.get("Origin")
    return origin is None or _is_allowed(origin, origins) or urlsplit(origin).netloc == request.host


def _is_allowed(origin: str, origins: tuple[str, ...]) -> bool:
    return "*" in origins or origin in origins
