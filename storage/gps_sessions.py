"""GPS sessions: one for each leg, open from departure to arrival or to whatever else ends the leg."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from domain import booking_events as ev
from domain.booking import BookingEvent
from domain.context import Context
from domain.facts import Fact
from storage.db import Tx
from storage.rows import Row

GET = """
SELECT session_id, booking_id, technician_id, opened_at, closed_at, close_reason
FROM app.gps_sessions WHERE session_id = $1
"""
CLOSED_SINCE = """
SELECT booking_id, session_id, close_reason FROM app.gps_sessions WHERE closed_at > $1
"""
OPEN_SESSIONS = """
SELECT s.session_id, s.booking_id, s.technician_id, b.area_id, s.opened_at, b.near_at
FROM app.gps_sessions s JOIN app.bookings b USING (booking_id) WHERE s.closed_at IS NULL
"""

ENDS_A_LEG = (ev.Arrived, ev.Released, ev.Reassigned, ev.Cancelled, ev.Completed, ev.NoShow, ev.Overridden)


@dataclass(frozen=True, slots=True)
class Leg:
    """A GPS session as stored: who drives to which booking, from when to when."""

    session_id: UUID
    booking_id: UUID
    technician_id: UUID
    opened_at: datetime
    closed_at: datetime | None
    close_reason: str | None


def rows(fact: Fact, event_id: UUID, context: Context) -> Iterator[Row]:  # noqa: ARG001 - a Writer's signature
    """Yield the session that a departure opens, and its end with the reason that its watchers are told."""
    match fact:
        case BookingEvent(happened=ev.Departed(gps_session_id=session_id), booking=b):
            yield Row("gps_sessions", {"session_id": session_id, "booking_id": b.booking_id,
                                       "technician_id": b.technician_id, "opened_at": b.updated_at})  # fmt: skip
        case BookingEvent(booking=b, happened=happened) if isinstance(happened, ENDS_A_LEG):
            taken_off = isinstance(happened, ev.Reassigned | ev.Released)
            reason = "reassigned" if taken_off else str(b.state)
            values = {"booking_id": b.booking_id, "closed_at": b.updated_at, "close_reason": reason}
            yield Row("gps_sessions", values)


async def get(tx: Tx, session_id: UUID) -> Leg | None:
    """Read a GPS session."""
    record = await tx.fetchrow(GET, session_id)
    return Leg(**record) if record else None


async def closed_since(tx: Tx, since: datetime) -> list[asyncpg.Record]:
    """List the sessions that ended after `since`, with their reasons."""
    return await tx.fetch(CLOSED_SINCE, since)


async def open_now(tx: Tx) -> list[asyncpg.Record]:
    """List the sessions that are open, with their bookings' areas."""
    return await tx.fetch(OPEN_SESSIONS)
