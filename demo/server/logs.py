"""Log messages of a server: lines for people, or JSON lines for machines; those of its libraries too."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

_LIBRARIES = ("aiohttp", "asyncio", "wyoming")
_PLAIN_FIELDS = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Makes one JSON object of a message: time (UTC), level, logger, message, and the fields that it was given."""

    def format(self, record: logging.LogRecord) -> str:  # noqa: D102
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _PLAIN_FIELDS}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _shorten_bad_requests(record: logging.LogRecord) -> bool:
    """Make a line of a request that is not HTTP, is cut off, or whose body cannot be decoded.

    aiohttp logs a traceback, which would fill the log.
    """
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, (HttpProcessingError, web.RequestPayloadError, ConnectionError)):
        reason = error.message if isinstance(error, HttpProcessingError) else str(error)
        record.msg, record.args = "a request ended: %s", (" ".join(reason.split())[:200],)
        record.exc_info, record.levelno, record.levelname = None, logging.WARNING, "WARNING"
    return True


@contextmanager
def server_logging(as_json: bool) -> Iterator[None]:
    """Send the warnings of the libraries where the package's messages go, and make all of them JSON if asked for."""
    ours = logging.getLogger("edgespeech")
    console = list(ours.handlers)
    handlers: list[logging.Handler] = console
    if as_json:
        handlers = [logging.StreamHandler(sys.stderr)]
        handlers[0].setFormatter(JsonFormatter())
        _exchange(ours, console, handlers)
    libraries = [logging.getLogger(name) for name in _LIBRARIES]
    for logger in libraries:
        _exchange(logger, [], handlers)
    requests = logging.getLogger("aiohttp.server")
    requests.addFilter(_shorten_bad_requests)
    try:
        yield
    finally:
        requests.removeFilter(_shorten_bad_requests)
        if as_json:
            _exchange(ours, handlers, console)
        for logger in libraries:
            _exchange(logger, handlers, [])


def _exchange(logger: logging.Logger, old: list[logging.Handler], new: list[logging.Handler]) -> None:
    for handler in old:
        logger.removeHandler(handler)
    for handler in new:
        logger.addHandler(handler)
