"""How far each ordered subscriber of the outbox is: one row each, worked on by one process at a time.

The lock is advisory, so that looking costs no transaction id; `advance` compares before it sets, so that even without
the lock a batch could not be taken twice. After a restore the backlog is read first: see `app.renew_epoch`.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from storage.db import Tx
from storage.outbox import READ, START, Place

LOCKS = 726618322  # the class of our advisory locks; the other half is the subscriber's name
CLAIM = "SELECT pg_try_advisory_xact_lock($1, hashtext($2)) AS claimed, app.renew_epoch() AS epoch"
HOLD = "SELECT pg_advisory_xact_lock($1, hashtext($2))"
FIND = """
SELECT xid::text::bigint AS xid, outbox_id, failing, attempts, next_try_at,
       EXISTS (SELECT 1 FROM app.subscription_backlog b WHERE b.subscriber = s.subscriber) AS behind
FROM app.subscriptions s WHERE subscriber = $1
"""
BEGIN = """
INSERT INTO app.subscriptions (subscriber, xid, outbox_id, highest, epoch)
VALUES ($1, $2::bigint::text::xid8, $3, $4, $5) ON CONFLICT (subscriber) DO NOTHING
"""
HIGHEST = "SELECT coalesce(max(outbox_id), 0) FROM app.outbox WHERE (xid, outbox_id) <= ($1::bigint::text::xid8, $2)"
BACKLOG = (
    READ.replace("FROM app.outbox o", "FROM app.subscription_backlog b JOIN app.outbox o USING (outbox_id)")
    + "WHERE b.subscriber = $1 ORDER BY b.ordinal LIMIT $2"
)
ADVANCE = """
UPDATE app.subscriptions
SET xid = $4::bigint::text::xid8, outbox_id = $5, highest = greatest(highest, $6), updated_at = now(),
    failing = NULL, attempts = 0, next_try_at = NULL, last_error = NULL
WHERE subscriber = $1 AND xid = $2::bigint::text::xid8 AND outbox_id = $3
"""
CAUGHT_UP = "DELETE FROM app.subscription_backlog WHERE subscriber = $1 AND outbox_id = ANY ($2::bigint[])"
RETRY = """
UPDATE app.subscriptions SET failing = $2, attempts = $3, next_try_at = $4, last_error = $5, updated_at = now()
WHERE subscriber = $1
"""


class Standing(NamedTuple):
    """Where a subscriber is, which event it is stuck at, and whether a backlog from a former life comes first."""

    place: Place
    failing: UUID | None
    attempts: int
    next_try_at: datetime | None
    behind: bool


async def claim(tx: Tx, subscriber: str) -> str | None:
    """Become the one process that works on this subscriber until the transaction ends; returns the epoch."""
    record = await tx.fetchrow(CLAIM, LOCKS, subscriber)
    return record["epoch"] if record is not None and record["claimed"] else None


async def hold(tx: Tx, subscriber: str) -> None:
    """Wait until nobody works on this subscriber, and keep others from it until the transaction ends."""
    await tx.execute(HOLD, LOCKS, subscriber)


async def find(tx: Tx, subscriber: str) -> Standing | None:
    """Return where a subscriber is; None for one that was never seen."""
    r = await tx.fetchrow(FIND, subscriber)
    if r is None:
        return None
    return Standing(
        Place(r["xid"], r["outbox_id"]), r["failing"], r["attempts"], r["next_try_at"], r["behind"]
    )


async def begin(tx: Tx, subscriber: str, place: Place, epoch: str) -> None:
    """Enter a new subscriber that has nothing to do with what is at or before `place`."""
    highest = 0 if place == START else await tx.fetchval(HIGHEST, place.xid, place.outbox_id)
    await tx.execute(BEGIN, subscriber, place.xid, place.outbox_id, highest, epoch)


async def backlog(tx: Tx, subscriber: str, limit: int) -> list[asyncpg.Record]:
    """Read what was left over from a former life of the database, in its order."""
    return await tx.fetch(BACKLOG, subscriber, limit)


async def advance(tx: Tx, subscriber: str, before: Place, after: Place, highest: int) -> bool:
    """Move the cursor and forget the retries; False when somebody else moved it."""
    moved = await tx.execute(ADVANCE, subscriber, *before, *after, highest)
    return moved != "UPDATE 0"


async def caught_up(tx: Tx, subscriber: str, outbox_ids: list[int]) -> None:
    """Take rows off the backlog."""
    await tx.execute(CAUGHT_UP, subscriber, outbox_ids)


async def retry(
    tx: Tx, subscriber: str, event_id: UUID, *, attempts: int, next_try_at: datetime, error: str
) -> None:
    """Note that an event failed, and when it is tried again."""
    await tx.execute(RETRY, subscriber, event_id, attempts, next_try_at, error)
