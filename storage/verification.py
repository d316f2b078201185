"""What must hold in the whole database, as one query a rule: each returns what breaks it, as (subject, why).

They only read, and PostgreSQL does the looking, so that memory stays bounded however large the house is. Run them
in one snapshot: every command commits all of its rows at once, so that they hold at any moment of a busy day.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from domain.booking import Booking
from storage import bookings
from storage.db import Tx
from storage.verification_bookings import BOOKINGS
from storage.verification_money import MONEY
from storage.verification_rule import Rule

PATIENCE_S = 3600.0  # a large house takes its time; nobody waits for it

BEGIN = "SET LOCAL statement_timeout = 0"
FIRST = "SELECT subject, why, count(*) OVER () AS broken FROM ({}) AS b ORDER BY subject, why LIMIT $1"
BOOKINGS_AFTER = """
SELECT booking_id FROM app.bookings WHERE $1::uuid IS NULL OR booking_id > $1 ORDER BY booking_id LIMIT $2
"""
EVENTS_OF = """
SELECT booking_id, seq, type, at, data FROM app.booking_events WHERE booking_id = ANY ($1) ORDER BY booking_id, seq
"""

RULES: tuple[Rule, ...] = (*BOOKINGS, *MONEY)


class Broken(NamedTuple):
    """How much a rule looked at, how much of it does not hold, and the first of those as (subject, why)."""

    counted: int
    broken: int
    first: list[tuple[str, str]]


async def begin(tx: Tx) -> None:
    """Let this transaction take its time."""
    await tx.execute(BEGIN)


async def look(tx: Tx, rule: Rule, limit: int) -> Broken:
    """Look for what breaks a rule."""
    counted: int = await tx.fetchval(rule.counted, timeout=PATIENCE_S)
    found = await tx.fetch(FIRST.format(rule.broken), limit, timeout=PATIENCE_S)
    return Broken(counted, found[0]["broken"] if found else 0, [(r["subject"], r["why"]) for r in found])


class Event(NamedTuple):
    """An event as stored."""

    seq: int
    type: str
    at: datetime
    data: dict[str, Any]


async def histories(tx: Tx, after: UUID | None, limit: int) -> list[tuple[Booking, list[Event]]]:
    """Read the next bookings by id, each with its events in order."""
    ids = [r["booking_id"] for r in await tx.fetch(BOOKINGS_AFTER, after, limit, timeout=PATIENCE_S)]
    events: dict[UUID, list[Event]] = {booking_id: [] for booking_id in ids}
    for booking_id, *event in await tx.fetch(EVENTS_OF, ids, timeout=PATIENCE_S):
        events[booking_id].append(Event(*event))
    rows = await bookings.many(tx, ids)
    return [(rows[booking_id], events[booking_id]) for booking_id in ids]
