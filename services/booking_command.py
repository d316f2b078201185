"""The skeleton of every command on a booking: lock, see, claim, decide, record, answer, in one transaction.

Locks are taken in one order everywhere: technicians by id, then the booking. What still collides (a deadlock with a
fallback's technician, a lost update) is tried again a bounded number of times; a double booking is `slot_taken`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from domain.booking import Booking, BookingEvent
from domain.booking_rules import Facts
from domain.context import Context
from domain.refusals import Refusal
from services import idempotency
from services.booking_view import may_read, not_found, surroundings, view_for
from services.reply import Answer, Reply
from services.stores import Stores
from storage import bookings, reservations
from storage.db import Tx
from storage.journal import record

type Rule = Callable[[Tx, Booking], Awaitable[Facts | Refusal]]

TRIES = 4
COLLISIONS = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.UniqueViolationError,
)


class ChangedInBetweenError(Exception):
    """The booking got another technician between looking and locking."""


async def run(
    stores: Stores, booking_id: UUID, context: Context, rule: Rule, *, also_lock: UUID | None = None
) -> Answer:
    """Apply one rule to one booking; answers the booking, or the refusal. Nothing is written for a refusal."""
    for attempt in range(1, TRIES + 1):
        try:
            async with stores.db.transaction() as tx:
                return await _apply(tx, booking_id, context, rule, also_lock)
        except asyncpg.ExclusionViolationError:
            return await keep_refusal(stores, slot_taken(), context)
        except (*COLLISIONS, ChangedInBetweenError):
            if attempt == TRIES:
                raise
            await asyncio.sleep(random.uniform(0.01, 0.05) * attempt)  # noqa: S311 - jitter
    raise AssertionError("unreachable")


async def _apply(tx: Tx, booking_id: UUID, context: Context, rule: Rule, also_lock: UUID | None) -> Answer:
    seen = await bookings.get(tx, booking_id)
    if seen is None or not may_read(seen, context.actor):
        return await idempotency.earlier(tx, context) or not_found()
    for technician_id in sorted({t for t in (seen.technician_id, also_lock) if t is not None}):
        await reservations.lock_technician(tx, technician_id)
    booking = await bookings.lock(tx, booking_id)
    if booking is None or booking.technician_id != seen.technician_id:
        raise ChangedInBetweenError
    held = await idempotency.begin(tx, context)
    if isinstance(held, Reply | Refusal):
        return held
    if context.if_match is not None and context.if_match != booking.version:
        return await idempotency.refuse(tx, stale(booking), context)
    facts = await rule(tx, booking)
    if isinstance(facts, Refusal):
        return await idempotency.refuse(tx, facts, context)
    after = next((f.booking for f in reversed(facts) if isinstance(f, BookingEvent)), booking)
    around = await surroundings(tx, [after])
    reply = Reply(200, view_for(after, around, context.actor), version=after.version)
    await record(tx, [*facts, *await idempotency.kept(tx, reply, context, booking_id)], context)
    return reply


async def keep_refusal(stores: Stores, refusal: Refusal, context: Context) -> Answer:
    """Keep a refusal that was found by a failed transaction, in a transaction of its own."""
    async with stores.db.transaction() as tx:
        held = await idempotency.begin(tx, context)
        if isinstance(held, Reply | Refusal):
            return held
        return await idempotency.refuse(tx, refusal, context)


def stale(booking: Booking) -> Refusal:
    """Return the refusal of an `If-Match` that is not the present version."""
    return Refusal("version_conflict", f"The booking is at version {booking.version} now.")


def slot_taken() -> Refusal:
    """Return the refusal of a time that somebody else has."""
    return Refusal("slot_taken", "The technician is not free at that time any more.")


def taken_time(
    booking: Booking, technician_id: UUID, buffer_s: int, end: datetime | None = None
) -> reservations.Held:
    """Return the fact that a technician's time is taken for this booking, travel buffers included."""
    buffer = timedelta(seconds=buffer_s)
    end = end or booking.expected_end_at or booking.ends_at
    return reservations.Held(booking.booking_id, technician_id, booking.starts_at - buffer, end + buffer)
