"""The ways out of the house, each against a real server on this machine: SMTP, an SMS gateway, a push service."""

import asyncio
import json
import ssl
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from app.posting import open_poster
from services.channels import smtp
from services.channels.channel import WITHIN_S, Browser, Letter, Sent, To
from services.channels.resting import REST_AFTER, REST_S, Resting
from services.channels.sms import DEFAULT_BODY, BodyForm, SmsChannel
from services.channels.smtp import SmtpChannel, SmtpServer
from services.channels.web_push import VapidKey, WebPushChannel
from services.notification_sending import LEASE_S, SEND_WITHIN_S
from services.posting import Poster
from storage.ids import new_id

NOW = datetime(2026, 11, 24, 15, tzinfo=UTC)
ID = UUID("019ab000-0000-7000-8000-0000000000aa")
LETTER = Letter(
    notification_id=ID, template="customer_accepted", language="de", title="Grace hat zugesagt – schön",
    body='Grace kommt zu Ihnen & "bald".', urgent=True, useful_until=NOW + timedelta(minutes=10), link="/book",
)  # fmt: skip
CUSTOMER = To(email="ada@example.org", phone="+1 (410) 555-0100")


@dataclass
class Mailbox:
    """An SMTP server's handler: keeps what it took; refuses recipients with `refuse`, if that says something."""

    refuse: str = ""
    kept: list[Envelope] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take or refuse a recipient."""
        if not self.refuse:
            envelope.rcpt_tos.append(address)
        return self.refuse or "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        """Keep a mail."""
        self.kept.append(envelope)
        return "250 kept"

    def mails(self) -> list[EmailMessage]:
        """Return what was kept, parsed."""
        return [
            message_from_bytes(each.content, policy=policy.default)  # type: ignore[arg-type]  # the server keeps bytes
            for each in self.kept
        ]


@asynccontextmanager
async def smtp_server(mailbox: Mailbox, **options: Any) -> AsyncIterator[int]:
    """Serve a mailbox on a free port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(mailbox, loop=loop, **options), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make a certificate for localhost: the server's context, and that of a client who trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(Encoding.PEM)
    both = folder / "both.pem"
    both.write_bytes(pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(both)
    client = ssl.create_default_context(cadata=pem.decode())
    client.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return server, client


def plain(port: int, user: str = "") -> SmtpChannel:
    """Return a channel to a server without TLS."""
    return SmtpChannel(
        SmtpServer.of(f"smtp+plain://{user}127.0.0.1:{port}"), "Doorstep <visits@house.example>"
    )


async def test_a_mail_arrives_whole_and_with_a_stable_id() -> None:
    """Twice the same letter is twice the same Message-ID, by which a mailbox tells the second copy."""
    mailbox = Mailbox()
    async with smtp_server(mailbox) as port:
        for _ in range(2):
            assert await plain(port).send(LETTER, CUSTOMER, NOW) == Sent("250", ok=True)
    first, second = mailbox.mails()
    assert first["From"] == "Doorstep <visits@house.example>"
    assert first["To"] == "ada@example.org"
    assert first["Subject"] == LETTER.title
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["Message-ID"] == second["Message-ID"] == f"<{ID}@house.example>"
    assert first.get_content().strip() == LETTER.body


@pytest.mark.parametrize(
    ("answer", "sent"),
    [
        ("550 no such mailbox", Sent("550")),
        ("451 try later", Sent("451", again=True)),
    ],
)
async def test_a_refused_recipient_is_final_when_the_server_says_so(answer: str, sent: Sent) -> None:
    """A bounce is not repeated; a busy server is asked again."""
    mailbox = Mailbox(refuse=answer)
    async with smtp_server(mailbox) as port:
        assert await plain(port).send(LETTER, CUSTOMER, NOW) == sent
    assert mailbox.kept == []


async def test_what_is_ours_to_mend_is_tried_again() -> None:
    """A wrong password, a server that is away, one that hangs up: none of them is the recipient's fault."""
    mailbox = Mailbox()
    async with smtp_server(
        mailbox, authenticator=lambda *_: AuthResult(success=False, handled=False), auth_require_tls=False
    ) as port:
        denied = await plain(port, "doorstep:secret@").send(LETTER, CUSTOMER, NOW)
    assert (denied.code, denied.again, denied.ok) == ("535", True, False)
    away = await plain(port).send(LETTER, CUSTOMER, NOW)
    assert (away.again, away.unreachable) == (True, True)


async def test_a_server_that_never_answers_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts as away, so that the next letters need not wait for it."""
    monkeypatch.setattr(smtp, "WITHIN_S", 0.2)

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with server:
        sent = await plain(server.sockets[0].getsockname()[1]).send(LETTER, CUSTOMER, NOW)
    assert (sent.again, sent.unreachable) == (True, True)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "Ada <ada@example.org>",
        "ada@example.org, eve@example.org",
        "ada@example.org\r\nBcc: eve@example.org",
    ],
)
async def test_an_address_that_is_none_is_never_written_to(address: str) -> None:
    """And nobody smuggles a header in."""
    mailbox = Mailbox()
    async with smtp_server(mailbox) as port:
        sent = await plain(port).send(LETTER, To(email=address), NOW)
    assert not sent.ok
    assert not sent.again
    assert mailbox.kept == []


async def test_smtp_demands_tls_and_trusts_only_known_servers(tmp_path: Path) -> None:
    """No STARTTLS offered: nothing is sent. An unknown certificate: nothing is sent. A known one: it goes."""
    mailbox = Mailbox()
    theirs, ours = certificate(tmp_path)
    async with smtp_server(mailbox) as port:
        bare = SmtpChannel(SmtpServer.of(f"smtp://localhost:{port}"), "visits@house.example")
        assert (await bare.send(LETTER, CUSTOMER, NOW)).again
    async with smtp_server(mailbox, tls_context=theirs, require_starttls=True) as port:
        server = SmtpServer.of(f"smtp://localhost:{port}")
        unknown = await SmtpChannel(server, "visits@house.example").send(LETTER, CUSTOMER, NOW)
        assert unknown.again
        assert mailbox.kept == []
        trusted = SmtpChannel(server, "visits@house.example", ours)
        assert await trusted.send(LETTER, CUSTOMER, NOW) == Sent("250", ok=True)
    assert len(mailbox.kept) == 1


def test_a_server_is_read_from_one_url() -> None:
    """With its usual port, and a password that needs escapes; what is none is refused without a piece of it."""
    server = SmtpServer.of("smtps://me%40house:p%2Fw@mail.example")
    assert (server.host, server.port, server.user, server.password) == (
        "mail.example",
        465,
        "me@house",
        "p/w",
    )
    assert "p/w" not in repr(server)
    with pytest.raises(ValueError, match="no URL of the form") as caught:
        SmtpServer.of("http://me:secret@mail.example")
    assert "secret" not in str(caught.value)


@dataclass
class Outside:
    """An HTTP server that is not ours: it keeps what is posted, and answers as it is told."""

    status: int = 201
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        """Take a post."""
        self.asked.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status, headers=self.headers)


@pytest.fixture
async def outside() -> AsyncIterator[Outside]:
    """A server on loopback."""
    there = Outside()
    app = web.Application()
    app.router.add_post("/{tail:.*}", there.take)
    async with TestServer(app, host="127.0.0.1") as server:
        there.url = str(server.make_url("/take/this"))
        yield there


@pytest.fixture
async def poster() -> AsyncIterator[Poster]:
    """The real client, which may go to loopback here."""
    async with open_poster(allow=("127.0.0.0/8",), http=True) as opened:
        yield opened


async def test_a_gateway_gets_the_body_that_it_wants(outside: Outside, poster: Poster) -> None:
    """JSON or a form, the number in digits, an id, and nobody's words break out of their field."""
    sms = SmsChannel(poster, outside.url, BodyForm(DEFAULT_BODY), "Bearer key")
    assert await sms.send(LETTER, CUSTOMER, NOW) == Sent("201", ok=True)
    headers, body = outside.asked[0]
    assert json.loads(body) == {"to": "+14105550100", "text": LETTER.body, "id": str(ID)}
    assert (headers["Authorization"], headers["Idempotency-Key"]) == ("Bearer key", str(ID))
    form = SmsChannel(poster, outside.url, BodyForm("To={to}&From=%2B1555&Body={text}"))
    assert (await form.send(LETTER, CUSTOMER, NOW)).ok
    headers, body = outside.asked[1]
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs(body.decode()) == {"To": ["+14105550100"], "From": ["+1555"], "Body": [LETTER.body]}


@pytest.mark.parametrize("form", ["", "{to}", '{"to": "{to}"', "text={text}"])
def test_a_body_that_cannot_carry_a_message_is_refused(form: str) -> None:
    """At start, not at the first message."""
    with pytest.raises(ValueError, match="it "):
        BodyForm(form)


@pytest.mark.parametrize(
    ("status", "again"),
    [
        (400, False),
        (401, True),
        (404, False),
        (422, False),
        (429, True),
        (500, True),
        (503, True),
        (302, True),
    ],
)
async def test_an_answer_says_whether_to_ask_again(
    outside: Outside, poster: Poster, status: int, *, again: bool
) -> None:
    """What is ours to mend, or passes, is asked again, when the other side wants it."""
    outside.status, outside.headers = status, {"Retry-After": "7"}
    sent = await SmsChannel(poster, outside.url, BodyForm(DEFAULT_BODY)).send(LETTER, CUSTOMER, NOW)
    assert (sent.ok, sent.again, sent.code, sent.after_s) == (False, again, str(status), 7.0)


@pytest.fixture
def vapid() -> VapidKey:
    """A key of ours."""
    return VapidKey(VapidKey.new())


class Phone:
    """A browser: it subscribes with its public key and a secret, and opens what only it can."""

    def __init__(self, endpoint: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._point = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self._auth = bytes(range(16))
        self.to = To(browser=Browser(new_id(), endpoint, _base64(self._point), _base64(self._auth)))

    def open(self, body: bytes) -> Any:
        """Decrypt one record by RFC 8188 and RFC 8291."""
        salt, size, length = body[:16], int.from_bytes(body[16:20]), body[20]
        theirs, sealed = body[21 : 21 + length], body[21 + length :]
        assert len(sealed) <= size
        shared = self._key.exchange(
            ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs)
        )
        secret = _hkdf(self._auth, shared, b"WebPush: info\0" + self._point + theirs, 32)
        key = _hkdf(salt, secret, b"Content-Encoding: aes128gcm\0", 16)
        nonce = _hkdf(salt, secret, b"Content-Encoding: nonce\0", 12)
        opened = AESGCM(key).decrypt(nonce, sealed, None)
        assert opened[-1:] == b"\2"
        return json.loads(opened[:-1])


def _hkdf(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


def _base64(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


async def test_only_the_browser_can_read_what_it_is_pushed(
    outside: Outside, poster: Poster, vapid: VapidKey
) -> None:
    """Encrypted for it, signed by our key for its push service, kept there as long as it is of use."""
    phone = Phone(outside.url)
    channel = WebPushChannel(poster, vapid, "house@example.org")
    assert await channel.send(LETTER, phone.to, NOW) == Sent("201", ok=True)
    headers, body = outside.asked[0]
    assert phone.open(body) == {
        "notification_id": str(ID), "template": "customer_accepted", "title": LETTER.title, "body": LETTER.body,
        "lang": "de", "link": "/book",
    }  # fmt: skip
    assert LETTER.title.encode() not in body
    assert (headers["TTL"], headers["Urgency"], headers["Content-Encoding"]) == ("600", "high", "aes128gcm")
    assert len(headers["Topic"]) <= 32
    token, key = (
        part.partition("=")[2] for part in headers["Authorization"].removeprefix("vapid ").split(", ")
    )
    point = urlsafe_b64decode(key + "=")
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    claims = jwt.decode(token, public, algorithms=["ES256"], options={"verify_aud": False})
    assert key == vapid.public
    assert claims["sub"] == "mailto:house@example.org"
    assert claims["aud"] == "http://127.0.0.1"


@pytest.mark.parametrize(("status", "gone"), [(404, True), (410, True), (413, False), (500, False)])
async def test_a_browser_that_unsubscribed_is_gone(
    outside: Outside, poster: Poster, vapid: VapidKey, status: int, *, gone: bool
) -> None:
    """Its push service says so, once."""
    outside.status = status
    sent = await WebPushChannel(poster, vapid, "house@example.org").send(LETTER, Phone(outside.url).to, NOW)
    assert (sent.ok, sent.gone, sent.again) == (False, gone, status == 500)


async def test_the_longest_letter_fits_into_a_push(outside: Outside, poster: Poster, vapid: VapidKey) -> None:
    """4096 bytes are all that a push service takes, even of words that need four each."""
    phone = Phone(outside.url)
    long = replace(LETTER, title="𝄞" * 5000, body="𝄞" * 5000)
    assert (await WebPushChannel(poster, vapid, "house@example.org").send(long, phone.to, NOW)).ok
    assert len(outside.asked[0][1]) <= 4096
    assert phone.open(outside.asked[0][1])["body"].startswith("𝄞𝄞")


async def test_our_own_network_is_not_pushed_to(vapid: VapidKey) -> None:
    """Whatever address a browser claims to have."""
    async with open_poster() as strict:
        channel = WebPushChannel(strict, vapid, "house@example.org")
        sent = await channel.send(LETTER, Phone("https://127.0.0.1/push").to, NOW)
    assert sent == Sent("address_refused", gone=True)


async def test_a_channel_whose_other_side_is_away_rests() -> None:
    """After three letters that found nobody the others wait for none; after the rest, one looks."""
    tried: list[float] = []
    clock = [0.0]
    answer = [Sent("refused", again=True, unreachable=True)]

    class Away:
        async def send(self, letter: Letter, to: To, now: datetime) -> Sent:  # noqa: ARG002 - a Channel
            tried.append(clock[0])
            return answer[0]

    channel = Resting(Away(), lambda: clock[0])
    codes = [(await channel.send(LETTER, CUSTOMER, NOW)).code for _ in range(REST_AFTER + 2)]
    assert codes == ["refused"] * REST_AFTER + ["resting"] * 2
    clock[0] = REST_S + 1
    looked = [(await channel.send(LETTER, CUSTOMER, NOW)).code for _ in range(2)]
    assert looked == ["refused", "resting"]
    clock[0], answer[0] = 2 * REST_S + 2, Sent("250", ok=True)
    assert [(await channel.send(LETTER, CUSTOMER, NOW)).code for _ in range(2)] == ["250", "250"]
    assert len(tried) == REST_AFTER + 3


def test_a_lease_outlives_every_channel() -> None:
    """Else two workers could send one letter at the same time."""
    assert WITHIN_S < SEND_WITHIN_S < LEASE_S
