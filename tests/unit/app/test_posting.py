"""The poster: whom it reaches, whom it refuses in every spelling, and how little it lets an answer do."""

import asyncio
import gzip
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given, strategies

from app.posting import KEPT_CHARS, READ_AT_MOST_BYTES, HttpPoster, open_poster
from app.posting_addresses import may_be_reached
from services.posting import AddressRefusedError, UnreachableError

LOOPBACK = "127.0.0.0/8"

PRIVATE = [
    "0.0.0.1", "0.0.0.0",  # noqa: S104 - nobody listens there
    "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "168.63.129.16",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.168.1.1", "192.88.99.1",
    "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::1", "2001:0:53aa:64c::1", "2001:db8::1", "3fff::1", "5f00::1",
    "100::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "2606:4700::1111%eth0", "fec0::1", "ff02::1",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "2606:4700::1111",
]

REFUSED = {
    "http://127.0.0.1/": "private_address",
    "http://127.1/": "private_address",
    "http://2130706433/": "private_address",
    "http://0177.0.0.1/": "private_address",
    "http://0x7f.1/": "private_address",
    "http://0x7f000001/": "private_address",
    "http://017700000001/": "private_address",
    "http://127.0.0.1./": "private_address",
    "http://0/": "private_address",
    "http://[::1]/": "private_address",
    "http://[::ffff:127.0.0.1]/": "private_address",
    "http://[::ffff:7f00:1]/": "private_address",
    "http://[64:ff9b::127.0.0.1]/": "private_address",
    "http://[2002:7f00:1::]/": "private_address",
    "http://[fe80::1%25eth0]/": "private_address",
    "http://①②⑦.0.0.1/": "private_address",
    "http://127。0。0。1/": "private_address",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/": "private_address",
    "http://127.0.0.1\\@example.com/": "malformed",
    "http://example.com\\@127.0.0.1/": "malformed",
    "http://127.0.0.1%2f@example.com/": "credentials",
    "http://example.com%00.127.0.0.1/": "private_address",
    "http://169.254.169.254/latest/meta-data/": "private_address",
    "http://localhost/": "private_address",
    "http://LOCALHOST/": "private_address",
    "ftp://example.com/": "scheme",
    "file:///etc/passwd": "malformed",
    "gopher://example.com/": "scheme",
    "//example.com/": "scheme",
    "/etc/passwd": "malformed",
    "http://": "malformed",
    "": "malformed",
    "http://user:secret@example.com/": "credentials",
    "http://user@example.com/": "credentials",
    "http://example.com:22/": "port",
    "http://example.com:25/": "port",
    "http://example.com:0/": "port",
    "http://example.com:99999/": "malformed",
    "http://exam ple.com/": "malformed",
    "http://example.com/\r\nHost: other": "malformed",
    "http://example.com/" + "a" * 3000: "malformed",
}


class Names(AbstractResolver):
    """A name server that answers what the test says, one list after another, and then the last one again."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - the seam's signature
    ) -> list[ResolveResult]:
        """Answer the next list."""
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            ResolveResult(hostname=host, host=one, port=port, family=socket.AF_INET, proto=0, flags=0)
            for one in answer
        ]

    async def close(self) -> None:
        """Have nothing to close."""


def own_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, secret


class Receiver:
    """A real server on loopback that counts what reaches it."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.ended = asyncio.Event()
        self.stuck = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer by the path."""
        self.seen.append(request.path)
        self.headers.append(dict(request.headers))
        match request.path:
            case "/moved":
                return web.Response(status=307, headers={"Location": "/elsewhere", "Set-Cookie": "a=b"})
            case "/busy":
                return web.Response(status=429, headers={"Retry-After": "120"}, text="later\x00\n")
            case "/mute":
                await self.stuck.wait()
            case "/drip":
                return await self._drip(request)
            case "/endless":
                return await self._endless(request)
            case "/bomb":
                packed = gzip.compress(b"\0" * 5_000_000)
                return web.Response(body=packed, headers={"Content-Encoding": "gzip"})
        return web.Response(text="thank you")

    async def _drip(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"well")
        await self.stuck.wait()
        return answer

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        try:
            while True:
                await answer.write(b"x" * 65_536)
        finally:
            self.ended.set()


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, Callable[[str], str]]]:
    """A receiver and a way to name its paths."""
    hears = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hears.answer)
    async with TestServer(app, host="127.0.0.1") as server:
        yield hears, lambda path: f"http://127.0.0.1:{server.port}{path}"
        hears.stuck.set()


@pytest.fixture
async def poster() -> AsyncIterator[HttpPoster]:
    """A poster that may reach loopback, as a self-hoster would allow it."""
    async with open_poster(allow=(LOOPBACK,), http=True) as opened:
        yield opened


@pytest.mark.parametrize("address", PRIVATE)
def test_no_private_address_counts_as_public(address: str) -> None:
    """Private, shared, mapped, translated, tunnelled, set aside, scoped: none is the public internet."""
    assert not may_be_reached(address, ())


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_pass(address: str) -> None:
    """The neighbours of the refused blocks are reached."""
    assert may_be_reached(address, ())


@given(strategies.ip_addresses())
def test_we_reach_nothing_that_python_calls_private(address: IPv4Address | IPv6Address) -> None:
    """Our tables are at least as strict as the standard library's, whatever its release."""
    assert (address.is_global and not address.is_multicast) or not may_be_reached(str(address), ())


@pytest.mark.parametrize(("url", "reason"), REFUSED.items())
async def test_an_address_is_refused_in_every_spelling(url: str, reason: str) -> None:
    """Whatever the spelling, the poster opens no connection, neither when it checks nor when it posts."""
    async with open_poster(http=True) as poster:
        with pytest.raises(AddressRefusedError, match=rf"^{reason}$"):
            await poster.check(url)
        with pytest.raises(AddressRefusedError, match=rf"^{reason}$"):
            await poster.post(url, b"{}", {})


async def test_plain_http_needs_a_setting() -> None:
    """Without it only https is spoken."""
    async with open_poster(allow=(LOOPBACK,)) as poster:
        with pytest.raises(AddressRefusedError, match=r"^scheme$"):
            await poster.post("http://127.0.0.1:8080/", b"{}", {})


async def test_a_name_of_a_private_address_is_refused() -> None:
    """A public name that a name server gives a private address is refused, even among public ones."""
    for answer in (["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::1"]):
        async with open_poster(http=True, names=Names(answer)) as poster:
            with pytest.raises(AddressRefusedError, match=r"^private_address$"):
                await poster.check("http://receiver.example/")
            with pytest.raises(AddressRefusedError, match=r"^private_address$"):
                await poster.post("http://receiver.example/", b"{}", {})


async def test_a_name_that_changes_its_mind_reaches_nobody() -> None:
    """A name that was public when it was checked and is loopback when it is posted to is refused then."""
    async with open_poster(http=True, names=Names(["8.8.8.8"], ["127.0.0.1"])) as poster:
        await poster.check("http://receiver.example/")
        with pytest.raises(AddressRefusedError, match=r"^private_address$"):
            await poster.post("http://receiver.example/", b"{}", {})


async def test_the_socket_itself_is_judged() -> None:
    """Even if a private address came past the resolver, no socket towards it would be made."""
    names = Names(["8.8.8.8"])
    async with open_poster(http=True, names=names) as poster:
        connector = poster._session.connector
        assert connector is not None
        connector._resolver = Names(["127.0.0.1"])  # type: ignore[attr-defined]  # a test may look inside
        with pytest.raises(AddressRefusedError, match=r"^private_address$"):
            await poster.post("http://receiver.example:8080/", b"{}", {})


async def test_a_post_is_answered_and_carries_nothing_of_ours(
    poster: HttpPoster, receiver: tuple[Receiver, Callable[[str], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status and a piece of the answer come back; proxies of the environment and cookies are not known."""
    hears, at = receiver
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    await poster.post(at("/moved"), b"{}", {})
    answer = await poster.post(at("/hook"), b'{"a": 1}', {"Content-Type": "application/json"})
    assert (answer.status, answer.body, answer.retry_after_s) == (200, "thank you", None)
    assert hears.headers[-1]["Content-Type"] == "application/json"
    assert not {"Cookie", "Authorization", "Accept"} & set(hears.headers[-1])


async def test_a_redirect_is_not_followed(
    poster: HttpPoster, receiver: tuple[Receiver, Callable[[str], str]]
) -> None:
    """The answer is the redirect itself; where it points is never asked."""
    hears, at = receiver
    assert (await poster.post(at("/moved"), b"{}", {})).status == 307
    assert hears.seen == ["/moved"]


async def test_a_wish_to_wait_is_read(
    poster: HttpPoster, receiver: tuple[Receiver, Callable[[str], str]]
) -> None:
    """Retry-After comes back in seconds, and the answer's text is made printable."""
    answer = await poster.post(receiver[1]("/busy"), b"{}", {})
    assert (answer.status, answer.retry_after_s, answer.body) == (429, 120.0, "later  ")


async def test_an_endless_answer_is_cut(
    poster: HttpPoster, receiver: tuple[Receiver, Callable[[str], str]]
) -> None:
    """A few KiB are read and the connection is closed under the one who goes on talking."""
    hears, at = receiver
    answer = await poster.post(at("/endless"), b"{}", {})
    assert (answer.status, len(answer.body)) == (200, KEPT_CHARS)
    async with asyncio.timeout(10):
        await hears.ended.wait()


async def test_a_status_counts_though_its_body_never_ends(
    poster: HttpPoster, receiver: tuple[Receiver, Callable[[str], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever said 200 has it, however long they go on saying nothing."""
    monkeypatch.setattr("app.posting.READ_WITHIN_S", 0.1)
    answer = await poster.post(receiver[1]("/drip"), b"{}", {})
    assert (answer.status, answer.body) == (200, "well")


async def test_a_certificate_that_nobody_vouches_for_is_no_answer(tmp_path: Path) -> None:
    """TLS is verified, for the name in the address, although the connection goes to a number."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*own_certificate(tmp_path))
    hears = Receiver()
    app = web.Application()
    app.router.add_post("/", hears.answer)
    async with TestServer(app, host="127.0.0.1", scheme="https") as server:
        await server.start_server(ssl=context)
        async with open_poster(allow=(LOOPBACK,), names=Names(["127.0.0.1"])) as poster:
            for host in ("127.0.0.1", "receiver.example"):
                with pytest.raises(UnreachableError, match=r"^tls$"):
                    await poster.post(f"https://{host}:{server.port}/", b"{}", {})
    assert hears.seen == []


async def test_a_bomb_stays_packed(
    poster: HttpPoster, receiver: tuple[Receiver, Callable[[str], str]]
) -> None:
    """A compressed answer is never unpacked."""
    answer = await poster.post(receiver[1]("/bomb"), b"{}", {})
    assert answer.status == 200
    assert len(answer.body) <= KEPT_CHARS < READ_AT_MOST_BYTES


async def test_silence_has_an_end(
    poster: HttpPoster, receiver: tuple[Receiver, Callable[[str], str]]
) -> None:
    """Who does not answer in time is unreachable, and so is a port where nobody listens."""
    with pytest.raises(UnreachableError, match=r"^timeout$"):
        await poster.post(receiver[1]("/mute"), b"{}", {}, timeout_s=0.2)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(UnreachableError, match=r"^refused$"):
            await poster.post(f"http://127.0.0.1:{unused.getsockname()[1]}/", b"{}", {})


async def test_a_name_that_nobody_knows_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check lets it pass, since it may be known tomorrow; a post says that there is nobody."""

    def unknown(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    async with open_poster(http=True) as poster:
        await poster.check("http://nobody.example/")
        with pytest.raises(UnreachableError, match=r"^name_not_found$"):
            await poster.post("http://nobody.example/", b"{}", {})


async def test_a_name_that_cannot_be_one_is_unreachable(poster: HttpPoster) -> None:
    """A label longer than any name server takes is nobody's name."""
    url = f"http://{'a' * 70}.example/"
    await poster.check(url)
    with pytest.raises(UnreachableError, match=r"^name_not_found$"):
        await poster.post(url, b"{}", {})


async def test_names_that_are_asked_about_keep_no_post_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred questions to a name server that does not answer leave the threads of posts free."""
    answered = threading.Event()

    def lookup(host: str, port: int, *_: object) -> list[Any]:
        if host.endswith("slow.example"):
            answered.wait(30)
            raise OSError
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", port))]

    monkeypatch.setattr("app.posting.socket.getaddrinfo", lookup)
    async with open_poster() as poster:
        asking = [asyncio.create_task(poster.check(f"https://n{n}.slow.example/")) for n in range(100)]
        await asyncio.sleep(0)  # all of them have asked
        try:
            with pytest.raises(AddressRefusedError, match="private_address"):
                await poster.post("https://quick.example/", b"", {})
        finally:
            answered.set()
            await asyncio.gather(*asking)
