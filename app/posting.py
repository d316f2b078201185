"""Posting to servers that are not ours, at addresses that somebody else chose, without lending them our network.

The address is judged where the socket is made, so the one that was checked is the one that is connected to, whatever a
name server answers a moment later. No redirect is followed, no proxy, cookie or compressed body is known, an answer is
cut after a few KiB, and every wait has its end. Addresses may be secrets themselves (web push): errors and logs never
repeat one.
"""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_network

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from app.posting_addresses import Network, may_be_reached
from services.posting import AddressRefusedError, Posted, UnreachableError
from storage import tracing

LONGEST_URL = 2048
FIRST_FREE_PORT = (
    1024  # below it live mail, file and login services: only the two ports of the web are posted to
)
WEB_PORTS = (80, 443)
CONNECT_WITHIN_S = 5.0
AT_ONCE = 128  # connections of one process; a further post waits for one within its own time
AT_ONCE_FOR_ONE_HOST = 8
LOOKUPS_AT_ONCE = (
    64  # threads, made when needed: one slow name server holds up neither other posts nor passwords
)
QUESTIONS_AT_ONCE = (
    8  # threads for addresses that are only asked about, which anybody may do: posts never wait for those
)
READ_AT_MOST_BYTES = 4096
READ_WITHIN_S = 2.0  # the status has come: what follows it may not take it back
KEPT_CHARS = 300
LONGEST_WISH_S = 86_400.0
AGENT = "Doorstep"
NAME = re.compile(r"[a-z0-9_][a-z0-9._-]*")
NUMBER = re.compile(r"(^|\.)([0-9]+|0x[0-9a-f]*)$")  # decimal, octal, hexadecimal, short: all end in a number


class Lookups(AbstractResolver):
    """The system's resolver, in a few threads of its own."""

    def __init__(self, at_once: int = LOOKUPS_AT_ONCE) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="doorstep-lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name, as numbers. Raises OSError."""
        try:
            found = await asyncio.get_running_loop().run_in_executor(
                self._threads, lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
            )
        except UnicodeError as error:  # a label that no name server could know
            raise OSError("not a name") from error
        return [
            ResolveResult(hostname=host, host=str(where[0]), port=port, family=kind, proto=proto, flags=0)
            for kind, _, proto, _, where in found
        ]

    async def close(self) -> None:
        """Let the threads go; one that still waits for a name server ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Checked(AbstractResolver):
    """Names whose every address may be reached: one that has also a private address is refused at once."""

    names: AbstractResolver
    allowed: Sequence[Network]

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self.names.resolve(host, port, family)
        if not all(may_be_reached(one["host"], self.allowed) for one in found):
            raise AddressRefusedError("private_address")
        return found

    async def close(self) -> None:
        await self.names.close()


class HttpPoster:
    """The `Poster` of a process; see `open_poster`."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        names: AbstractResolver,
        allowed: Sequence[Network],
        *,
        http: bool,
    ) -> None:
        self._session, self._names, self._allowed, self._http = session, names, allowed, http

    async def check(self, url: str) -> None:
        """Raise `AddressRefusedError` when a post there would be refused now; a name without an address passes."""
        where = self._parsed(url)
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                await self._names.resolve(where.raw_host or "", where.port or 0)
        except (OSError, TimeoutError):
            return

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float = 15.0
    ) -> Posted:
        """Post once, following no redirect. Raises `AddressRefusedError` or `UnreachableError`."""
        where = self._parsed(url)
        limits = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_WITHIN_S, ceil_threshold=3600)
        try:
            with tracing.step("post", outside=True) as span:
                async with self._session.post(
                    where, data=body, headers=headers, allow_redirects=False, timeout=limits
                ) as answer:
                    said = await _beginning(answer)
                    answer.close()  # whatever else it wanted to say
                    if span is not None:
                        span.set_attribute("http.response.status_code", answer.status)
                    return Posted(answer.status, said, _wish(answer.headers.get("Retry-After")))
        except TimeoutError:
            raise UnreachableError("timeout") from None
        except aiohttp.ClientConnectorDNSError:
            raise UnreachableError("name_not_found") from None
        except aiohttp.ClientSSLError:
            raise UnreachableError("tls") from None
        except aiohttp.InvalidURL:
            raise AddressRefusedError("malformed") from None
        except (aiohttp.ClientError, OSError) as error:
            raise UnreachableError(_reason(error)) from None

    def _parsed(self, text: str) -> URL:
        """Read an address by the rules that need no lookup."""
        try:
            url = URL(text)
            port = url.port
        except ValueError:
            raise AddressRefusedError("malformed") from None
        if len(text) > LONGEST_URL or not text.isprintable() or url.raw_host in (None, ""):
            raise AddressRefusedError("malformed")
        if url.scheme != "https" and not (self._http and url.scheme == "http"):
            raise AddressRefusedError("scheme")
        if url.user is not None or url.password is not None:
            raise AddressRefusedError("credentials")
        if port is None or (port < FIRST_FREE_PORT and port not in WEB_PORTS):
            raise AddressRefusedError("port")
        host = str(url.raw_host).rstrip(".")
        if (":" in host or NUMBER.search(host)) and not may_be_reached(host, self._allowed):
            raise AddressRefusedError(
                "private_address"
            )  # what is no plain spelling is none that may be reached
        if ":" not in host and not NAME.fullmatch(host):
            raise AddressRefusedError("malformed")
        return url


@asynccontextmanager
async def open_poster(
    *, allow: Sequence[str] = (), http: bool = False, names: AbstractResolver | None = None
) -> AsyncIterator[HttpPoster]:
    """Open the client; `allow` are networks that may be reached though they are private, `http` lets plain HTTP pass.

    `names` stands for the system's resolver.
    """
    allowed = tuple(ip_network(network, strict=False) for network in allow)
    checked = _Checked(names or Lookups(), allowed)
    asked = _Checked(names or Lookups(QUESTIONS_AT_ONCE), allowed)

    def socket_for(place: aiohttp.AddrInfoType) -> socket.socket:
        """Make a socket towards an address that may be reached: the last moment before it is connected."""
        family, kind, proto, _, where = place
        if not may_be_reached(str(where[0]), allowed):
            raise AddressRefusedError("private_address")
        return socket.socket(family, kind, proto)

    connector = aiohttp.TCPConnector(
        resolver=checked,
        use_dns_cache=False,
        force_close=True,
        limit=AT_ONCE,
        limit_per_host=AT_ONCE_FOR_ONE_HOST,
        happy_eyeballs_delay=None,
        socket_factory=socket_for,
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        headers={"User-Agent": AGENT, "Accept-Encoding": "identity"},
        skip_auto_headers=("Accept",),
        read_bufsize=READ_AT_MOST_BYTES,
    ) as session:
        try:
            yield HttpPoster(session, asked, allowed, http=http)
        finally:
            await checked.close()
            await asked.close()


async def _beginning(answer: aiohttp.ClientResponse) -> str:
    """Read the first few KiB, as far as they come soon, and keep a sentence of them, printable."""
    read = bytearray()
    with suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(READ_WITHIN_S):
            while len(read) < READ_AT_MOST_BYTES and (piece := await answer.content.read(READ_AT_MOST_BYTES)):
                read += piece
    text = bytes(read[:READ_AT_MOST_BYTES]).decode("utf-8", "replace")[:KEPT_CHARS]
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _wish(value: str | None) -> float | None:
    """Read a Retry-After, seconds or a date, into at most a day; None for none and for nonsense."""
    if value is None:
        return None
    try:
        seconds = float(value) if value.isascii() and value.isdigit() else _until(value)
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_WISH_S)


def _until(date: str) -> float:
    when = parsedate_to_datetime(date)
    return ((when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return "refused" if isinstance(error.os_error, ConnectionRefusedError) else "not_connected"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "disconnected"
    return "broken_answer" if isinstance(error, aiohttp.ClientError) else "not_connected"
