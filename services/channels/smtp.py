"""Mail through whatever SMTP server the business has: one connection for each letter, plain text, a stable Message-ID.

A refused recipient (5xx) is not written to again for this notification; everything else is tried again, since a
password, a sender or a server can be mended while the letter still is of use.
"""

import asyncio
import ssl
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, formataddr, parseaddr
from urllib.parse import unquote, urlsplit

import aiosmtplib
from aiosmtplib import (
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from services.channels.channel import WITHIN_S, Letter, Sent, To

SCHEMES = ("smtp", "smtps", "smtp+plain")
DEFAULT_PORTS = {"smtp": 587, "smtps": 465, "smtp+plain": 25}


@dataclass(frozen=True, slots=True, repr=False)
class SmtpServer:
    """Where mail goes: `smtps` is TLS from the first byte, `smtp` demands STARTTLS, `smtp+plain` has neither."""

    scheme: str
    host: str
    port: int
    user: str | None
    password: str | None

    @classmethod
    def of(cls, url: str) -> "SmtpServer":
        """Read `smtp://user:password@host:port`. Raises ValueError, without repeating a piece of it."""
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES or not parts.hostname:
            raise ValueError("it is no URL of the form smtp://user:password@host:port")
        user, password = (
            unquote(part) if part is not None else None for part in (parts.username, parts.password)
        )
        return cls(parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme], user, password)


class SmtpChannel:
    """`sender` is `Name <address>` or an address; `tls` says whom to trust, by default whom the system does."""

    def __init__(self, server: SmtpServer, sender: str, tls: ssl.SSLContext | None = None) -> None:
        self._server, self._sender, self._tls = server, sender, tls
        self._domain = parseaddr(sender)[1].rpartition("@")[2]

    async def send(self, letter: Letter, to: To, now: datetime) -> Sent:
        """Hand one mail over."""
        try:
            mail = self.mail(letter, to.email or "", now)
        except ValueError:
            return Sent("bad_address")
        try:
            async with asyncio.timeout(WITHIN_S):  # of all of it; the library's own is of each step
                refused = await self._hand_over(mail, to.email or "")
        except SMTPNotSupported:
            return Sent("not_supported", again=mail["To"].isascii())  # else it is the address' letters
        except SMTPRecipientsRefused as error:
            return _refused(error.recipients[0])
        except (SMTPRecipientRefused, SMTPDataError) as error:
            return _refused(error)
        except SMTPResponseException as error:
            return Sent(str(error.code), again=True)
        except (SMTPException, OSError, TimeoutError) as error:
            return Sent(type(error).__name__, again=True, unreachable=True)
        return Sent("250", ok=True) if not refused else Sent("refused")

    async def _hand_over(self, mail: EmailMessage, address: str) -> bool:
        server = self._server
        refused, _ = await aiosmtplib.send(
            mail, recipients=[address], hostname=server.host, port=server.port, username=server.user,
            password=server.password, use_tls=server.scheme == "smtps", start_tls=server.scheme == "smtp",
            tls_context=self._tls, timeout=WITHIN_S,
        )  # fmt: skip
        return bool(refused)

    def mail(self, letter: Letter, address: str, now: datetime) -> EmailMessage:
        """Put the mail together. Raises ValueError for an address that is none."""
        if "@" not in address or not address.isprintable() or parseaddr(address)[1] != address:
            raise ValueError("not an address")
        mail = EmailMessage()
        mail["From"] = formataddr(parseaddr(self._sender))
        mail["To"] = address
        mail["Subject"] = letter.title
        mail["Date"] = format_datetime(now)
        mail["Message-ID"] = f"<{letter.notification_id}@{self._domain}>"
        mail["Content-Language"] = letter.language
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(letter.body + "\n")
        return mail


def _refused(error: SMTPResponseException) -> Sent:
    return Sent(str(error.code), again=error.code < 500)
