"""Erasing a person: what holds them, what is sealed for others and tells of them, and the one row that ends them.

`app.write_erasures` does it all in the journal's statement: key, personal fields, sessions, links, raw fixes.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from domain.context import Context, Role
from domain.erasure import PersonErased, Standing
from domain.facts import Fact
from storage import personal
from storage.db import Tx
from storage.rows import Row

LOCK_TECHNICIAN = "SELECT FROM app.technicians WHERE technician_id = $1 FOR UPDATE"
LOCK_FOUNDERS = """
SELECT person_id FROM app.people WHERE role = 'founder' AND erased_at IS NULL ORDER BY person_id FOR UPDATE
"""
LOCK = "SELECT role FROM app.people WHERE person_id = $1 AND erased_at IS NULL FOR UPDATE"
STANDING = """
SELECT (SELECT count(*) FROM app.bookings
        WHERE (customer_id = $1 OR technician_id = $1)
          AND state IN ('requested', 'accepted', 'en_route', 'arrived', 'in_service'))
     + (SELECT count(*) FROM app.reservations WHERE technician_id = $1 AND active AND held_until > now())
           AS open_bookings,
       (SELECT count(DISTINCT b.booking_id) FROM app.bookings b JOIN app.payment_intents i USING (booking_id)
        WHERE b.customer_id = $1 AND i.kind IN ('capture', 'charge') AND i.purpose <> 'tip'
          AND i.status <> 'succeeded' AND b.payment_status IN ('pending', 'verified', 'authorized', 'failed'))
           AS unpaid,
       (SELECT count(*) FROM app.people WHERE role = 'founder' AND erased_at IS NULL AND person_id <> $1)
           AS other_founders
"""
FAMILIES = "SELECT family_id FROM app.token_families WHERE person_id = $1 AND expires_at > now()"
SESSIONS = "SELECT session_id FROM app.gps_sessions WHERE technician_id = $1 AND opened_at > now() - interval '3 days'"
KEPT_FOR_OTHERS = """
SELECT i.principal, i.route, i.key, i.body, k.key AS under
FROM app.bookings b JOIN app.idempotency_keys i USING (booking_id)
JOIN app.person_keys k ON k.person_id::text = i.principal
WHERE (b.customer_id = $1 OR $1 = ANY (b.offered)) AND i.principal <> $1::text AND i.body IS NOT NULL
FOR UPDATE OF i
"""
KEEP_INSTEAD = "UPDATE app.idempotency_keys SET body = $4 WHERE principal = $1 AND route = $2 AND key = $3"
FORGET_FIXES = "SELECT app.forget_fixes($1)"
IS_FRESH = """
SELECT created_at > $3::timestamptz FROM app.token_families
WHERE family_id = $1 AND person_id = $2 AND revoked_at IS NULL
"""


class Kept(NamedTuple):
    """An answer that is kept for somebody else's Idempotency-Key, opened."""

    principal: str
    route: str
    key: str
    body: Any
    under: bytes


def rows(fact: Fact, event_id: UUID, context: Context) -> Iterator[Row]:  # noqa: ARG001 - a Writer's signature
    """Yield the end of a person."""
    if isinstance(fact, PersonErased):
        yield Row("erasures", {
            "person_id": fact.person_id, "display_name": fact.display_name, "erased_at": context.now,
        })  # fmt: skip


async def lock(tx: Tx, person_id: UUID) -> Role | None:
    """Lock a person, as a technician first, and return the role; None when there is none any more.

    Founders are locked together, so that the last two cannot leave at the same moment.
    """
    await tx.execute(LOCK_TECHNICIAN, person_id)
    role = await tx.fetchval(LOCK, person_id)
    return None if role is None else Role(role)


async def lock_founders(tx: Tx) -> None:
    """Hold the list of founders until the transaction ends; call it before `lock`."""
    await tx.execute(LOCK_FOUNDERS)


async def standing(tx: Tx, person_id: UUID) -> Standing:
    """Read what still holds a person who is locked."""
    records = await tx.fetch(STANDING, person_id)
    return Standing(**records[0])


async def families(tx: Tx, person_id: UUID) -> list[UUID]:
    """List the token families that may still have a live token."""
    return [r["family_id"] for r in await tx.fetch(FAMILIES, person_id)]


async def sessions(tx: Tx, person_id: UUID) -> list[UUID]:
    """List the GPS sessions whose positions may still be in hot state."""
    return [r["session_id"] for r in await tx.fetch(SESSIONS, person_id)]


async def is_fresh(tx: Tx, family_id: UUID | None, person_id: UUID, since: datetime) -> bool:
    """Tell whether the family of a token began, with a password, after `since`."""
    return await tx.fetchval(IS_FRESH, family_id, person_id, since) is True


async def kept_for_others(tx: Tx, person_id: UUID) -> Sequence[Kept]:
    """Open the answers that others' keys hold about visits of this person, and lock them: at most a day's."""
    return [_opened(record) for record in await tx.fetch(KEPT_FOR_OTHERS, person_id)]


def _opened(record: asyncpg.Record) -> Kept:
    body = personal.unseal(record["under"], record["body"])
    return Kept(record["principal"], record["route"], record["key"], body, record["under"])


async def keep_instead(tx: Tx, kept: Sequence[Kept]) -> None:
    """Seal these answers anew, as they are now."""
    await tx.executemany(
        KEEP_INSTEAD, [(k.principal, k.route, k.key, personal.seal(k.under, k.body)) for k in kept]
    )


async def forget_fixes(tx: Tx, person_id: UUID) -> int:
    """Delete what is stored of the ways of somebody who was erased; returns how many fixes."""
    gone: int = await tx.fetchval(FORGET_FIXES, person_id)
    return gone
