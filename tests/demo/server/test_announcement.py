"""A server that clients in the local network find by multicast DNS."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from edgespeech.demo.server import announcement
from edgespeech.demo.server.announcement import SERVICE_TYPE, Announcement, reachable_addresses
from edgespeech.demo.server.request import ServeRequest
from edgespeech.errors import UsageError
from tests.demo.server.clients import running, wyoming_text
from tests.demo.server.conftest import Clip

LOCAL = ["127.0.0.1"]


async def find(name: str, seconds: float, interfaces: Any) -> AsyncServiceInfo | None:
    network = AsyncZeroconf(interfaces=interfaces)
    try:
        found = AsyncServiceInfo(SERVICE_TYPE, f"{name}.{SERVICE_TYPE}")
        return found if await found.async_request(network.zeroconf, seconds * 1000.0) else None
    finally:
        await network.async_close()


def test_an_announced_service_is_found_until_it_is_withdrawn() -> None:
    async def run() -> None:
        one = Announcement("Kitchen, 2nd", LOCAL, 10300)
        await one.publish()
        found = await find("Kitchen, 2nd", 10.0, LOCAL)
        assert found is not None and found.port == 10300 and found.parsed_addresses() == LOCAL
        await one.withdraw()
        await one.withdraw()
        assert await find("Kitchen, 2nd", 1.0, LOCAL) is None

    asyncio.run(run())


def test_a_name_that_is_taken_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        first, second = Announcement("Hall", LOCAL, 10300), Announcement("Hall", LOCAL, 10301)
        await first.publish()
        await second.publish()
        await second.withdraw()
        await first.withdraw()

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    assert "announced as Hall at 127.0.0.1 port 10300" in caplog.text
    assert "another service named 'Hall'; choose another name" in caplog.text


def test_a_network_that_cannot_be_used_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(announcement, "AsyncZeroconf", fail)
    asyncio.run(Announcement("Hall", LOCAL, 10300).publish())
    assert "not announced, as the network does not take it: Network is unreachable" in caplog.text


def test_addresses_that_other_machines_reach() -> None:
    assert reachable_addresses("127.0.0.1") == reachable_addresses("::1") == []
    assert reachable_addresses("192.0.2.7") == ["192.0.2.7"]
    assert "127.0.0.1" not in reachable_addresses("0.0.0.0")


@pytest.mark.skipif(not reachable_addresses("0.0.0.0"), reason="this machine has no network but loopback")
def test_a_server_announces_itself(clips: list[Clip]) -> None:
    async def run() -> None:
        found = await find("Attic", 10.0, reachable_addresses("0.0.0.0"))
        assert found is not None and found.port == server.wyoming_port
        assert await wyoming_text(found.port, clips[2].audio) == clips[2].text

    with running("--wyoming-host=0.0.0.0", "--announce=Attic") as server:
        asyncio.run(run())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "Wyoming listens on 127.0.0.1, which no other machine reaches; give --wyoming-host 0.0.0.0"),
        ({"wyoming_port": None}, "Wyoming is off"),
        ({"announce": "", "wyoming_host": "0.0.0.0"}, "a name of at most 63 bytes"),
        ({"announce": "x" * 64, "wyoming_host": "0.0.0.0"}, "a name of at most 63 bytes"),
        ({"announce": "a\nb", "wyoming_host": "0.0.0.0"}, "a name of at most 63 bytes"),
    ],
)
def test_an_announcement_that_makes_no_sense_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ServeRequest(**{"announce": "Hall", **settings})
