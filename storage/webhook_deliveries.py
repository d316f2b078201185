"""What is on its way to webhooks, and how each attempt went; the record holds ids and codes, no body and no answer."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from domain.context import Context
from domain.facts import Fact
from domain.webhooks import DeliveryWanted, Outcome
from storage.db import Tx
from storage.outbox import Place
from storage.rows import Row

COLUMNS = """delivery_id, webhook_id, event_id, type, booking_id, correlation_id, replay, created_at, state, attempts,
    next_try_at, settled_at"""
GET = f"SELECT {COLUMNS} FROM app.webhook_deliveries WHERE delivery_id = $1"
GET_LOCKED = f"{GET} FOR UPDATE"
LIST = f"""
SELECT {COLUMNS} FROM app.webhook_deliveries
WHERE webhook_id = $1 AND ($2::text IS NULL OR state = $2) AND ($3::uuid IS NULL OR delivery_id < $3)
ORDER BY delivery_id DESC LIMIT $4
"""
ATTEMPTS = """
SELECT delivery_id, at, took_ms, status, error FROM app.webhook_attempts
WHERE delivery_id = ANY ($1) ORDER BY attempt_id
"""
WAITING = """
SELECT count(*) FROM (SELECT FROM app.webhook_deliveries WHERE webhook_id = $1 AND state = 'pending' LIMIT $2) AS w
"""
ATTEMPTED = (
    "INSERT INTO app.webhook_attempts (delivery_id, at, took_ms, status, error) VALUES ($1, $2, $3, $4, $5)"
)
SETTLE = """
UPDATE app.webhook_deliveries SET state = $2, attempts = $3, next_try_at = $4, settled_at = $5 WHERE delivery_id = $1
"""
DROP = "UPDATE app.webhook_deliveries SET state = 'dropped', next_try_at = NULL, settled_at = $2"
DROP_ONE = f"{DROP} WHERE delivery_id = $1 AND state = 'pending'"
DROP_ALL = f"{DROP} WHERE webhook_id = $1 AND state = 'pending'"
GIVE_UP = """
UPDATE app.webhook_deliveries SET state = 'dead', next_try_at = NULL, settled_at = $2
WHERE delivery_id = $1 AND state = 'pending'
"""
EVENT = """
SELECT e.event_id, e.booking_id, e.seq, e.type, e.at, e.actor_role, e.correlation_id, e.data,
       o.xid::text::bigint AS xid, o.outbox_id
FROM app.booking_events e LEFT JOIN app.outbox o USING (event_id) WHERE e.event_id = $1
"""
AFTER = """
SELECT o.xid::text::bigint AS xid, o.outbox_id, o.event_id, o.topic, o.booking_id, o.correlation_id
FROM app.outbox o
WHERE (o.xid, o.outbox_id) > ($1::bigint::text::xid8, $2) AND o.xid < pg_snapshot_xmin(pg_current_snapshot())
  AND o.topic = ANY ($3) AND ($4::timestamptz IS NULL OR o.at >= $4)
ORDER BY o.xid, o.outbox_id LIMIT $5
"""


class Delivery(NamedTuple):
    """One event on its way to one webhook."""

    delivery_id: UUID
    webhook_id: UUID
    event_id: UUID
    type: str
    booking_id: UUID | None
    correlation_id: str
    replay: bool
    created_at: datetime
    state: str
    attempts: int
    next_try_at: datetime | None
    settled_at: datetime | None


def rows(fact: Fact, event_id: UUID, context: Context) -> Iterator[Row]:  # noqa: ARG001 - a Writer's signature
    """Yield a delivery; one of an event that the webhook has already is not written again, unless it is a replay."""
    if isinstance(fact, DeliveryWanted):
        yield Row("webhook_deliveries", {
            "delivery_id": fact.delivery_id, "webhook_id": fact.webhook_id, "event_id": fact.event_id,
            "type": fact.type, "booking_id": fact.booking_id, "correlation_id": context.correlation_id,
            "replay": fact.replay, "created_at": context.now,
        })  # fmt: skip


async def get(tx: Tx, delivery_id: UUID, *, lock: bool = False) -> Delivery | None:
    """Read one delivery."""
    record = await tx.fetchrow(GET_LOCKED if lock else GET, delivery_id)
    return Delivery(*record) if record else None


async def list_(
    tx: Tx, webhook_id: UUID, state: str | None, before: UUID | None, limit: int
) -> list[tuple[Delivery, list[dict[str, Any]]]]:
    """List deliveries with their attempts, newest first."""
    found = [Delivery(*record) for record in await tx.fetch(LIST, webhook_id, state, before, limit)]
    attempts: dict[UUID, list[dict[str, Any]]] = {one.delivery_id: [] for one in found}
    for record in await tx.fetch(ATTEMPTS, list(attempts)):
        row = dict(record)
        attempts[row.pop("delivery_id")].append(row)
    return [(one, attempts[one.delivery_id]) for one in found]


async def waiting(tx: Tx, webhook_id: UUID, at_most: int) -> int:
    """Count what waits for a webhook, up to a bound."""
    count: int = await tx.fetchval(WAITING, webhook_id, at_most)
    return count


async def attempted(tx: Tx, delivery_id: UUID, at: datetime, took_ms: int, outcome: Outcome) -> None:
    """Write an attempt down."""
    await tx.execute(ATTEMPTED, delivery_id, at, took_ms, outcome.status, outcome.error)


async def settle(
    tx: Tx,
    delivery_id: UUID,
    state: str,
    attempts: int,
    *,
    next_try_at: datetime | None,
    settled_at: datetime | None,
) -> None:
    """Say where a delivery stands after an attempt."""
    await tx.execute(SETTLE, delivery_id, state, attempts, next_try_at, settled_at)


async def drop(tx: Tx, delivery_id: UUID, now: datetime) -> None:
    """Send it no more: its webhook does not listen."""
    await tx.execute(DROP_ONE, delivery_id, now)


async def drop_all(tx: Tx, webhook_id: UUID, now: datetime) -> None:
    """Send nothing more of what waits for a webhook."""
    await tx.execute(DROP_ALL, webhook_id, now)


async def give_up(tx: Tx, delivery_id: UUID, now: datetime) -> None:
    """Call a delivery dead that is still pending."""
    await tx.execute(GIVE_UP, delivery_id, now)


async def event(tx: Tx, event_id: UUID) -> asyncpg.Record | None:
    """Read a booking event, with its place in the outbox while that is kept."""
    return await tx.fetchrow(EVENT, event_id)


async def after(
    tx: Tx, place: Place, topics: Sequence[str], since: datetime | None, limit: int
) -> list[asyncpg.Record]:
    """Read events of these types behind a place, not older than `since`, in order, up to the horizon."""
    return await tx.fetch(AFTER, place.xid, place.outbox_id, list(topics), since, limit)
