"""HTTP to servers of this machine, without certificates: reading them takes a client 35 ms."""

from typing import Any

import httpx


def new_client(**options: Any) -> httpx.Client:
    """A client of its own, for tests that keep a connection."""
    return httpx.Client(verify=False, trust_env=False, **options)


web = new_client(limits=httpx.Limits(max_keepalive_connections=0))
"""Asks on a new connection each time, from any thread: the server may have been replaced."""
