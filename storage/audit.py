"""Decisions, for ever: written with the work, chained a moment later, and never changed.

`unsealed` lists what waits for the chain, in commit-safe order: a row is shown once every transaction that could still
come before it has ended. Rows of a former life of the database (restored into a new cluster, whose transaction ids
start anew) lie beyond every running one, and are shown at once.
"""

from collections.abc import Iterator, Sequence
from uuid import UUID

import asyncpg

from domain.context import Context
from domain.facts import Decided, Fact
from storage.db import Tx
from storage.rows import Row

SEALER_LOCK = 0x617564697473  # "audits" in ASCII

EVENT = """e.audit_id, e.at, e.actor_id, e.actor_role, e.action, e.subject_kind, e.subject_id, e.reason,
    e.data::text AS data, e.correlation_id"""
TRY_LOCK = "SELECT pg_try_advisory_xact_lock($1)"
HEAD = "SELECT seal, hash FROM audit.seals ORDER BY seal DESC LIMIT 1"
NEWEST = """
SELECT s.seal, s.hash, e.at FROM audit.seals s JOIN audit.events e USING (audit_id) ORDER BY s.seal DESC LIMIT 1
"""
UNSEALED = f"""
SELECT {EVENT} FROM audit.unsealed u JOIN audit.events e USING (audit_id)
WHERE u.xid < pg_snapshot_xmin(pg_current_snapshot()) OR u.xid >= pg_snapshot_xmax(pg_current_snapshot())
ORDER BY u.xid, u.audit_id LIMIT $1
"""
SEAL = """
INSERT INTO audit.seals (seal, audit_id, prev_hash, hash)
SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::bytea[], $4::bytea[])
"""
SEALED = "DELETE FROM audit.unsealed WHERE audit_id = ANY ($1)"
CHAIN = f"""
SELECT s.seal, s.audit_id AS sealed_id, s.prev_hash, s.hash, {EVENT}
FROM audit.seals s LEFT JOIN audit.events e USING (audit_id)
WHERE s.seal > $1 ORDER BY s.seal LIMIT $2
"""
COUNTS = """
SELECT (SELECT count(*) FROM audit.events) AS events, (SELECT count(*) FROM audit.unsealed) AS unsealed
"""
LOOSE = """
SELECT e.audit_id FROM audit.events e
WHERE NOT EXISTS (SELECT FROM audit.seals s WHERE s.audit_id = e.audit_id)
  AND NOT EXISTS (SELECT FROM audit.unsealed u WHERE u.audit_id = e.audit_id)
ORDER BY e.audit_id LIMIT 1
"""
LIST = """
SELECT e.audit_id, e.at, e.actor_id, e.actor_role, e.action, e.subject_kind, e.subject_id, e.reason, e.data,
       e.correlation_id, s.seal
FROM audit.events e LEFT JOIN audit.seals s USING (audit_id)
WHERE ($1::uuid IS NULL OR e.actor_id = $1) AND ($2::text IS NULL OR e.action = $2)
  AND ($3::text IS NULL OR e.subject_id = $3) AND ($4::text IS NULL OR e.subject_kind = $4)
  AND ($5::boolean IS NULL OR (e.action LIKE 'finance.%') = $5) AND ($6::uuid IS NULL OR e.audit_id < $6)
ORDER BY e.audit_id DESC LIMIT $7
"""


def rows(fact: Fact, event_id: UUID, context: Context) -> Iterator[Row]:
    """Yield the audit row of a decision: who decided what about which subject, and why."""
    if isinstance(fact, Decided):
        yield Row("audit_events", {
            "audit_id": event_id, "at": context.now, "actor_id": context.actor.person_id,
            "actor_role": context.actor.role, "action": fact.action, "subject_kind": fact.subject_kind,
            "subject_id": fact.subject_id, "reason": fact.reason, "data": dict(fact.data),
            "correlation_id": context.correlation_id,
        })  # fmt: skip


async def become_sealer(tx: Tx) -> bool:
    """Be the one writer of the chain until this transaction ends; False while another process is."""
    return await tx.fetchval(TRY_LOCK, SEALER_LOCK) is True


async def head(tx: Tx) -> tuple[int, bytes] | None:
    """Return the newest seal's number and hash, None before the first."""
    record = await tx.fetchrow(HEAD)
    return (record["seal"], record["hash"]) if record else None


async def newest(tx: Tx) -> asyncpg.Record | None:
    """Return the newest seal: its number and hash, and when its decision was made."""
    return await tx.fetchrow(NEWEST)


async def unsealed(tx: Tx, limit: int) -> list[asyncpg.Record]:
    """List events that wait for the chain, in order; `data` comes as text."""
    return await tx.fetch(UNSEALED, limit)


async def seal(tx: Tx, seals: Sequence[tuple[int, UUID, bytes, bytes]]) -> None:
    """Add seals (number, event, previous hash, hash), and take their events off the list."""
    numbers, ids, previous, hashes = zip(*seals, strict=True)
    await tx.execute(SEAL, numbers, ids, previous, hashes)
    await tx.execute(SEALED, ids)


async def chain(tx: Tx, after: int, limit: int) -> list[asyncpg.Record]:
    """Read the next seals with their events, a missing event as nulls."""
    return await tx.fetch(CHAIN, after, limit)


async def counts(tx: Tx) -> tuple[int, int]:
    """Count all events, and those that wait for the chain."""
    records = await tx.fetch(COUNTS)
    return records[0]["events"], records[0]["unsealed"]


async def loose(tx: Tx) -> UUID | None:
    """Return an event that is neither sealed nor waiting: somebody slipped it in."""
    found: UUID | None = await tx.fetchval(LOOSE)
    return found


async def list_(
    tx: Tx,
    *,
    actor: UUID | None = None,
    action: str | None = None,
    subject_id: str | None = None,
    subject_kind: str | None = None,
    money: bool | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[asyncpg.Record]:
    """List decisions, newest first. `money` True: finance's only; False: all but those."""
    return await tx.fetch(LIST, actor, action, subject_id, subject_kind, money, before, limit)
