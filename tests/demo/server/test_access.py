"""Who may use the HTTP ports, and what the errors look like; without an engine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import ClientResponse, WSServerHandshakeError, web
from aiohttp.test_utils import TestClient, TestServer

from edgespeech.demo.server.application import health_routes, make_application
from edgespeech.demo.server.event_socket import event_socket_routes
from edgespeech.demo.server.hub import Hub
from edgespeech.demo.server.request import ServeRequest
from edgespeech.errors import AudioError, BusyError
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.serving.service import Service, ServiceRequest

TOKEN = "correct-horse"


async def fail_busy(request: web.Request) -> web.Response:
    raise BusyError("too many")


async def fail_audio(request: web.Request) -> web.Response:
    raise AudioError("no audio")


async def fail_inside(request: web.Request) -> web.Response:
    raise ZeroDivisionError


ROUTES = [
    *health_routes(),
    *event_socket_routes(),
    web.get("/busy", fail_busy),
    web.get("/audio", fail_audio),
    web.get("/inside", fail_inside),
]


def ask(path: str, headers: dict[str, str] | None = None, **settings: Any) -> tuple[int, Any, dict[str, str]]:
    """Ask a server whose engine has not been started; return status, JSON and headers."""

    async def run() -> tuple[int, Any, dict[str, str]]:
        hub = Hub(ServeRequest(**settings), Service(ServiceRequest()), load_bundle())
        application = make_application(hub, ROUTES, frozenset({"/health"}))
        async with TestClient(TestServer(application)) as client:
            response: ClientResponse = await client.get(path, headers=headers)
            return response.status, await response.json(), dict(response.headers)

    return asyncio.run(run())


def open_socket(headers: dict[str, str], query: str = "", **settings: Any) -> int:
    """Open a websocket; return the status of the answer."""

    async def run() -> int:
        hub = Hub(ServeRequest(**settings), Service(ServiceRequest()), load_bundle())
        async with TestClient(TestServer(make_application(hub, ROUTES))) as client:
            try:
                async with client.ws_connect(f"/v1/stream{query}", headers=headers):
                    return 101
            except WSServerHandshakeError as error:
                return error.status

    return asyncio.run(run())


def test_health_answers_503_until_the_engine_is_ready() -> None:
    status, body, headers = ask("/health", token=TOKEN)
    assert status == 503 and body["status"] == "loading" and body["bundle"] == "edge"


@pytest.mark.parametrize(
    ("path", "status", "message", "code"),
    [
        ("/busy", 503, "too many", "busy"),
        ("/audio", 400, "no audio", None),
        ("/nothing", 404, "GET /nothing: Not Found", None),
        ("/inside", 500, "the request failed inside the server", None),
        ("/v1/stream", 400, "/v1/stream is a websocket", None),
    ],
)
def test_errors_have_the_form_of_openai(path: str, status: int, message: str, code: str | None) -> None:
    got, body, headers = ask(path)
    assert got == status and body["error"]["message"].startswith(message)
    assert body["error"].keys() == {"message", "type", "param", "code"} and body["error"]["code"] == code
    assert ("Retry-After" in headers) == (status == 503)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": "Bearer schl\u00fcssel"}, 401),
        ({"Authorization": f"Bearer {TOKEN}"}, 404),
        ({"Authorization": f"bearer  {TOKEN} "}, 404),
    ],
)
def test_the_token_is_needed(headers: dict[str, str], status: int) -> None:
    got, body, answer = ask("/nothing", headers, token=TOKEN)
    assert got == status
    if status == 401:
        assert body["error"]["code"] == "invalid_api_key" and answer["WWW-Authenticate"] == "Bearer"
        assert TOKEN not in str(body)


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({}, "", 401),
        ({}, "?token=wrong", 401),
        ({}, f"?token={TOKEN}", 101),
        ({"Authorization": f"Bearer {TOKEN}"}, "", 101),
        ({"Authorization": "Bearer wrong"}, f"?token={TOKEN}", 401),
    ],
)
def test_websockets_may_have_the_token_in_their_address(headers: dict[str, str], query: str, status: int) -> None:
    assert open_socket(headers, query, token=TOKEN) == status


def test_the_address_of_a_page_is_no_way_for_the_token() -> None:
    assert ask(f"/nothing?token={TOKEN}", token=TOKEN)[0] == 401


@pytest.mark.parametrize(
    ("origin", "settings", "status"),
    [
        ("https://elsewhere.example", {}, 403),
        ("null", {}, 403),
        ("https://elsewhere.example", {"origins": ("https://elsewhere.example",)}, 101),
        ("https://other.example", {"origins": ("https://elsewhere.example",)}, 403),
        ("null", {"origins": ("*",)}, 101),
    ],
)
def test_pages_of_other_servers_may_not_use_one_without_a_token(
    origin: str, settings: dict[str, Any], status: int
) -> None:
    assert open_socket({"Origin": origin}, **settings) == status
