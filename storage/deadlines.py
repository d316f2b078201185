"""Deadlines are rows: set and cleared by booking events, fired once by any process.

Kinds: `unanswered` (the request expires), `no_show` (the waiting time at the door), `overrun` (the expected end);
and, set by the house's numbers, `unnoticed` and `not_there`, which only alert. A row that fired stays to say so.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain import booking_events as ev
from domain.booking import BookingEvent
from domain.context import Context
from domain.facts import Fact
from storage.db import Tx
from storage.rows import Row

KINDS = ("unanswered", "unnoticed", "not_there", "no_show", "overrun")
DUE = """
SELECT booking_id, kind FROM app.deadlines
WHERE fired_at IS NULL AND due_at <= $1 AND kind = ANY ($3) ORDER BY due_at LIMIT $2
"""
CLAIM = """
UPDATE app.deadlines SET fired_at = $3 WHERE booking_id = $1 AND kind = $2 AND fired_at IS NULL AND due_at <= $3
RETURNING booking_id
"""

PUT_OFF = """
UPDATE app.deadlines SET due_at = $4 WHERE booking_id = $1 AND kind = $2 AND fired_at IS NULL AND due_at <= $3
"""


@dataclass(frozen=True, slots=True)
class DeadlineSet(Fact):
    """Something is to be looked at then, unless the booking moves on."""

    booking_id: UUID
    kind: str
    due_at: datetime


def rows(fact: Fact, event_id: UUID, context: Context) -> Iterator[Row]:  # noqa: ARG001 - a Writer's signature
    """Yield the deadlines that a fact sets, or clears with `due_at` None."""
    match fact:
        case DeadlineSet():
            yield _deadline(fact.booking_id, fact.kind, fact.due_at)
        case BookingEvent():
            for kind, due_at in _changes(fact.happened):
                yield _deadline(fact.booking.booking_id, kind, due_at)


def _changes(happened: ev.Happened) -> Iterator[tuple[str, datetime | None]]:
    match happened:
        case ev.Requested(deadline_at=at):
            yield "unanswered", at
        case ev.Reassigned(deadline_at=at) | ev.Released(deadline_at=at):
            yield from _none("not_there", "unnoticed")
            yield "unanswered", at
        case ev.Accepted() | ev.Declined() | ev.Expired():
            yield from _none("unanswered", "unnoticed")
        case ev.Arrived(no_show_from=at):
            yield from _none("not_there")
            if at is not None:
                yield "no_show", at
        case ev.Started(expected_end_at=at):
            yield from _none("no_show")
            yield "overrun", at
        case ev.Extended(expected_end_at=at):
            yield "overrun", at
        case ev.Completed() | ev.NoShow() | ev.Cancelled():
            yield from _none(*KINDS)
        case ev.Overridden(no_show_from=waits_until, expected_end_at=end):
            yield from _none(*KINDS)
            if waits_until is not None:
                yield "no_show", waits_until
            if end is not None:
                yield "overrun", end


def _none(*kinds: str) -> Iterator[tuple[str, None]]:
    return ((kind, None) for kind in kinds)


def _deadline(booking_id: UUID, kind: str, due_at: datetime | None) -> Row:
    return Row("deadlines", {"booking_id": booking_id, "kind": kind, "due_at": due_at})


async def due(tx: Tx, now: datetime, limit: int, kinds: Collection[str]) -> list[tuple[UUID, str]]:
    """List deadlines of these kinds that have passed and were not fired."""
    return [(r["booking_id"], r["kind"]) for r in await tx.fetch(DUE, now, limit, list(kinds))]


async def claim(tx: Tx, booking_id: UUID, kind: str, now: datetime) -> bool:
    """Mark a deadline as fired; False when another process did, or when it was moved.

    The booking is locked, and what the deadline causes is recorded in this same transaction: so it is fired once.
    """
    return await tx.fetchval(CLAIM, booking_id, kind, now) is not None


async def put_off(tx: Tx, booking_id: UUID, kind: str, now: datetime, until: datetime) -> None:
    """Look at a deadline that could not be fired again later; one that was moved or fired meanwhile stays so."""
    await tx.execute(PUT_OFF, booking_id, kind, now, until)
