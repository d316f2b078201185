"""A technician's taken time. The EXCLUDE constraint is the backstop; services lock the technician's row first.

A booking takes its time for good once its payment is authorised, and until then holds it for a bounded moment.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain import booking_events as ev
from domain.booking import FINAL, BookingEvent
from domain.context import Context
from domain.facts import Fact
from storage.db import Tx
from storage.rows import Row, during

LOCK_TECHNICIAN = "SELECT technician_id FROM app.technicians WHERE technician_id = $1 FOR NO KEY UPDATE"
RELEASE_STALE_HOLDS = """
UPDATE app.reservations SET active = false WHERE technician_id = $1 AND active AND held_until < $2
"""
OVERLAPS = """
SELECT EXISTS (SELECT 1 FROM app.reservations
               WHERE technician_id = $1 AND active AND booking_id <> $2 AND during && tstzrange($3, $4))
"""


@dataclass(frozen=True, slots=True)
class Held(Fact):
    """A technician's time is taken for a booking; while its payment is being authorised, only `until` a moment."""

    booking_id: UUID
    technician_id: UUID
    start: datetime
    end: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class LetGo(Fact):
    """A hold ended without a booking."""

    booking_id: UUID
    technician_id: UUID


def rows(fact: Fact, event_id: UUID, context: Context) -> Iterator[Row]:  # noqa: ARG001 - a Writer's signature
    """Yield taken time, and its release: of the technician taken off, or of everybody once the booking ended."""
    match fact:
        case Held():
            yield Row("reservations", {"booking_id": fact.booking_id, "technician_id": fact.technician_id,
                                       "during": during(fact.start, fact.end), "held_until": fact.until})  # fmt: skip
        case LetGo():
            yield _released(fact.booking_id, fact.technician_id)
        case BookingEvent(removed_id=UUID() as removed_id):
            yield _released(fact.booking.booking_id, removed_id)
        case BookingEvent() if fact.booking.state in FINAL and not isinstance(fact.happened, ev.Rated):
            yield _released(fact.booking.booking_id, None)


def _released(booking_id: UUID, technician_id: UUID | None) -> Row:
    return Row("reservations", {"booking_id": booking_id, "technician_id": technician_id, "released": True})


async def lock_technician(tx: Tx, technician_id: UUID) -> bool:
    """Lock a technician's row, before any booking of theirs: one order for everybody, so no deadlock."""
    return await tx.fetchval(LOCK_TECHNICIAN, technician_id) is not None


async def release_stale_holds(tx: Tx, technician_id: UUID, now: datetime) -> None:
    """Let go of this technician's holds whose payment never came to an answer. The technician is locked."""
    await tx.execute(RELEASE_STALE_HOLDS, technician_id, now)


async def is_free(tx: Tx, technician_id: UUID, start: datetime, end: datetime, *, ignoring: UUID) -> bool:
    """Tell whether a technician, locked, has nothing else between `start` and `end`."""
    return await tx.fetchval(OVERLAPS, technician_id, ignoring, start, end) is False
