"""Counting what happened: as it happens, as a subscriber of the outbox; or all over again, from the events.

Both are the same fold over the same events: a row of the outbox only says which booking to count anew. So a row that
comes twice changes nothing, and one that was never counted is made good by the next event of its booking.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.measuring import measured
from services.stores import Stores
from services.subscriber import Happened, Subscriber
from storage import metrics
from storage.db import Database, Tx

BOOKINGS_AT_ONCE = 100
MATCHES_AT_ONCE = 200
SWEPT_AT_ONCE = 5000


class RebuildRunningError(Exception):
    """Somebody rebuilds already."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """How much was counted."""

    bookings: int
    matches: int


async def count(stores: Stores, tx: Tx, batch: Sequence[Happened]) -> None:  # noqa: ARG001 - a subscriber's signature
    """Count the bookings of a batch anew, in every generation that there is; what is no booking's event, not at all."""
    booking_ids = sorted({e.booking_id for e in batch if e.booking_id is not None and e.seq is not None})
    if booking_ids:
        await _count(tx, booking_ids, await metrics.lock(tx))


METRICS = Subscriber("metrics", count, begins="oldest")


async def rebuild(db: Database, *, bookings_at_once: int = BOOKINGS_AT_ONCE) -> Rebuilt:
    """Count everything again into a generation of its own, then let reports read that one.

    Counting goes on meanwhile, into both. Memory is bounded by `bookings_at_once`, and so is each transaction; one that
    is killed half-way leaves the live rows as they were. Raises RebuildRunningError.
    """
    async with db.reading() as guard:
        if not await metrics.claim_rebuild(guard):
            raise RebuildRunningError
        try:
            return await _rebuild(db, bookings_at_once)
        finally:
            await metrics.release_rebuild(guard)


async def _rebuild(db: Database, bookings_at_once: int) -> Rebuilt:
    async with db.transaction() as tx:
        generation = await metrics.begin(tx)
    matches = await _copy_matches(db)
    bookings, after = 0, metrics.NOWHERE
    while True:
        async with db.transaction() as tx:
            booking_ids = await metrics.next_bookings(tx, after, bookings_at_once)
            if not booking_ids:
                break
            await metrics.lock(tx, patiently=True)
            await _count(tx, booking_ids, [generation])
        bookings += len(booking_ids)
        after = booking_ids[-1]
    async with db.transaction() as tx:
        await metrics.go_live(tx, generation)
    while await _sweep(db):
        continue
    return Rebuilt(bookings, matches)


async def _count(tx: Tx, booking_ids: Sequence[UUID], generations: Sequence[int]) -> None:
    visits = [measured(origin, events) for origin, events in await metrics.stories(tx, booking_ids)]
    await metrics.put(tx, visits, generations)


async def _copy_matches(db: Database) -> int:
    matches, after = 0, metrics.NOWHERE
    while True:
        async with db.transaction() as tx:
            copied = await metrics.copy_matches(tx, after, MATCHES_AT_ONCE)
        if copied.last is None:
            return matches
        matches += copied.matches
        after = copied.last


async def _sweep(db: Database) -> bool:
    async with db.transaction() as tx:
        return await metrics.sweep(tx, SWEPT_AT_ONCE)
