"""``GET /v1/models``: the bundle, for clients that list models before they use one."""

from __future__ import annotations

from aiohttp import web

from edgespeech.demo.server.application import HUB, RequestError
from edgespeech.demo.server.hub import Hub
from edgespeech.runtime.bundle import MANIFEST


def model_routes() -> list[web.RouteDef]:
    """Return the routes of the list and of one model."""
    return [web.get("/v1/models", _list), web.get("/v1/models/{name}", _retrieve)]


async def _list(request: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [_model(request.app[HUB])]})


async def _retrieve(request: web.Request) -> web.Response:
    model = _model(request.app[HUB])
    if (name := request.match_info["name"]) != model["id"]:
        raise RequestError(
            f"unknown model {name!r}; this server has {model['id']!r}, and takes any name in requests",
            "model", 404, "model_not_found",
        )  # fmt: skip
    return web.json_response(model)


def _model(hub: Hub) -> dict[str, object]:
    created = int((hub.bundle.folder / MANIFEST).stat().st_mtime)
    return {"id": hub.bundle.manifest.name, "object": "model", "created": created, "owned_by": "edgespeech"}
