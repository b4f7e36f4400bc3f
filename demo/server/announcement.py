"""The Wyoming service in the local network, so that Home Assistant finds it by itself (multicast DNS)."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Sequence

import psutil
from zeroconf import Error, NonUniqueNameException
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

log = logging.getLogger(__name__)

SERVICE_TYPE = "_wyoming._tcp.local."  # what Home Assistant looks for


class Announcement:
    """A name in the network for a port of this machine, until it is withdrawn.

    Args:
        name: Name that Home Assistant shows.
        addresses: IPv4 addresses of this machine, as from `reachable_addresses`.
        port: The port.
    """

    def __init__(self, name: str, addresses: Sequence[str], port: int) -> None:
        self._name, self._addresses, self._port = name, list(addresses), port
        self._network: AsyncZeroconf | None = None

    async def publish(self) -> None:
        """Announce the service; a network that does not take it is a warning, as clients can still connect."""
        try:
            self._network = AsyncZeroconf(interfaces=self._addresses)
            service = AsyncServiceInfo(
                SERVICE_TYPE, f"{self._name}.{SERVICE_TYPE}", port=self._port, parsed_addresses=self._addresses
            )
            await self._network.async_register_service(service)
        except NonUniqueNameException:
            log.warning("not announced: the network has another service named %r; choose another name", self._name)
            await self.withdraw()
        except (OSError, Error) as error:
            log.warning("not announced, as the network does not take it: %s", error)
            await self.withdraw()
        else:
            log.info("announced as %s at %s port %d", self._name, " ".join(self._addresses), self._port)

    async def withdraw(self) -> None:
        """Tell the network that the service ends; one that was withdrawn can be withdrawn again."""
        network, self._network = self._network, None
        if network is not None:
            await network.async_unregister_all_services()
            await network.async_close()


def reachable_addresses(host: str) -> list[str]:
    """Return the IPv4 addresses at which other machines reach a socket that listens on an address; none for loopback.

    All addresses, ``0.0.0.0`` or ``::``, become those of the machine's networks.
    """
    address = ipaddress.ip_address(host)
    if not address.is_unspecified:
        return [host] if address.version == 4 and not address.is_loopback else []
    found = [
        one.address for entries in psutil.net_if_addrs().values() for one in entries if one.family.name == "AF_INET"
    ]
    return [one for one in found if not ipaddress.ip_address(one).is_loopback]
