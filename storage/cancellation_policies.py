"""Versions of what cancelling costs: written once, never edited; a booking's request names the one that judges it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from domain.cancellation import CancellationPolicy, PolicyWritten, policy_of, terms
from domain.context import Context
from domain.facts import Fact
from storage.db import Tx
from storage.rows import Row

_COLUMNS = "p.version, p.area_id, p.jurisdiction, p.valid_from, p.terms, p.made_at"
IN_FORCE = f"""
SELECT {_COLUMNS} FROM app.cancellation_policies p
WHERE p.version = app.cancellation_policy_in_force($1, $2, $3)
"""
# A visit that was asked for before policies were data is judged by the first version, which held then.
OF_BOOKING = """
SELECT p.version, p.terms FROM app.booking_events e
JOIN app.cancellation_policies p ON p.version = coalesce((e.data ->> 'cancellation_version')::integer, 1)
WHERE e.booking_id = $1 AND e.seq = 1
"""
LIST = f"""
SELECT {_COLUMNS} FROM app.cancellation_policies p
WHERE ($1::integer IS NULL OR p.version < $1) ORDER BY p.version DESC LIMIT $2
"""
LOCK = "SELECT pg_advisory_xact_lock(7266183261)"
NEXT_VERSION = "SELECT max(version) + 1 FROM app.cancellation_policies"


@dataclass(frozen=True, slots=True)
class Stored:
    """One version with its scope; who made it stands in the audit."""

    policy: CancellationPolicy
    area_id: UUID | None
    jurisdiction: str | None
    valid_from: datetime
    made_at: datetime


def rows(fact: Fact, _event_id: UUID, context: Context) -> Iterator[Row]:
    """Yield the row of a new version."""
    if isinstance(fact, PolicyWritten):
        yield Row("cancellation_policies", {
            "version": fact.policy.version, "area_id": fact.area_id, "jurisdiction": fact.jurisdiction,
            "valid_from": fact.valid_from, "terms": terms(fact.policy), "made_at": context.now,
            "made_by": context.actor.person_id,
        })  # fmt: skip


def _stored(record: asyncpg.Record) -> Stored:
    return Stored(
        policy_of(record["version"], record["terms"]), record["area_id"], record["jurisdiction"],
        record["valid_from"], record["made_at"],
    )  # fmt: skip


async def in_force(tx: Tx, area_id: UUID | None, jurisdiction: str | None, at: datetime) -> Stored:
    """Return the version that a visit asked for at that moment is judged by; with no area, the one for everywhere."""
    record = await tx.fetchrow(IN_FORCE, area_id, jurisdiction, at)
    if record is None:
        raise LookupError("the first version holds everywhere")
    return _stored(record)


async def of_booking(tx: Tx, booking_id: UUID) -> CancellationPolicy:
    """Return the version that was in force when the visit was asked for."""
    record = await tx.fetchrow(OF_BOOKING, booking_id)
    if record is None:
        raise LookupError("every booking began with its request")
    return policy_of(record["version"], record["terms"])


async def list_(tx: Tx, before: int | None, limit: int) -> list[Stored]:
    """List versions, newest first, from behind `before`."""
    return [_stored(record) for record in await tx.fetch(LIST, before, limit)]


async def next_version(tx: Tx) -> int:
    """Return the next version's number; nobody else gets it before this transaction ends."""
    await tx.execute(LOCK)
    version: int = await tx.fetchval(NEXT_VERSION)
    return version
