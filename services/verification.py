"""Whether everything that should agree does: `doorstep verify`, and what the crash tests prove after each crash.

It reads one snapshot of the whole database, in batches, and changes nothing; a serving house may be verified. What is
found names rows by their ids: nobody's name, words or address is shown.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from domain.booking import Booking, apply
from domain.booking_history import Unreadable, allowed, blank, differences, happened
from services import audit
from storage import verification
from storage.db import Database, Tx
from storage.verification import Broken

SHOWN = 20
BATCH = 200

FOLD = "bookings are their events"
FOLD_HOLDS = "folding the events of a booking, each allowed by the table, gives its row"
CHAIN = "audit chain"
CHAIN_HOLDS = "each decision's hash covers the one before it"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that should hold: how much was looked at, how much does not, and the first of that, a sentence each."""

    name: str
    holds: str
    counted: int
    broken: int
    first: tuple[str, ...]


async def verify(db: Database) -> list[Finding]:
    """Look at everything. Everything holds where no finding is `broken`."""
    async with (
        db.pool.acquire(timeout=10) as tx,
        tx.transaction(isolation="repeatable_read", readonly=True),
    ):
        findings = [finding async for finding in check(tx)]
    return [*findings, await _chain(db)]


async def check(tx: Tx) -> AsyncIterator[Finding]:
    """Look at all that one snapshot shows, inside the caller's transaction: everything but the audit chain."""
    await verification.begin(tx)
    yield _finding(FOLD, FOLD_HOLDS, await _fold(tx))
    for rule in verification.RULES:
        yield _finding(rule.name, rule.holds, await verification.look(tx, rule, SHOWN))


def _finding(name: str, holds: str, found: Broken) -> Finding:
    sentences = tuple(f"{subject}: {why}" for subject, why in found.first)
    return Finding(name, holds, found.counted, found.broken, sentences)


async def _fold(tx: Tx) -> Broken:
    counted, broken, after = 0, 0, None
    first: list[tuple[str, str]] = []
    while batch := await verification.histories(tx, after, BATCH):
        for row, events in batch:
            counted += 1
            why = _why_not(row, events)
            if why is not None:
                broken += 1
                if len(first) < SHOWN:
                    first.append((str(row.booking_id), why))
        after = batch[-1][0].booking_id
    return Broken(counted, broken, first)


def _why_not(row: Booking, events: list[verification.Event]) -> str | None:
    booking = blank(row)
    for event in events:
        try:
            what = happened(event.type, event.data)
        except Unreadable as error:
            return f"event {event.seq}: {error}"
        if not allowed(booking, what):
            return f"event {event.seq}: {event.type} on a booking that is {booking.state}"
        booking = apply(booking, what, event.at).booking
    fields = differences(row, booking)
    return f"its events make something else of {', '.join(fields)}" if fields else None


async def _chain(db: Database) -> Finding:
    verdict = await audit.verify(db)
    sentences = () if verdict.broken is None else (
        f"{verdict.broken['audit_id']}: {verdict.broken['reason']} at seal {verdict.broken['seal']}",
    )  # fmt: skip
    return Finding(CHAIN, CHAIN_HOLDS, verdict.events, 0 if verdict.ok else 1, sentences)
