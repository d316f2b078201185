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
    """The address is private, loopback, link-local or not HTTP(S): asking again will not help.

    Its word is the reason: `malformed, scheme, credentials, port, private_address`; it never holds the address.
    """


class UnreachableError(Exception):
    """No answer: refused, timed out, or not found. Asking again may help. Its word is the reason, not the address."""


class Poster(Protocol):
    """Posts bytes to an address outside."""

    async def check(self, url: str) -> None:
        """Raise `AddressRefusedError` when a post there would be refused now; a name without an address passes."""
        ...

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float = 15.0
    ) -> Posted:
        """Post once, following no redirect. Raises `AddressRefusedError` or `UnreachableError`."""
        ...


class NoPoster:
    """The poster of a process that posts nothing, such as a command: everything outside is unreachable."""

    async def check(self, url: str) -> None:
        """Let every address pass."""

    async def post(
        self,
        url: str,  # noqa: ARG002 - the seam's signature
        body: bytes,  # noqa: ARG002 - the seam's signature
        headers: Mapping[str, str],  # noqa: ARG002 - the seam's signature
        *,
        timeout_s: float = 15.0,  # noqa: ARG002 - the seam's signature
    ) -> Posted:
        """Raise `UnreachableError`."""
        raise UnreachableError("no_poster")
