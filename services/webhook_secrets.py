"""Secrets of outgoing webhooks: shown once, sealed at rest, and what they sign by the Standard Webhooks specification.

The key that seals them comes from the house's secret key, and each box is bound to its webhook. With another secret key
no box opens: the founder rotates, and receivers are given the new secret.
"""

import base64
import hmac
import os
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from standardwebhooks import Webhook as Signer

PREFIX = "whsec_"
SECRET_BYTES = 32
NONCE_BYTES = 12


def new_secret() -> str:
    """Draw a secret in the form that the specification gives it."""
    return PREFIX + base64.b64encode(os.urandom(SECRET_BYTES)).decode()


def seal(secret_key: bytes, webhook_id: UUID, secret: str) -> bytes:
    """Encrypt a secret for its webhook: `nonce || ciphertext`."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(_key(secret_key)).encrypt(nonce, secret.encode(), webhook_id.bytes)


def unseal(secret_key: bytes, webhook_id: UUID, box: bytes) -> str | None:
    """Decrypt what `seal` made; None under another key, or for another webhook."""
    try:
        return (
            AESGCM(_key(secret_key)).decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], webhook_id.bytes).decode()
        )
    except InvalidTag:
        return None


def signed_headers(secrets: Sequence[str], message_id: UUID, now: datetime, body: bytes) -> dict[str, str]:
    """Return the three headers of the specification: a signature by each secret, the newest first."""
    said = body.decode()
    return {
        "webhook-id": str(message_id),
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Signer(secret).sign(str(message_id), now, said) for secret in secrets),
    }


def _key(secret_key: bytes) -> bytes:
    return hmac.digest(secret_key, b"doorstep/webhook-secrets/1", "sha256")
