"""Clients of the services under test."""

import aiohttp

KEPT_ALIVE_S = (
    2  # the services end an idle connection after five seconds: a client that may reuse it then races with that
)


def short_lived() -> aiohttp.TCPConnector:
    """Connections that are let go well before their server does, as ingest's own forwarder does it."""
    return aiohttp.TCPConnector(keepalive_timeout=KEPT_ALIVE_S)
