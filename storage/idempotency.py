"""Idempotency keys: claimed before the work, answered in the same commit as the work."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from domain.context import Claim, Context
from domain.facts import Fact, Replied
from storage.db import Tx
from storage.rows import Row

CLAIM = """
INSERT INTO app.idempotency_keys AS k (principal, route, key, fingerprint, locked_until, created_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (principal, route, key) DO UPDATE
    SET locked_until = EXCLUDED.locked_until,
        fingerprint = EXCLUDED.fingerprint,
        created_at = CASE WHEN k.created_at < $7 THEN EXCLUDED.created_at ELSE k.created_at END,
        status = CASE WHEN k.created_at < $7 THEN NULL ELSE k.status END,
        body = CASE WHEN k.created_at < $7 THEN NULL ELSE k.body END,
        booking_id = CASE WHEN k.created_at < $7 THEN NULL ELSE k.booking_id END
    WHERE k.created_at < $7
       OR (k.status IS NULL AND k.locked_until < $6 AND k.fingerprint = EXCLUDED.fingerprint)
RETURNING booking_id
"""
SEEN = """
SELECT fingerprint, status, body, booking_id FROM app.idempotency_keys WHERE principal = $1 AND route = $2 AND key = $3
"""
FORGET = (
    "DELETE FROM app.idempotency_keys WHERE principal = $1 AND route = $2 AND key = $3 AND status IS NULL"
)
SWEEP = "DELETE FROM app.idempotency_keys WHERE created_at < $1"

KEPT_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Claimed(Fact):
    """The key of this request is held until then, for the booking that it is making."""

    booking_id: UUID
    until: datetime


def rows(fact: Fact, event_id: UUID, context: Context) -> Iterator[Row]:  # noqa: ARG001 - a Writer's signature
    """Yield the claim of a key, or the answer of this request, with the claim where it was not taken before."""
    c = context.claim
    if c is None:
        return
    if isinstance(fact, Claimed):
        yield Row("claims", {
            "principal": c.principal, "route": c.route, "key": c.key, "fingerprint": c.fingerprint,
            "locked_until": fact.until, "booking_id": fact.booking_id, "at": context.now,
        })  # fmt: skip
    elif isinstance(fact, Replied):
        yield Row("replies", {
            "principal": c.principal, "route": c.route, "key": c.key, "fingerprint": c.fingerprint,
            "status": fact.status, "body": fact.sealed, "booking_id": fact.booking_id, "at": context.now,
        })  # fmt: skip


async def claim(tx: Tx, c: Claim, now: datetime, lease_s: float) -> tuple[bool, UUID | None]:
    """Claim a key: (True, the booking that a dead predecessor began or None), or (False, None) when it is held."""
    record = await tx.fetchrow(
        CLAIM,
        c.principal,
        c.route,
        c.key,
        c.fingerprint,
        now + timedelta(seconds=lease_s),
        now,
        now - KEPT_FOR,
    )
    return (True, record["booking_id"]) if record else (False, None)


async def seen(tx: Tx, c: Claim) -> asyncpg.Record | None:
    """Read what a key stands for."""
    return await tx.fetchrow(SEEN, c.principal, c.route, c.key)


async def forget(tx: Tx, c: Claim) -> None:
    """Let a claim go that got no answer to keep (5xx): the next try starts anew."""
    await tx.execute(FORGET, c.principal, c.route, c.key)


async def sweep(tx: Tx, before: datetime) -> str:
    """Delete keys older than their promise."""
    return await tx.execute(SWEEP, before)
