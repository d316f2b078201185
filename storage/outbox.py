"""What happened, in an order that no commit can disturb: written beside the truth, tailed by every node.

Readers go by the xid horizon: a row is shown only when every transaction that could still come before it has ended,
so that a cursor `(xid, outbox_id)` never skips one. The horizon's age is a metric: one forgotten transaction holds it.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from domain.booking import BookingEvent
from domain.context import Context
from domain.facts import Fact
from storage.db import Tx
from storage.rows import Row

READ = """
SELECT o.xid::text::bigint AS xid, o.outbox_id, o.event_id, o.topic, o.booking_id, o.area_id, o.audience, o.removed_id,
       o.correlation_id, o.at, e.seq, coalesce(e.data, o.payload, '{}') AS data, e.actor_id,
       coalesce(e.actor_role, 'system') AS actor_role, e.causation_id, n.text AS note, n.author_id AS note_author_id
FROM app.outbox o LEFT JOIN app.booking_events e USING (event_id) LEFT JOIN app.booking_notes n USING (event_id)
"""
READ_AFTER = f"""{READ}
WHERE (o.xid, o.outbox_id) > ($1::bigint::text::xid8, $2) AND o.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY o.xid, o.outbox_id LIMIT $3
"""
READ_ONE = f"{READ} WHERE o.event_id = $1 ORDER BY o.outbox_id LIMIT 1"
OF_BOOKINGS = "AND e.event_id IS NOT NULL"
BOOKINGS_AFTER = READ_AFTER.replace("ORDER BY", f"{OF_BOOKINGS} ORDER BY")
CONCERNS = "AND (o.audience && $4::uuid[] OR o.area_id = ANY ($5::uuid[]))"
BOOKINGS_AFTER_FOR = BOOKINGS_AFTER.replace("ORDER BY", f"{CONCERNS} ORDER BY")
HEAD = """
SELECT xid::text::bigint AS xid, outbox_id FROM app.outbox
WHERE xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY xid DESC, outbox_id DESC LIMIT 1
"""
FLOOR = """
SELECT f.xid::text::bigint AS xid, f.outbox_id FROM app.outbox_floor f JOIN app.epoch e ON e.epoch = f.epoch
"""
FORGOTTEN_UNTIL = "SELECT at FROM app.outbox_floor"
EPOCH = "SELECT app.renew_epoch()"


HORIZON = """
SELECT pg_snapshot_xmin(s)::text::bigint AS oldest, pg_snapshot_xmax(s)::text::bigint AS next,
       EXISTS (SELECT FROM app.outbox WHERE (xid, outbox_id) > ($1::bigint::text::xid8, $2)) AS waiting
FROM pg_current_snapshot() s
"""


class Horizon(NamedTuple):
    """The oldest transaction that is still open, and the next one: rows of `oldest` and later are not shown yet.

    `waiting`: there are committed rows behind the reader's place, held back or not. No other NOTIFY will come for
    them, so whoever read none of them has to look again soon.
    """

    oldest: int
    next: int
    waiting: bool


class Place(NamedTuple):
    """A place in the outbox: everything at or before it was read."""

    xid: int
    outbox_id: int


START = Place(0, 0)


def rows(fact: Fact, event_id: UUID, context: Context) -> Iterator[Row]:
    """Yield an outbox row for each booking event: its audience are its people and the one taken off."""
    if isinstance(fact, BookingEvent):
        b = fact.booking
        audience = [p for p in (b.customer_id, b.technician_id, fact.removed_id) if p is not None]
        yield Row("outbox", {
            "event_id": event_id, "topic": fact.happened.type, "booking_id": b.booking_id, "area_id": b.area_id,
            "audience": audience, "removed_id": fact.removed_id, "correlation_id": context.correlation_id,
            "at": context.now,
        })  # fmt: skip


async def read_after(tx: Tx, place: Place, limit: int) -> list[asyncpg.Record]:
    """Read the next rows behind `place`, in order, up to the horizon."""
    return await tx.fetch(READ_AFTER, place.xid, place.outbox_id, limit)


async def bookings_after(tx: Tx, place: Place, limit: int) -> list[asyncpg.Record]:
    """Read the next booking events behind `place`, in order, up to the horizon."""
    return await tx.fetch(BOOKINGS_AFTER, place.xid, place.outbox_id, limit)


async def bookings_after_for(
    tx: Tx, place: Place, limit: int, person_ids: list[UUID], area_ids: list[UUID]
) -> list[asyncpg.Record]:
    """Read the next booking events behind `place` that concern these people or areas, in order, up to the horizon."""
    return await tx.fetch(BOOKINGS_AFTER_FOR, place.xid, place.outbox_id, limit, person_ids, area_ids)


async def one(tx: Tx, event_id: UUID) -> asyncpg.Record | None:
    """Read the row of one event."""
    return await tx.fetchrow(READ_ONE, event_id)


async def head(tx: Tx) -> Place:
    """Return the newest place below the horizon, or the start of an empty outbox."""
    record = await tx.fetchrow(HEAD)
    return Place(record["xid"], record["outbox_id"]) if record else START


async def floor(tx: Tx) -> Place:
    """Return the newest place that was forgotten in this life: cursors before it have expired."""
    record = await tx.fetchrow(FLOOR)
    return Place(record["xid"], record["outbox_id"]) if record else START


async def forgotten_until(tx: Tx) -> datetime | None:
    """Return the time of the youngest row that was forgotten; None when every one that ever was is kept."""
    at: datetime | None = await tx.fetchval(FORGOTTEN_UNTIL)
    return at


async def epoch(tx: Tx) -> str:
    """Return the name of this life of the database, renewed after a restore elsewhere; cursors carry it."""
    value: str = await tx.fetchval(EPOCH)
    return value


async def horizon(tx: Tx, place: Place) -> Horizon:
    """Return how far rows may be shown, and whether there are any behind `place`."""
    record = await tx.fetchrow(HORIZON, *place)
    if record is None:
        raise RuntimeError("a snapshot is always one row")
    return Horizon(record["oldest"], record["next"], record["waiting"])


async def next_xid(tx: Tx) -> int:
    """Return the transaction id that is given out next: no cursor can lie beyond it."""
    return (await horizon(tx, START)).next
