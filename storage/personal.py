"""Personal text under a key for each person: AES-256-GCM, so that destroying the key erases every copy.

A sealed box is `nonce (12 bytes) || ciphertext`. What cannot be opened any more answers None, never garbage.
"""

import os
from typing import Any
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.db import Tx

CREATE_KEY = "INSERT INTO app.person_keys (person_id, key) VALUES ($1, $2)"
KEY_OF = "SELECT key FROM app.person_keys WHERE person_id = $1"
KEYS_OF = "SELECT person_id, key FROM app.person_keys WHERE person_id = ANY ($1)"

NONCE_BYTES = 12


class ErasedError(Exception):
    """Somebody without a key, so erased, wants something personal kept: their token outlived them for a moment."""


def needed(key: bytes | None) -> bytes:
    """Return a key that must be there to keep anything. Raises ErasedError: nobody gets a second one."""
    if key is None:
        raise ErasedError
    return key


async def create_key(tx: Tx, person_id: UUID) -> bytes:
    """Draw and keep a person's key."""
    key = AESGCM.generate_key(bit_length=256)
    await tx.execute(CREATE_KEY, person_id, key)
    return key


async def key_of(tx: Tx, person_id: UUID) -> bytes | None:
    """Return a person's key, or None once it was destroyed."""
    key: bytes | None = await tx.fetchval(KEY_OF, person_id)
    return key


async def keys_of(tx: Tx, person_ids: list[UUID]) -> dict[UUID, bytes]:
    """Return the keys that still exist."""
    return {record["person_id"]: record["key"] for record in await tx.fetch(KEYS_OF, person_ids)}


def seal(key: bytes, value: Any) -> bytes:
    """Encrypt a JSON value under a person's key."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, orjson.dumps(value), None)


def unseal(key: bytes | None, box: bytes | None) -> Any | None:
    """Decrypt what `seal` made; None when the key is gone or the box is not of this key."""
    if key is None or box is None:
        return None
    try:
        return orjson.loads(AESGCM(key).decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], None))
    except InvalidTag:
        return None
