"""Portability by ENUM (RFC 6116): a NAPTR record for each number in a zone that a number database serves."""

import asyncio
from collections.abc import Sequence

import dns.asyncresolver
import dns.exception
import dns.resolver

from router.domain.portability import SourceError, enum_name, network_in_naptr

AT_ONCE = 100  # questions on their way


class EnumPortability:
    """A `PortabilitySource`. `servers`: addresses to ask, with `:port` where it is not 53; the system's when empty."""

    name = "enum"

    def __init__(self, zone: str, servers: Sequence[str] = ()) -> None:
        self._zone = zone
        self._resolver = dns.asyncresolver.Resolver(configure=not servers)
        if servers:
            split = [server.rpartition(":") if ":" in server else (server, ":", "53") for server in servers]
            self._resolver.nameservers = [address for address, _, _ in split]
            self._resolver.nameserver_ports = {address: int(port) for address, _, port in split}
        self._resolver.lifetime = 2.0
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def look_up(self, numbers: Sequence[str], found: dict[str, str | None]) -> None:
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(self._one(number, found)) for number in numbers]
        failures = [task.result() for task in asking if task.result()]
        if failures and len(failures) == len(numbers):
            raise SourceError(failures[0])

    async def _one(self, number: str, found: dict[str, str | None]) -> str:
        """Answers why there is no answer; empty when there is one."""
        async with self._gate:
            try:
                answer = await self._resolver.resolve(enum_name(number, self._zone), "NAPTR")
            except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
                found[number] = None
                return ""
            except (dns.exception.DNSException, OSError) as error:
                return type(error).__name__
        networks = (network_in_naptr(record.regexp.decode("ascii", "replace")) for record in answer)
        found[number] = next((network for network in networks if network), None)
        return ""
