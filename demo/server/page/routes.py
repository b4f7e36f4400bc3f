"""The web page at ``/``: its files as they are in the package, with the headers that keep it to this server."""

from __future__ import annotations

from importlib.resources import files

from aiohttp import web

INDEX = "index.html"
FOLDER = "/page/"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_HEADERS = {
    "Cache-Control": "no-cache",
    # Older versions of Safari do not count a websocket of the same address as 'self'.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Page:
    """The page, which is read once.

    Attributes:
        paths: Paths of its files, which need no token: the page asks for it.
    """

    def __init__(self) -> None:
        found = {entry.name: entry.read_bytes() for entry in files(__package__).iterdir() if _type(entry.name)}
        self._files = {"/" if name == INDEX else FOLDER + name: (name, body) for name, body in found.items()}
        self.paths = frozenset(self._files)

    def routes(self) -> list[web.RouteDef]:
        """Return a route for each file."""
        return [web.get(path, self._serve) for path in sorted(self.paths)]

    async def _serve(self, request: web.Request) -> web.Response:
        name, body = self._files[request.path]
        return web.Response(body=body, content_type=_type(name), charset="utf-8", headers=_HEADERS)


def _type(name: str) -> str:
    return next((kind for ending, kind in _TYPES.items() if name.endswith(ending)), "")
