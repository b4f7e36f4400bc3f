"""What a server listens on and admits; one frozen record, checked once."""

from __future__ import annotations

import ipaddress
import math
import re
from dataclasses import dataclass
from pathlib import Path

from edgespeech.errors import UsageError
from edgespeech.runtime.serving.service import ServiceRequest

LOOPBACK = "127.0.0.1"
_MIB = 2**20
_MAX_NAME_BYTES = 63  # of a label in DNS


def _require(name: str, fits: object, wanted: str) -> None:
    if not fits:
        raise UsageError(f"{name}: wanted {wanted}")


@dataclass(frozen=True)
class Limits:
    """What one client may use.

    Attributes:
        message_bytes: Largest message of a client.
        file_bytes: Largest uploaded recording.
        audio_seconds: Longest stream or recording.
        idle_seconds: Time after which a client that sends nothing, or takes nothing, is disconnected.
        streams_per_client: Open streams of one client address; None for as many as there are.

    Raises:
        UsageError: A limit is out of range.
    """

    message_bytes: int = 16 * _MIB
    file_bytes: int = 100 * _MIB
    audio_seconds: float = 4 * 3600.0
    idle_seconds: float = 60.0
    streams_per_client: int | None = None

    def __post_init__(self) -> None:
        for name in ("message_bytes", "file_bytes"):
            _require(name, getattr(self, name) >= 1024, f"1024 or more, not {getattr(self, name)}")
        for name in ("audio_seconds", "idle_seconds"):
            value = getattr(self, name)
            _require(name, 0.0 < value < math.inf, f"a time above 0 s, not {value:g}")
        count = self.streams_per_client
        _require("streams_per_client", count is None or count >= 1, f"1 or more, not {count}")


@dataclass(frozen=True)
class ServeRequest:
    """A server to run.

    Attributes:
        service: The engine: bundle, options, workers and limits of all streams together.
        host: Address that HTTP and Vosk listen on.
        http_port, vosk_port, wyoming_port: Ports; None turns the protocol off, 0 takes any free port.
        wyoming_host: Address that Wyoming listens on. Wyoming has neither a token nor encryption, so that this is a
            decision of its own.
        announce: Name under which Wyoming is announced in the local network; None for no announcement.
        token: What clients of HTTP and Vosk must present; None for no token.
        certificate, key: PEM files for TLS on HTTP and Vosk; both or none.
        insecure: Whether HTTP and Vosk may be served without TLS on another address than loopback.
        origins: Web origins whose pages may use a server without a token, beside its own; ``*`` for all.
        language: Language that the bundle recognises, such as ``en``.
        limits: Limits of one client.
        grace_seconds: Time that open streams have to end when the server stops.

    Raises:
        UsageError: A value is out of range, or the address needs a token or TLS.
    """

    service: ServiceRequest = ServiceRequest()
    host: str = LOOPBACK
    http_port: int | None = 8080
    vosk_port: int | None = 2700
    wyoming_port: int | None = 10300
    wyoming_host: str = LOOPBACK
    announce: str | None = None
    token: str | None = None
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False
    origins: tuple[str, ...] = ()
    language: str = "en"
    limits: Limits = Limits()
    grace_seconds: float = 10.0

    def __post_init__(self) -> None:
        ports = [port for port in (self.http_port, self.vosk_port, self.wyoming_port) if port is not None]
        _require("ports", bool(ports), "at least one protocol that is not off")
        for port in ports:
            _require("port", 0 <= port <= 65535, f"0 to 65535, not {port}")
        given = [port for port in ports if port]
        _require("ports", len(set(given)) == len(given), "a port of its own for each protocol")
        for host in (self.host, self.wyoming_host):
            _require("host", bool(host.strip()), "an address or a name, such as 127.0.0.1 or 0.0.0.0")
        _require("grace_seconds", 0.0 <= self.grace_seconds < math.inf, f"0 s or more, not {self.grace_seconds:g}")
        _require("language", bool(self.language.strip()), "a language code, such as en")
        self._check_announcement()
        self._check_access()

    @property
    def has_tls(self) -> bool:
        """Whether HTTP and Vosk are served with TLS."""
        return self.certificate is not None

    def _check_announcement(self) -> None:
        if (name := self.announce) is None:
            return
        fits = name.strip() == name and name.isprintable() and 0 < len(name.encode()) <= _MAX_NAME_BYTES
        _require("announce", fits, f"a name of at most {_MAX_NAME_BYTES} bytes, such as Kitchen")
        if self.wyoming_port is None:
            raise UsageError("announce: Wyoming is off; leave out --announce or give --wyoming-port")
        if is_loopback(self.wyoming_host):
            raise UsageError(
                f"announce: Wyoming listens on {self.wyoming_host}, which no other machine reaches; "
                "give --wyoming-host 0.0.0.0"
            )

    def _check_access(self) -> None:
        if self.token is not None:
            is_plain = self.token.isascii() and self.token.isprintable() and " " not in self.token
            _require("token", is_plain and self.token, "ASCII characters without spaces")
        require_pair(self.certificate, self.key)
        if self.has_tls and self.insecure:
            raise UsageError("--certificate and --insecure clash; leave one of them out")
        if is_loopback(self.host) or (self.http_port is None and self.vosk_port is None):
            return
        if self.token is None:
            raise UsageError(
                f"{self.host} can be reached from other machines, and needs a token: set EDGESPEECH_TOKEN or --token"
            )
        if not self.has_tls and not self.insecure:
            raise UsageError(
                f"{self.host} can be reached from other machines: give --certificate and --key, or --insecure if the "
                "network is trusted or a proxy encrypts"
            )


def require_pair(certificate: Path | None, key: Path | None) -> None:
    """Raise UsageError if only one of a certificate and its key is given."""
    if (certificate is None) != (key is None):
        raise UsageError("a certificate and its key belong together; give --certificate and --key")


def same_language(one: str, other: str) -> bool:
    """Whether two codes mean the same language; regions, as in ``en-US``, have no effect."""
    return _main_part(one) == _main_part(other)


def _main_part(language: str) -> str:
    return re.split("[-_]", language.strip().lower())[0]


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
