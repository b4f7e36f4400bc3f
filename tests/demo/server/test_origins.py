"""Pages of other web servers: which of them a browser lets use this one, and read its answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edgespeech.demo.server.application import make_application
from edgespeech.demo.server.hub import Hub
from edgespeech.demo.server.openai.models import model_routes
from edgespeech.demo.server.request import ServeRequest
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.serving.service import Service, ServiceRequest

TOKEN = "correct-horse"
ORIGIN = "https://app.example"
PREFLIGHT = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization,x-stainless-os"}


def ask(method: str, headers: dict[str, str], **settings: Any) -> tuple[int, dict[str, str]]:
    """Ask for the models; return the status, and the headers that are about origins."""

    async def run() -> tuple[int, dict[str, str]]:
        hub = Hub(ServeRequest(**settings), Service(ServiceRequest()), load_bundle())
        async with TestClient(TestServer(make_application(hub, model_routes()))) as client:
            answer = await client.request(method, "/v1/models", headers={"Origin": ORIGIN, **headers})
            return answer.status, {key: value for key, value in answer.headers.items() if "Access-Control" in key}

    return asyncio.run(run())


@pytest.mark.parametrize("origins", [(ORIGIN,), ("*",)])
@pytest.mark.parametrize("token", [None, TOKEN])
def test_an_allowed_page_may_ask_and_read(origins: tuple[str, ...], token: str | None) -> None:
    status, headers = ask("OPTIONS", PREFLIGHT, origins=origins, token=token)
    assert status == 204 and headers["Access-Control-Allow-Origin"] == ORIGIN
    assert headers["Access-Control-Allow-Headers"] == "authorization,x-stainless-os"
    assert "POST" in headers["Access-Control-Allow-Methods"]
    status, headers = ask("GET", {"Authorization": f"Bearer {TOKEN}"}, origins=origins, token=token)
    assert status == 200 and headers["Access-Control-Allow-Origin"] == ORIGIN


def test_an_allowed_page_can_read_that_its_token_is_wrong() -> None:
    status, headers = ask("GET", {}, origins=(ORIGIN,), token=TOKEN)
    assert status == 401 and headers["Access-Control-Allow-Origin"] == ORIGIN


@pytest.mark.parametrize(("token", "status"), [(None, 403), (TOKEN, 200)])
def test_other_pages_cannot_read_anything(token: str | None, status: int) -> None:
    assert ask("OPTIONS", PREFLIGHT, origins=("https://other.example",), token=token) == (204, {})
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert ask("GET", headers, origins=("https://other.example",), token=token) == (status, {})
