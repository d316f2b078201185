"""The seam to HTTP servers that are not ours: receivers of webhooks, push services, SMS gateways.

Services know no HTTP client; `app.posting` gives them one that refuses private addresses and is bounded in time and
size.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Posted:
    """What the other side answered; `retry_after_s` is its own wish. The body is cut at a few hundred characters."""

    status: int
    body: str
    retry_after_s: float | None = None


class AddressRefusedError(Exception):
    """The address is private, loopback, link-local or not HTTP(S): asking again will not help."""


class UnreachableError(Exception):
    """No answer: refused, timed out, or not found. Asking again may help."""


class Poster(Protocol):
    """Posts bytes to an address outside."""

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float = 15.0
    ) -> Posted:
        """Post once, following no redirect. Raises `AddressRefusedError` or `UnreachableError`."""
        ...
