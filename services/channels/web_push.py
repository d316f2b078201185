"""Web push: encrypted for one browser (RFC 8291), signed with our VAPID key (RFC 8292), posted to its push service.

The push service sees that somebody is told something, never what. A subscription that is gone (404, 410) is taken off.
"""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from webpush import VAPID, WebPush, WebPushSubscription
from webpush.types import WebPushKeys

from services.channels.channel import Browser, Letter, Sent, To, of_answer
from services.posting import AddressRefusedError, Poster, UnreachableError

WITHIN_S = 8.0  # the address is somebody else's choice: it gets less of our time
SIGNATURE_TTL = timedelta(hours=12)
LONGEST_TITLE, LONGEST_BODY = 100, 700  # characters of up to 4 bytes: a push service takes 4096 bytes in all
GONE = frozenset({404, 410})


class VapidKey:
    """Our key towards push services, from PEM. Raises ValueError when it is no key of the curve P-256."""

    def __init__(self, pem: bytes) -> None:
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError):
            raise ValueError("it is no private key in PEM form") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ValueError("it is no key of the curve P-256")  # noqa: TRY004 - the setting's value is wrong
        self.private_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.public_pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.public = VAPID.get_application_server_key(key.public_key())

    @staticmethod
    def new() -> bytes:
        """Draw a key; returns its PEM."""
        pem: bytes = VAPID.generate_keys()[0]
        return pem


class WebPushChannel:
    """`contact` is a mail address at which a push service may complain."""

    def __init__(self, poster: Poster, key: VapidKey, contact: str) -> None:
        self._poster = poster
        self._push = WebPush(
            key.private_pem, key.public_pem, contact, expiration=int(SIGNATURE_TTL.total_seconds())
        )

    async def send(self, letter: Letter, to: To, now: datetime) -> Sent:
        """Hand one message to a browser's push service, which keeps it for the browser while it is of use."""
        browser = to.browser
        if browser is None:
            return Sent("no_browser")
        try:
            message = self._push.get(_document(letter), _subscription(browser))
        except ValueError:  # a key that is no point of the curve, whatever else checked it
            return Sent("bad_keys", gone=True)
        left_s = max(0, int((letter.useful_until.astimezone(UTC) - now).total_seconds()))
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Encoding": "aes128gcm",
            "Authorization": message.headers["authorization"],
            "TTL": str(left_s),
            "Urgency": "high" if letter.urgent else "normal",
            "Topic": _topic(letter.notification_id),  # a second copy takes the place of the first
        }
        try:
            posted = await self._poster.post(browser.endpoint, message.encrypted, headers, timeout_s=WITHIN_S)
        except AddressRefusedError:
            return Sent("address_refused", gone=True)
        except UnreachableError:
            return Sent("unreachable", again=True)
        if posted.status in GONE:
            return Sent(str(posted.status), gone=True)
        return of_answer(posted)


def _topic(notification_id: UUID) -> str:
    """Write an id in at most 32 letters of base64url, as the header wants."""
    return urlsafe_b64encode(notification_id.bytes).rstrip(b"=").decode()


def _document(letter: Letter) -> bytes:
    return orjson.dumps(
        {
            "notification_id": str(letter.notification_id),
            "template": letter.template,
            "title": letter.title[:LONGEST_TITLE],
            "body": letter.body[:LONGEST_BODY],
            "lang": letter.language,
            "link": letter.link,
        }
    )


def _subscription(browser: Browser) -> WebPushSubscription:
    return WebPushSubscription.model_validate(
        {"endpoint": browser.endpoint, "keys": WebPushKeys(auth=browser.auth, p256dh=browser.p256dh)}
    )
