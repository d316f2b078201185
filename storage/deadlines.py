"""Deadlines are rows: set and cleared by booking events, fired once by any process."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from domain import booking_events as ev
from domain.booking import BookingEvent
from domain.context import Context
from domain.facts import Fact
from storage.db import Tx
from storage.rows import Row

DUE = """
SELECT booking_id, kind FROM app.deadlines WHERE fired_at IS NULL AND due_at <= $1 ORDER BY due_at LIMIT $2
"""
FIRE = """
UPDATE app.deadlines SET fired_at = $3 WHERE booking_id = $1 AND kind = $2 AND fired_at IS NULL AND due_at <= $3
RETURNING booking_id
"""


def rows(fact: Fact, event_id: UUID, context: Context) -> Iterator[Row]:  # noqa: ARG001 - a Writer's signature
    """Yield the deadlines that an event sets, or clears with `due_at` None."""
    if not isinstance(fact, BookingEvent):
        return
    match fact.happened:
        case ev.Requested(deadline_at=at) | ev.Reassigned(deadline_at=at) | ev.Released(deadline_at=at):
            yield _deadline(fact, "unanswered", at)
        case ev.Accepted() | ev.Declined(final=True):
            yield _deadline(fact, "unanswered", None)
        case ev.Started(expected_end_at=at) | ev.Extended(expected_end_at=at):
            yield _deadline(fact, "overrun", at)
        case ev.Completed():
            yield _deadline(fact, "overrun", None)
        case ev.Cancelled() | ev.Overridden():
            yield _deadline(fact, "unanswered", None)
            yield _deadline(fact, "overrun", None)


def _deadline(fact: BookingEvent, kind: str, due_at: datetime | None) -> Row:
    return Row("deadlines", {"booking_id": fact.booking.booking_id, "kind": kind, "due_at": due_at})


async def due(tx: Tx, now: datetime, limit: int) -> list[tuple[UUID, str]]:
    """List deadlines that have passed and were not fired."""
    return [(r["booking_id"], r["kind"]) for r in await tx.fetch(DUE, now, limit)]


async def fire(tx: Tx, booking_id: UUID, kind: str, now: datetime) -> bool:
    """Mark a deadline as fired; False when another process did, or when it was moved."""
    return await tx.fetchval(FIRE, booking_id, kind, now) is not None
