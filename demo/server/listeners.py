"""Sockets that the protocols listen on, and TLS."""

from __future__ import annotations

import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from edgespeech.demo.server.request import ServeRequest
from edgespeech.errors import UsageError


@dataclass(frozen=True)
class Listener:
    """A bound socket that does not accept connections yet, and the address of the protocol, such as ``ws://...``."""

    protocol: str
    socket: socket.socket
    address: str


def bind_listeners(request: ServeRequest) -> list[Listener]:
    """Bind the sockets of all protocols that are not off, before anything is loaded.

    Raises:
        UsageError: An address cannot be used.
    """
    secure = "s" if request.has_tls else ""
    wanted = (
        ("http", request.host, request.http_port, f"http{secure}"),
        ("vosk", request.host, request.vosk_port, f"ws{secure}"),
        ("wyoming", request.wyoming_host, request.wyoming_port, "tcp"),
    )
    listeners: list[Listener] = []
    try:
        for protocol, host, port, scheme in wanted:
            if port is not None:
                bound = _bind(protocol, host, port)
                listeners.append(Listener(protocol, bound, f"{scheme}://{name_of(bound)}"))
    except UsageError:
        for one in listeners:
            one.socket.close()
        raise
    return listeners


def load_tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Read certificate and key; None if they are not given.

    Raises:
        UsageError: A file cannot be read, or is something else.
    """
    if certificate is None or key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    for path in (certificate, key):
        _check_readable(path)
    try:
        context.load_cert_chain(certificate, key, password=_refuse_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise UsageError(f"{certificate} and {key} are not a certificate and its key in PEM form: {error}") from None
    return context


def _refuse_password() -> str:
    raise ValueError("the key has a password; give one without")


def _check_readable(path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; correct the path or its permissions") from None


def _bind(protocol: str, host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, number, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        bound = socket.socket(family, kind, number)
        try:
            if os.name == "posix":  # elsewhere it would let two servers use one port
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        option = "--wyoming-host" if protocol == "wyoming" else "--host"
        raise UsageError(
            f"{protocol} cannot listen on {host}:{port}: {error.strerror}; choose another --{protocol}-port or {option}"
        ) from None
    return bound


def name_of(bound: socket.socket) -> str:
    """Return the address and port of a socket as URLs write them."""
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
