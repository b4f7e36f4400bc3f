"""What a server may listen on: loopback alone, or with a token and TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgespeech.demo.server.request import Limits, ServeRequest, is_loopback, same_language
from edgespeech.errors import UsageError

TLS: dict[str, Any] = {"certificate": Path("server.crt"), "key": Path("server.key")}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1", "[::1]"])
def test_loopback_needs_nothing(host: str) -> None:
    assert is_loopback(host) and ServeRequest(host=host).host == host


@pytest.mark.parametrize(
    ("one", "other", "wanted"), [("en", "EN-us", True), (" en_GB", "en", True), ("de", "en", False), ("", "en", False)]
)
def test_regions_of_a_language_have_no_effect(one: str, other: str, wanted: bool) -> None:
    assert same_language(one, other) is wanted


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "speech.example"])
def test_other_addresses_need_a_token_and_tls(host: str) -> None:
    with pytest.raises(UsageError, match="needs a token"):
        ServeRequest(host=host)
    with pytest.raises(UsageError, match="--certificate and --key, or --insecure"):
        ServeRequest(host=host, token="secret")
    assert ServeRequest(host=host, token="secret", insecure=True).token == "secret"
    assert ServeRequest(host=host, token="secret", **TLS).has_tls


def test_wyoming_has_an_address_of_its_own() -> None:
    assert ServeRequest(wyoming_host="0.0.0.0").host == "127.0.0.1"
    assert ServeRequest(host="0.0.0.0", http_port=None, vosk_port=None).wyoming_host == "127.0.0.1"


@pytest.mark.parametrize(
    ("wrong", "wanted"),
    [
        ({"http_port": None, "vosk_port": None, "wyoming_port": None}, "at least one protocol"),
        ({"http_port": 65536}, "0 to 65535"),
        ({"http_port": 2700}, "a port of its own"),
        ({"host": " "}, "an address or a name"),
        ({"token": ""}, "ASCII characters without spaces"),
        ({"token": "two words"}, "ASCII characters without spaces"),
        ({"token": "schlüssel"}, "ASCII characters without spaces"),
        ({"certificate": Path("a")}, "belong together"),
        ({**TLS, "insecure": True}, "clash"),
        ({"grace_seconds": -1.0}, "0 s or more"),
        ({"language": ""}, "a language code"),
    ],
)
def test_what_cannot_be_served_is_refused(wrong: dict[str, Any], wanted: str) -> None:
    with pytest.raises(UsageError, match=wanted):
        ServeRequest(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"message_bytes": 10},
        {"file_bytes": 0},
        {"audio_seconds": 0.0},
        {"audio_seconds": float("nan")},
        {"idle_seconds": float("inf")},
        {"streams_per_client": 0},
    ],
)
def test_limits_have_a_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Limits(**wrong)
