"""The browsers that a person lets us push to: address and keys sealed under the person's key, found again by a hash.

A subscription lives as long as the session that made it: who signs out, or is signed out, gets nothing any more.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from storage import personal
from storage.db import Tx

KEEP = """
INSERT INTO app.push_subscriptions (subscription_id, person_id, family_id, endpoint_hash, sealed, created_at)
VALUES ($1, $2, (SELECT family_id FROM app.token_families WHERE family_id = $3), $4, $5, $6)
ON CONFLICT (endpoint_hash) DO UPDATE
SET person_id = EXCLUDED.person_id, family_id = EXCLUDED.family_id, sealed = EXCLUDED.sealed,
    created_at = EXCLUDED.created_at
RETURNING subscription_id
"""
KEEP_NEWEST = """
DELETE FROM app.push_subscriptions WHERE subscription_id IN (
    SELECT subscription_id FROM app.push_subscriptions WHERE person_id = $1
    ORDER BY created_at DESC, subscription_id DESC OFFSET $2)
"""
OF_PERSON = """
SELECT s.subscription_id, s.sealed FROM app.push_subscriptions s
LEFT JOIN app.token_families f USING (family_id)
WHERE s.person_id = $1 AND (s.family_id IS NULL OR (f.revoked_at IS NULL AND f.expires_at > $2))
ORDER BY s.created_at DESC
"""
REMOVE_OWN = "DELETE FROM app.push_subscriptions WHERE person_id = $1 AND subscription_id = $2 RETURNING true"
REMOVE = "DELETE FROM app.push_subscriptions WHERE subscription_id = ANY ($1)"

AT_MOST = 10  # browsers of one person; the oldest gives way


@dataclass(frozen=True, slots=True, repr=False)
class Subscription:
    """What a browser handed out: where to post, and two keys in base64url."""

    endpoint: str
    p256dh: str
    auth: str

    def document(self) -> dict[str, Any]:
        """Return it as it is sealed."""
        return {"endpoint": self.endpoint, "p256dh": self.p256dh, "auth": self.auth}


async def keep(
    tx: Tx,
    subscription_id: UUID,
    person_id: UUID,
    subscription: Subscription,
    *,
    family_id: UUID | None,
    now: datetime,
) -> UUID | None:
    """Keep a browser; returns its id (the same browser keeps its own), or None for a person who was erased."""
    key = await personal.key_of(tx, person_id)
    if key is None:
        return None
    found: UUID = await tx.fetchval(
        KEEP, subscription_id, person_id, family_id, hashlib.sha256(subscription.endpoint.encode()).digest(),
        personal.seal(key, subscription.document()), now,
    )  # fmt: skip
    await tx.execute(KEEP_NEWEST, person_id, AT_MOST)
    return found


async def of_person(tx: Tx, person_id: UUID, now: datetime) -> dict[UUID, Subscription]:
    """Return the browsers of a person whose sessions still are open, newest first."""
    key = await personal.key_of(tx, person_id)
    opened = {
        r["subscription_id"]: personal.unseal(key, r["sealed"])
        for r in await tx.fetch(OF_PERSON, person_id, now)
    }
    return {
        subscription_id: Subscription(**document)
        for subscription_id, document in opened.items()
        if document is not None
    }


async def remove_own(tx: Tx, person_id: UUID, subscription_id: UUID) -> bool:
    """Take one of a person's browsers off; False when it is none of theirs."""
    return await tx.fetchval(REMOVE_OWN, person_id, subscription_id) is not None


async def remove(tx: Tx, subscription_ids: list[UUID]) -> None:
    """Take off what is gone."""
    await tx.execute(REMOVE, subscription_ids)
