"""Where a client finds the server, and how it says that it has no such step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """The server's address, the keys, and a bucket that no other client has."""

    endpoint: str
    key_id: str
    secret: str
    bucket: str


class Unsupported(Exception):
    """The client cannot do this with any server."""
